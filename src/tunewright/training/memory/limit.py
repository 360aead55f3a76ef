"""Limit the memory of a worker: allocations beyond it fail, and the run ends as out of memory.

On a CPU it is the kernel's limit on private writable mappings (RLIMIT_DATA, Linux 4.7 and later); a
limit on address space would count the gigabytes that torch maps and never touches. On a GPU it is
the allocator's share of the device. Imports no torch unless there is a limit to set.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunewright.training.memory.peak import held_memory

DATA = resource.RLIMIT_DATA


@contextmanager
def limit_memory(gib: float | None) -> Iterator[None]:
    """Limit this process to `gib` of private memory, its libraries included.

    Memory that is mapped but never touched, such as thread stacks, is excluded by adding its
    current size to the limit. The limit is lifted at the end, also after an exception, so that
    there is memory to report it.
    """
    if gib is None:
        yield
    elif _has_gpu():
        with _limit_device(gib):
            yield
    else:
        before, most = resource.getrlimit(DATA)
        limit = _untouched_bytes() + int(gib * 2**30)
        resource.setrlimit(DATA, (_lower(limit, before), most))
        try:
            yield
        finally:
            resource.setrlimit(DATA, (before, most))


def make_room_to_map(size: int) -> None:
    """Raise the limit by the size of a file that is about to be mapped with private writes.

    The kernel counts such a mapping in full, though its pages are shared until they are written to.
    Does nothing without a limit.
    """
    limit, most = resource.getrlimit(DATA)
    if limit != resource.RLIM_INFINITY:
        resource.setrlimit(DATA, (_lower(limit + size, most), most))


def _lower(limit: int, other: int) -> int:
    return limit if other == resource.RLIM_INFINITY else min(limit, other)


def _untouched_bytes() -> int:
    """Return the bytes mapped for private writes that occupy no memory yet."""
    lines = Path("/proc/self/status").read_text().splitlines()
    mapped = next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    now = held_memory()
    return mapped * 1024 - int(now.private_mib * 2**20 if now else 0)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@contextmanager
def _limit_device(gib: float) -> Iterator[None]:
    import torch

    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib * 2**30 / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
