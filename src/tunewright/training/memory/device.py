"""The peak of a run on a GPU: what its allocator reserved, and what the driver needs besides."""

import os
import subprocess
from functools import lru_cache

import torch

CONTEXT_MIB = 500.0
"""What the driver's context is assumed to take where it does not say."""


def reset_device_peak() -> None:
    """Begin anew; nothing where CUDA has not been used."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def device_peak_mib(*, ask_driver: bool = False) -> float:
    """The most that this process took of the device since the reset; 0 without a GPU.

    Reserved counts, not allocated: a neighbour cannot have it. ask_driver: find out once what
    the context takes (up to a second); before that it is assumed.
    """
    if not torch.cuda.is_initialized():
        return 0.0
    known = ask_driver or _context_mib.cache_info().currsize > 0
    context = _context_mib() if known else CONTEXT_MIB
    return torch.cuda.max_memory_reserved() / 2**20 + context


def free_device_bytes(device: torch.device) -> int:
    """What this process may still take of a GPU, by what is free and by its own limit."""
    free, total = torch.cuda.mem_get_info(device)
    share = torch.cuda.get_per_process_memory_fraction(device)
    return max(0, min(free, int(share * total) - torch.cuda.memory_reserved(device)))


@lru_cache(maxsize=1)
def _context_mib() -> float:
    """What `nvidia-smi` says of this process beyond its allocator's memory.

    In a container the driver may know it by another process id, or not tell at all.
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
    """The context of a process from the driver's list of processes and MiB."""
    for line in listed.splitlines():
        process, _, used = line.partition(",")
        if process.strip() == str(pid) and used.strip().isdecimal():
            return max(0.0, float(used) - reserved_mib)
    return CONTEXT_MIB
