"""The GPU memory of a run: what its allocator reserved, plus the driver's context."""

import os
import subprocess
from functools import lru_cache

import torch

CONTEXT_MIB = 500.0
"""Assumed size of the driver's context if the driver does not report it."""


def reset_device_peak() -> None:
    """Reset the peak; does nothing if CUDA has not been used."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def device_peak_mib(*, ask_driver: bool = False) -> float:
    """Return the most GPU memory that this process took since the reset; 0 without a GPU.

    Counts reserved memory, not allocated, since other processes cannot use it. ask_driver: measure
    the size of the context once (up to a second); before that a default is used.
    """
    if not torch.cuda.is_initialized():
        return 0.0
    known = ask_driver or _context_mib.cache_info().currsize > 0
    context = _context_mib() if known else CONTEXT_MIB
    return torch.cuda.max_memory_reserved() / 2**20 + context


def free_device_bytes(device: torch.device) -> int:
    """Return what this process may still take of a GPU, by free memory and its own limit."""
    free, total = torch.cuda.mem_get_info(device)
    share = torch.cuda.get_per_process_memory_fraction(device)
    return max(0, min(free, int(share * total) - torch.cuda.memory_reserved(device)))


@lru_cache(maxsize=1)
def _context_mib() -> float:
    """Return the memory of this process in `nvidia-smi` beyond its allocator's.

    In a container the driver may know it by another process id, or list no processes.
    """
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout
    except (subprocess.SubprocessError, OSError):
        return CONTEXT_MIB
    return context_of(listed, os.getpid(), torch.cuda.memory_reserved() / 2**20)


def context_of(listed: str, pid: int, reserved_mib: float) -> float:
    """Return a process's context from the driver's list of processes and MiB."""
    for line in listed.splitlines():
        process, _, used = line.partition(",")
        if process.strip() == str(pid) and used.strip().isdecimal():
            return max(0.0, float(used) - reserved_mib)
    return CONTEXT_MIB
