"""Steps whose loss is not a finite number: when they end a training, and when they are left out."""

import math

import torch
from torch import Tensor

from tunewright.errors import Diverged
from tunewright.training.state.train_state import TrainState

LOWER_RATE = "A lower optim.lr, training.clip_norm or a warm-up usually helps."
MOST_BAD_STEPS = 3
"""Steps in a row without a finite loss or gradient that end a run, where a task leaves them out."""


def count_if_skipped(state: TrainState, loss: Tensor) -> bool:
    """Return whether the last step was left out; raise Diverged after too many in a row."""
    if math.isfinite(float(loss)):
        state.skipped_in_a_row = 0
        return False
    state.skipped_steps += 1
    state.skipped_in_a_row += 1
    if state.skipped_in_a_row >= MOST_BAD_STEPS:
        raise Diverged(
            f"the loss or its gradient is not finite in {MOST_BAD_STEPS} steps in a row, the "
            f"last one step {state.step}",
            remedy=LOWER_RATE,
        )
    return True


def first_bad_step(known: Tensor | None, loss: Tensor, step: int) -> Tensor:
    """Return the first step whose loss is not finite, on the device; 0 while there is none."""
    bad = (~torch.isfinite(loss.detach())).to(torch.int64) * step
    return bad if known is None else torch.where(known > 0, known, bad)


def refuse_divergence(first_bad: Tensor | None) -> None:
    """Raise Diverged where a step was bad; waits for the device."""
    if first_bad is not None and (step := int(first_bad)) > 0:
        raise Diverged(
            f"the loss is not a finite number at step {step}",
            remedy=LOWER_RATE,
        )
