"""A loader whose last epoch is timed, from before its first batch until after its last step."""

import time
from collections.abc import Iterator
from resource import RUSAGE_SELF, getrusage

from tunewright.training.task import Batch, Loader


class Watched:
    """Notes what the last epoch of `loader` took, the steps on its batches included.

    seconds: on the clock. cpu_seconds, faults: of the processor, and pages that the kernel had to
    provide, by all threads of this process.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader, self.seconds, self.cpu_seconds, self.faults = loader, 0.0, 0.0, 0

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        began, cpu = time.perf_counter(), time.process_time()
        faults = getrusage(RUSAGE_SELF).ru_minflt
        yield from self.loader.epoch(epoch)
        self.seconds = time.perf_counter() - began
        self.cpu_seconds = time.process_time() - cpu
        self.faults = getrusage(RUSAGE_SELF).ru_minflt - faults
