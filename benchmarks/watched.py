"""A loader whose last epoch is timed, from before its first batch until after its last step."""

import time
from collections.abc import Iterator

from tunewright.training.task import Batch, Loader


class Watched:
    """Notes how many seconds the last epoch of `loader` took, the steps on its batches included."""

    def __init__(self, loader: Loader) -> None:
        self.loader, self.seconds = loader, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        began = time.perf_counter()
        yield from self.loader.epoch(epoch)
        self.seconds = time.perf_counter() - began
