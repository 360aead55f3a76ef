"""A limit of a worker's own, beyond which an allocation fails and the run ends as out of memory.

On a CPU it is the kernel's limit on private writable mappings (RLIMIT_DATA, Linux 4.7 and later);
the limit on address space would count the gigabytes that torch maps and never touches. On a GPU it
is the allocator's share of the device. Imports no torch before there is a limit to set.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunewright.training.memory.peak import held_memory

DATA = resource.RLIMIT_DATA


@contextmanager
def limit_memory(gib: float | None) -> Iterator[None]:
    """Let this process hold `gib` of private memory at most, its libraries included.

    What it has mapped and never touched, such as the stacks of its threads, is left out by
    setting the limit from where it stands now. Lifted at the end, also by an exception, so that
    there is room to tell of it.
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
    """Raise a limit by a file that is about to be mapped with private writes: its pages are shared.

    The kernel counts such a mapping in full, though no page of it is private before it is
    written to. Without a limit nothing is done.
    """
    limit, most = resource.getrlimit(DATA)
    if limit != resource.RLIM_INFINITY:
        resource.setrlimit(DATA, (_lower(limit + size, most), most))


def _lower(limit: int, other: int) -> int:
    return limit if other == resource.RLIM_INFINITY else min(limit, other)


def _untouched_bytes() -> int:
    """What is mapped for private writes, and holds no page of its own."""
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
