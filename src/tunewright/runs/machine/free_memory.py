"""Free memory of this machine now, and the kernel's kills for lack of memory."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from tunewright.runs.machine.control_groups import MEMBER, ROOT, groups_of

MIB = 2**20
UNLIMITED = 2**60
"""Limits at or above this are no limits: version 1 of control groups writes a huge number."""


@dataclass(frozen=True)
class GroupFiles:
    """The file and field names of version 1 or 2 of the kernel's control groups."""

    limit: str
    used: str
    kills: str
    cache: tuple[str, str]


VERSION_1 = GroupFiles(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "memory.oom_control",
    ("total_inactive_file", "total_active_file"),
)
VERSION_2 = GroupFiles(
    "memory.max", "memory.current", "memory.events", ("inactive_file", "active_file")
)


def free_mib() -> float:
    """Return the available RAM (MiB): of the machine, or less where a control group limits it."""
    free = float(psutil.virtual_memory().available)
    for folder, files in control_groups():
        free = min(free, _bytes_left(folder, files))
    return max(0.0, free) / MIB


def free_device_mib(gpu: str) -> float | None:
    """Return the free memory of a GPU (MiB); None where the driver does not report it."""
    if shutil.which("nvidia-smi") is None:
        return None
    try:
        answer = subprocess.run(
            ["nvidia-smi", "-i", gpu, "--query-gpu=memory.free", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout.strip()
    except (subprocess.SubprocessError, OSError):
        return None
    return float(answer) if answer.isdecimal() else None


def kills() -> int:
    """Return how many processes of our control group the kernel has killed for lack of memory.

    Of the whole machine where there is no group; 0 where nothing is counted.
    """
    for folder, files in control_groups():
        counted = _figures(folder / files.kills).get("oom_kill")
        if counted is not None:
            return counted
    return _figures(Path("/proc/vmstat")).get("oom_kill", 0)


def control_groups(root: Path = ROOT, member: Path = MEMBER) -> list[tuple[Path, GroupFiles]]:
    """Return the groups of this process that limit memory, its own first, then its parents."""
    found = [
        (place, VERSION_2 if version == 2 else VERSION_1)
        for place, version in groups_of("memory", root, member)
    ]
    return [(place, files) for place, files in found if (place / files.used).exists()]


def _bytes_left(folder: Path, files: GroupFiles) -> float:
    """Return the limit minus usage, not counting file cache, which is freed on demand."""
    try:
        limit = int((folder / files.limit).read_text())
        used = int((folder / files.used).read_text())
    except (OSError, ValueError):  # "max"
        return float("inf")
    if limit >= UNLIMITED:
        return float("inf")
    figures = _figures(folder / "memory.stat")
    return limit - used + sum(figures.get(name, 0) for name in files.cache)


def _figures(file: Path) -> dict[str, int]:
    """Return the lines `name number` of a kernel file."""
    try:
        pairs = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
