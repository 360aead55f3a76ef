"""What changes while a run trains, besides weights: where it is, its best epoch, its patience."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tunewright.config.schema import TrainingConfig
from tunewright.runs.record import is_same

STORED_AS = {"early_stop_best": "hopeful_score", "early_stop_epoch": "hopeful_epoch"}
"""Fields of TrainState that checkpoints know by an older name."""


@dataclass
class TrainState:
    """What changes while a run trains, besides weights."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_epoch: int = 0
    best_metrics: Mapping[str, float] | None = None
    best_interval: tuple[float, float] | None = None
    early_stop_best: float | None = None  # the last score that was better by `min_delta`
    early_stop_epoch: int = 0  # and its epoch, from which patience counts
    skipped_steps: int = 0  # whose loss or gradient was not finite, where the task leaves them out
    skipped_in_a_row: int = 0  # until now

    def as_stored(self) -> dict[str, Any]:
        """Return the fields by the names that checkpoints have for them."""
        return {STORED_AS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> "TrainState":
        """Return the state that `as_stored` wrote."""
        names = {name: field for field, name in STORED_AS.items()}
        return cls(**{names.get(name, name): value for name, value in stored.items()})

    def record(
        self,
        score: float,
        scores: Mapping[str, float],
        direction: Literal["max", "min"],
        min_delta: float,
    ) -> bool:
        """Remember the best epoch; return whether it is this one.

        min_delta: what a score must be better by for patience to count from it.
        """
        sign = 1.0 if direction == "max" else -1.0
        is_best = self.best_score is None or sign * score > sign * self.best_score
        if is_best:
            self.best_score, self.best_epoch = score, self.epoch
            self.best_metrics = dict(scores)
        reference = self.early_stop_best
        if reference is None or (
            sign * (score - reference) > min_delta and not is_same(score, reference)
        ):
            self.early_stop_best = score
            self.early_stop_epoch = self.epoch
        return is_best

    def goes_on(self, training: TrainingConfig) -> bool:
        """Return whether an epoch is left, and patience for it."""
        patience = training.patience
        waited = self.epoch - self.early_stop_epoch
        impatient = patience is not None and self.early_stop_epoch > 0 and waited >= patience
        return self.epoch < training.epochs and not impatient

    def skipped_notes(self) -> list[str]:
        """Return a note on the steps that were left out, if there are any."""
        if not self.skipped_steps:
            return []
        return [
            f"{self.skipped_steps:,} of {self.step:,} steps were left out, since their loss or "
            "gradient was not finite"
        ]
