"""Early stopping of each of HPCM's scales: what is its own is frozen, the rest trains on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from tunewright.recipes.compression.models.hpcm import Hpcm


@dataclass
class ScaleProgress:
    """How one scale does. best, best_epoch: by `min_delta`. stopped: the epoch after which it was
    frozen; None while it trains.
    """

    best: float | None = None
    best_epoch: int = 0
    stopped: int | None = None


class ScalePatience:
    """Stops a scale whose share of the validation loss does not improve for `patience` epochs.

    The shares add up to the loss; see `rate_distortion.scale_losses`. min_delta: how much better
    counts.
    """

    def __init__(self, scales: Sequence[str], patience: int, min_delta: float) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.scales = {scale: ScaleProgress() for scale in scales}

    def record(self, losses: Mapping[str, float], epoch: int) -> list[str]:
        """Take note of the losses after `epoch` epochs, by scale; return the scales that stop."""
        stopping = []
        for scale, progress in self.scales.items():
            if progress.stopped is not None:
                continue
            if progress.best is None or losses[scale] < progress.best - self.min_delta:
                progress.best, progress.best_epoch = losses[scale], epoch
            elif epoch - progress.best_epoch >= self.patience:
                progress.stopped = epoch
                stopping.append(scale)
        return stopping

    def frozen(self, model: nn.Module) -> frozenset[str]:
        """Return the names of the parameters of the scales that have stopped.

        What several scales share is among them once all of these have stopped.
        """
        stopped = {scale for scale, one in self.scales.items() if one.stopped is not None}
        if not stopped or not isinstance(model, Hpcm):
            return frozenset()
        users = model.scales_of_parameters()
        return frozenset(name for name, scales in users.items() if scales <= stopped)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {scale: asdict(progress) for scale, progress in self.scales.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.scales = {scale: ScaleProgress(**progress) for scale, progress in state.items()}
