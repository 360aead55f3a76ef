"""What a rank that follows has in place of what rank 0 writes with."""

from collections.abc import Callable, Mapping

from torch import Tensor

from tunewright.runs.record import EndRequest
from tunewright.training.checkpoint import Checkpoints, State
from tunewright.training.reporter import Reporter


class FollowedCheckpoints(Checkpoints):
    """Checkpoints that are read, and never written."""

    def offer(
        self,
        epoch: int,
        score: float,
        metrics: Mapping[str, float],
        weights: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        """Keep nothing."""

    def flush(self, epoch: int, state: Callable[[], State] | None) -> None:
        """Write nothing."""

    def finish(self, epoch: int, state: Callable[[], State]) -> None:
        """Write nothing."""


class FollowingReporter(Reporter):
    """A reporter that writes nothing, and gets requests from rank 0 alone."""

    def begin(self, resumed_from: int) -> None:
        """Begin nothing."""

    def report(
        self,
        step: int,
        metrics: Mapping[str, float],
        seconds: float,
        lr: float | None = None,
        *,
        data_wait: float | None = None,
    ) -> None:
        """Report nothing."""

    def notice(self, text: str) -> None:
        """Show nothing."""

    def request(self) -> EndRequest | None:
        """Return None: the trainer passes on what rank 0 is asked."""
        return None
