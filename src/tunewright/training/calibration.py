"""Which precision, memory layout and compilation pay, tried on a run's own first batch.

Nothing is universal: channels_last makes one network half as fast again and slows another, and a
compiler costs what only a long training gives back. So a copy of the model takes a few steps each
way; the run itself is left as it was, bit for bit. What was measured is kept on disk, so that other
trials and seeds of the same shapes only read it.
"""

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from tunewright.config.schema import RunConfig, Training
from tunewright.errors import Diverged
from tunewright.runs.quantities import duration
from tunewright.training.layout import Layout, lay_out
from tunewright.training.optim import make_optimizer, set_factor
from tunewright.training.precision import Precision, cpu_precision, native_bf16
from tunewright.training.randomness import random_state, restore_random_state, seed_all
from tunewright.training.step_times import Choice, Timed, kept_times, key_of
from tunewright.training.task import Batch, Clock, Setup
from tunewright.training.trainer import resolve_precision

SHORT_SECONDS = 60.0
"""A training that takes no longer than this is begun at once."""
COMPILE_SECONDS = 1800.0
"""And only one that takes longer than this may be worth a compiler's while."""
SHARE = 0.05
"""Of the whole training, what trying may cost."""
CLEAR = 1.03
"""How many times as fast a choice must be to be preferred to a plainer one."""
LOSS_TOLERANCE = 0.05
"""How far the first loss may lie from that of full precision, relative to it."""


def settle(setup: Setup, config: RunConfig, device: torch.device) -> tuple[Choice, list[str]]:
    """What `auto` comes to for this run, and what to say of it.

    Settings that are not `auto` stay as they are. Steps are tried only where `setup.calibrate`
    asks for it and the training is predicted to take longer than a minute.
    """
    training = config.training
    layout: Layout = "channels_last" if training.layout == "channels_last" else "contiguous"
    plain = Choice(_untried(setup, training, device), layout)
    always = training.compile == "always"
    choices = _open(plain, config, device)
    is_open = len(choices) > 1 or training.compile == "auto"
    if not setup.calibrate or not is_open or len(setup.train) == 0:
        return replace(plain, compiled=always), []
    best, notices = _settled(setup, config, device, plain, choices)
    return replace(best, compiled=best.compiled or always), notices


def best_of(times: Mapping[Choice, Timed], steps: int) -> Choice:
    """The choice with the least time for `steps`; a plainer one where it is as good.

    What changed the first loss is left out, and of several within 3 % the plainest is taken. A
    compiled one must also pay for compiling.
    """
    loss = times[min(times, key=_elaborate)].loss
    sound = {
        choice: timed
        for choice, timed in times.items()
        if not abs(timed.loss - loss) > LOSS_TOLERANCE * abs(loss) + 1e-3
    }
    whole = {
        choice: timed.seconds * steps + timed.compiling * choice.compiled
        for choice, timed in sound.items()
    }
    least = min(whole.values())
    return min((c for c in whole if whole[c] <= CLEAR * least), key=_elaborate)


def _untried(setup: Setup, training: Training, device: torch.device) -> Precision:
    """The precision of a run that tries nothing."""
    if training.precision != "auto":
        return resolve_precision(training.precision, cpu=device.type == "cpu")
    if setup.calibrate:
        return "no"  # a lower one only where it was seen to pay
    if device.type == "cpu":
        return cpu_precision(setup.model, training.batch_size)
    return resolve_precision("auto", cpu=False)


def _elaborate(choice: Choice) -> tuple[bool, bool, bool]:
    return choice.compiled, choice.precision != "no", choice.layout != "contiguous"


def _open(plain: Choice, config: RunConfig, device: torch.device) -> list[Choice]:
    """The choices that the configuration leaves open; the boldest stands after the plain one."""
    low = native_bf16() if device.type == "cpu" else torch.cuda.is_bf16_supported()
    precisions: Sequence[Precision] = [plain.precision]
    if config.training.precision == "auto" and low:
        precisions = ["bf16", "no"]
    layouts: Sequence[Layout] = [plain.layout]
    if config.training.layout == "auto":
        layouts = ["channels_last", "contiguous"]
    every = [replace(plain, precision=p, layout=n) for p in precisions for n in layouts]
    return [plain, *(choice for choice in every if choice != plain)]


def _settled(
    setup: Setup,
    config: RunConfig,
    device: torch.device,
    plain: Choice,
    choices: Sequence[Choice],
) -> tuple[Choice, list[str]]:
    steps = config.training.epochs * _steps_per_epoch(setup, config)
    before = random_state()
    loader = setup.train.epoch(0)
    try:
        batches = list(islice(loader, config.training.accumulate))
        with kept_times(key_of(setup, config, device, batches)) as times:
            known = len(times)
            trying = _Trying(setup, config, device, batches)
            problems = _measure(trying, times, config, plain, choices, steps)
            reused = len(times) == known
    finally:
        restore_random_state(before)
        if close := getattr(loader, "close", None):
            close()
    if plain in times and times[plain].seconds * steps <= SHORT_SECONDS:
        return plain, []
    compiles = config.training.compile == "auto"
    allowed = {c: times[c] for c in choices if c in times}
    if not allowed:
        return plain, problems
    compiled = [replace(choice, compiled=True) for choice in allowed]
    allowed |= {c: times[c] for c in compiled if compiles and c in times}
    best = best_of(allowed, steps)
    return best, [*problems, _told(best, plain, allowed, steps, reused=reused)]


