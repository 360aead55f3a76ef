"""How a training ended, in figures and in words: read from its folder, of any version."""

from dataclasses import dataclass
from typing import Literal

from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import OutcomeState

State = OutcomeState | Literal["running"]

LAST_SHARE = 0.1
"""A best epoch among this share of the last ones means that the score was still improving."""


@dataclass(frozen=True)
class Ending:
    """The planned and trained epochs, the best one, and why the training ended.

    state: `running` also for a process that died. cause: of a failure. patience: as configured.
    attempts: how often it was started, also after pauses and crashes.
    """

    state: State
    epochs: int
    planned: int
    best: int | None
    patience: int | None = None
    cause: str = ""
    attempts: int = 1

    @property
    def whole(self) -> bool:
        """Whether every planned epoch was trained."""
        return self.state == "done" and self.epochs >= self.planned

    @property
    def how(self) -> str:
        """A description such as `stopped by patience after epoch 12 of 50`."""
        at = f"after epoch {self.epochs} of {self.planned}"
        if self.whole:
            return f"trained all {self.planned} epochs"
        if self.state == "done":
            return f"stopped by patience {at}" if self.patience else f"ended early {at}"
        if self.state == "running":
            return f"has not ended, {at}"
        return f"ended as {self.state}{f' ({self.cause})' if self.cause else ''} {at}"

    def __str__(self) -> str:
        best = "" if self.best is None else f"; best epoch {self.best}"
        tries = f"; in {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.how}{best}{tries}"

    @property
    def advice(self) -> str:
        """Advice on how to improve such a training, where its score is too low."""
        if self.cause == "diverged":
            return f"the training {self.how}: a lower optim.lr or training.clip_norm may help"
        if self.state != "done":
            return f"the training {self.how}: finish it first"
        others = "another optim.lr, a search (tunewright tune) or more data may help"
        if not self.whole:
            patience = "more training.patience, " if self.patience else ""
            return f"the training {self}: more epochs alone will not help; {patience}{others}"
        if self.best is not None and self.best <= self.planned * (1 - LAST_SHARE):
            return f"best epoch {self.best} of {self.planned}, so more epochs help little; {others}"
        return f"still improving at its last epoch, {self.planned}: train longer, or on more data"


def ending_of(folder: RunFolder) -> Ending | None:
    """Return how the training in `folder` ended; None where nothing was trained, as in a soup's."""
    reports = read_progress(folder.progress)
    if not reports or not folder.config.exists():
        return None
    training = folder.read_config().get("training")
    settings = training if isinstance(training, dict) else {}
    outcome = folder.read_outcome()
    kept = read_json(folder.checkpoints / "best.json") or {}
    best = kept.get("epoch") if outcome is None else outcome.best_step or kept.get("epoch")
    epochs = reports[-1].step
    return Ending(
        state="running" if outcome is None else outcome.state,
        epochs=epochs,
        planned=int(settings.get("epochs") or epochs),
        best=best,
        patience=settings.get("patience"),
        cause="" if outcome is None else outcome.cause,
        attempts=max(1, folder.attempt),
    )
