"""A loader whose last epoch is timed, from before its first batch until after its last step."""

import time
from collections.abc import Iterator
from resource import RUSAGE_SELF, getrusage

from tunewright.training.memory.peak import held_memory, reset_mark
from tunewright.training.task import Batch, Loader


class Watched:
    """Notes what the last epoch of `loader` took, the steps on its batches included.

    seconds: on the clock. cpu_seconds, faults: of the processor, and pages that the kernel had to
    provide, by all threads of this process. peak_mib: the most that it held.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader, self.seconds, self.cpu_seconds = loader, 0.0, 0.0
        self.faults, self.peak_mib = 0, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        reset_mark()
        began, cpu = time.perf_counter(), time.process_time()
        faults = getrusage(RUSAGE_SELF).ru_minflt
        yield from self.loader.epoch(epoch)
        self.seconds = time.perf_counter() - began
        self.cpu_seconds = time.process_time() - cpu
        if held := held_memory():
            self.peak_mib = held.highest_mib
        self.faults = getrusage(RUSAGE_SELF).ru_minflt - faults
