"""Memory that a step frees stays with the process that trains, ready for the next step.

The GNU C library returns the end of its heap to the kernel once some MiB of it are free, and large
blocks at once. Each step then gets the same pages again, one fault for every 4 KiB: a tenth or more
of the time of a small compressor's step (benchmarks/freed_memory.py).
"""

import ctypes
from collections.abc import Mapping
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of the settings, from malloc.h."""
NEVER = -1
LARGEST = 32 << 20
"""The largest threshold that the library accepts; blocks above it are returned when freed."""
SET_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory(environment: Mapping[str, str]) -> bool:
    """Keep freed memory in this process until `return_freed_memory`; return whether it is kept.

    For processes whose purpose is training: a process cannot go back to the library's own rule.
    Other C libraries, and whoever has set one of `SET_BY_USER`, are left alone.
    """
    if any(environment.get(name) for name in SET_BY_USER):
        return False
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, NEVER))
    return False


def return_freed_memory() -> None:
    """Return freed memory to the kernel, where the GNU C library is used."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
