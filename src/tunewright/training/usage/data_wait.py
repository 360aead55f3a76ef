"""The time that a training waits for its batches. Imports no torch."""

import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class TimedBatches(Generic[Batch]):
    """Iterates over the batches of an epoch and adds up the seconds until each was there.

    On a GPU the host waits here while the device may still work on earlier steps, so the share of
    an epoch is the most that faster loading could save.
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = iter(batches)
        self._began = time.perf_counter()
        self._waited = 0.0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        began = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self._waited += time.perf_counter() - began

    def share(self) -> float:
        """Return the share of the time since the start that was spent waiting, from 0 to 1."""
        spent = time.perf_counter() - self._began
        return min(1.0, self._waited / spent) if spent > 0.0 else 0.0
