"""`--budget 8h`: the whole job ends in time, with a winner that is trained in full if that fits.

The search is what gives way. It stops while the final training and the evaluation, as they are
predicted, still fit; running trials are paused, and the next call goes on with them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tunewright.config.schema import Executor
from tunewright.search.ledger import Ledger

MARGIN = 0.1
"""Share of what is predicted that is kept in reserve."""
CLOSING_SECONDS = 1.0
"""For ending workers and writing files."""


@dataclass
class Budget:
    """Seconds for one call, counted from when this is made.

    final_fits: whether the final training has ever fitted behind the first finished trial.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)
    final_fits: bool = False

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self.began + self.seconds - self.clock()

    @property
    def until(self) -> float:
        """When work must end, by the monotonic clock, so that files can still be written."""
        return self.began + self.seconds - CLOSING_SECONDS

    def fits(self, seconds: float) -> bool:
        """Whether something that is predicted to take `seconds` ends in time."""
        return seconds * (1.0 + MARGIN) + CLOSING_SECONDS <= self.left

    def ends_search(self, ledger: Ledger, best: int | None, executor: Executor) -> bool:
        """Whether the search has to stop now.

        best: the best trial so far; without one there is nothing to train in full, and the
        search goes on to the end. So it does when the final training never fitted.
        """
        pause = ledger.pause_seconds(executor.grace_seconds)
        if self.left <= pause + CLOSING_SECONDS:
            return True
        pace = ledger.pace()
        if best is None or pace is None or ledger.closing.steps == 0:
            return False
        fits = self.fits(pause + ledger.closing_seconds(pace, best))
        self.final_fits = self.final_fits or fits
        return self.final_fits and not fits