def _measure(
    trying: "_Trying",
    times: dict[Choice, Timed],
    config: RunConfig,
    plain: Choice,
    choices: Sequence[Choice],
    steps: int,
) -> list[str]:
    """Fill in the times that are missing and worth having; what went wrong comes back."""
    problems: list[str] = []
    failed: list[Exception] = []

    def visit(choice: Choice) -> None:
        try:
            timed = trying.timed(choice)
        except Exception as error:  # out of memory, an operation that lacks a kernel, a compiler
            reason = " ".join(str(error).split())[:200]
            problems.append(f"calibration: {choice} does not work here ({reason})")
            failed.append(error)
            return
        old = times.get(choice)
        times[choice] = timed if old is None or timed.seconds < old.seconds else old

    if plain not in times:
        visit(plain)
    if plain in times and times[plain].seconds * steps <= SHORT_SECONDS:
        return problems
    if any(isinstance(error, Diverged) for error in failed):
        return problems  # in full precision: the trainer says what is wrong with that
    visits = max(1, int(SHARE * steps / STEPS))
    new = [choice for choice in choices if choice not in times and choice != plain][:visits]
    for choice in new:
        visit(choice)
    if not any(choice in times for choice in choices):
        return problems
    best = best_of({c: times[c] for c in choices if c in times}, steps)
    if new and len(new) + 2 <= visits and best != plain:  # a neighbour may have slowed either
        visit(plain)
        visit(best)
        best = best_of({c: times[c] for c in choices if c in times}, steps)
    compiled = replace(best, compiled=True)
    long = times[best].seconds * steps > COMPILE_SECONDS
    if config.training.compile == "auto" and long and compiled not in times:
        visit(compiled)
    return problems


STEPS = 3
"""Steps of one visit; the first of them only warms up."""


class _Trying:
    """A copy of model and task that takes steps at rate zero, so that its weights stay."""

    def __init__(
        self, setup: Setup, config: RunConfig, device: torch.device, batches: list[Batch]
    ) -> None:
        self._setup, self.config, self.device, self.batches = setup, config, device, batches

    def timed(self, choice: Choice) -> Timed:
        """Take a few steps as `choice` says, from the weights and the seed that the run has."""
        seed_all(self.config.seed)
        # Together, so that a task which holds on to modules holds those of the copy.
        model, task = copy.deepcopy((self._setup.model, self._setup.task))
        model.to(self.device)
        lay_out(model, choice.layout)
        model.train()
        # The middle of the training: what is frozen only at its start does not stand for it.
        epochs, per_epoch = self.config.training.epochs, _steps_per_epoch(self._setup, self.config)
        task.on_epoch(model, Clock(epochs // 2, epochs // 2 * per_epoch, epochs, per_epoch))
        optimizer = make_optimizer(self.config.optim, task.param_groups(model))
        set_factor(optimizer, 0.0)
        scaler = torch.amp.GradScaler(self.device.type, enabled=choice.precision == "fp16")
        stepping = cast(nn.Module, torch.compile(model) if choice.compiled else model)

        def backward(total: Tensor) -> None:
            with torch.autocast(self.device.type, enabled=False):
                scaler.scale(total).backward()

        taken, losses = [], []
        try:
            for _ in range(STEPS + choice.compiled):
                began = time.perf_counter()
                with torch.autocast(
                    self.device.type,
                    torch.float16 if choice.precision == "fp16" else torch.bfloat16,
                    enabled=choice.precision != "no",
                ):
                    loss = task.backward(stepping, self.batches, backward)
                scaler.unscale_(optimizer)
                if (norm := self.config.training.clip_norm) is not None:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), norm)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)
                losses.append(float(loss.total))  # waits for the device
                if not math.isfinite(losses[-1]):
                    raise Diverged("the loss is not a finite number")
                taken.append(time.perf_counter() - began)
        finally:
            if choice.compiled:
                torch._dynamo.reset()
        seconds = min(taken[1:])
        return Timed(seconds, losses[0], max(0.0, taken[0] - seconds) if choice.compiled else 0.0)


def _steps_per_epoch(setup: Setup, config: RunConfig) -> int:
    return math.ceil(len(setup.train) / config.training.accumulate)


def _told(
    best: Choice, plain: Choice, times: Mapping[Choice, Timed], steps: int, *, reused: bool
) -> str:
    step = times[best].seconds
    text = f"calibration: {best}, {step:.3g} s a step"
    others = [f"{c} {t.seconds:.3g} s" for c, t in times.items() if c != best]
    text += f" ({'; '.join(others)})" if others else ""
    text += f", about {duration(step * steps)} in all"
    return text + (", as measured before on this machine" if reused else "")
