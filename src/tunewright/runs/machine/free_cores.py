"""Which CPU cores this process may use, and how much of them it gets beside everything else."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tunewright.runs.machine.control_groups import MEMBER, ROOT, groups_of

PROC = Path("/proc")


class SchedulerTimes(NamedTuple):
    """Nanoseconds that a thread ran, and that it was ready to run and had no core."""

    ran: int
    waited: int


def cores(root: Path = ROOT, member: Path = MEMBER) -> int:
    """CPU cores that this process may use: those it is bound to, or what its quota is worth.

    Of a quota of 1.5 cores one is left: the kernel stops all threads where two use it up.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.floor(min([bound or 1, *_quotas(root, member)])))


def pressure(root: Path = ROOT, member: Path = MEMBER, proc: Path = PROC) -> float | None:
    """For which share of the last ten seconds something that could run had no core.

    Of this process's own control group where it is told (its quota counts, and nobody else's),
    else of the whole machine; None where neither is.
    """
    groups = groups_of("cpu", root, member)
    for place in [*(group / "cpu.pressure" for group, _ in groups[:1]), proc / "pressure" / "cpu"]:
        if (share := _ten_seconds(place)) is not None:
            return share
    return None


def runnable(proc: Path = PROC) -> int | None:
    """Threads on this machine that run or could run now, without the one that asks."""
    try:
        return int((proc / "loadavg").read_text().split()[3].partition("/")[0]) - 1
    except (OSError, IndexError, ValueError):
        return None


def scheduler_times(tasks: Path = PROC / "self" / "task") -> dict[str, SchedulerTimes]:
    """What the kernel has counted of each thread of this process; empty where it does not."""
    found = {}
    try:
        threads = list(tasks.iterdir())
    except OSError:
        return {}
    for thread in threads:
        try:
            ran, waited, _ = (thread / "schedstat").read_bytes().split()
        except (OSError, ValueError):  # it has ended, or nobody counts
            continue
        found[thread.name] = SchedulerTimes(int(ran), int(waited))
    return found


def missed_share(
    before: Mapping[str, SchedulerTimes], after: Mapping[str, SchedulerTimes], seconds: float
) -> float | None:
    """Which share of the time that its threads wanted a core this process had none.

    None where they wanted less than a tenth of one core, which says nothing.
    """
    none = SchedulerTimes(0, 0)
    ran = sum(now.ran - before.get(thread, none).ran for thread, now in after.items())
    waited = sum(now.waited - before.get(thread, none).waited for thread, now in after.items())
    wanted = ran + waited
    return waited / wanted if wanted > 1e8 * seconds else None


def _quotas(root: Path, member: Path) -> list[float]:
    """Cores' worth of time that each control group above this process allows."""
    found = []
    for group, version in groups_of("cpu", root, member):
        try:
            if version == 2:
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota = (group / "cpu.cfs_quota_us").read_text()
                period = (group / "cpu.cfs_period_us").read_text()
            if int(quota) > 0:  # version 1 says -1 for none
                found.append(int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):  # not told, or "max"
            continue
    return found


def _ten_seconds(place: Path) -> float | None:
    try:
        some = next(line for line in place.read_text().splitlines() if line.startswith("some "))
        return float(dict(part.split("=") for part in some.split()[1:])["avg10"]) / 100.0
    except (OSError, StopIteration, KeyError, ValueError):  # switched off, or no such kernel
        return None
