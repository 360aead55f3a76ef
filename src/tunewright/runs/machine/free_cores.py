"""The CPU cores this process may use, and how much of them it gets beside other programs."""

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
    """Return the CPU cores this process may use: those it is bound to, or its quota if smaller.

    A quota of 1.5 cores counts as one: with two the kernel stops all threads once it is used up.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.floor(min([bound or 1, *_quotas(root, member)])))


def pressure(root: Path = ROOT, member: Path = MEMBER, proc: Path = PROC) -> float | None:
    """Return the share of the last ten seconds in which a runnable thread had no core.

    Of this process's own control group where the kernel reports it (its own quota counts), else of
    the whole machine; None where neither is reported.
    """
    groups = groups_of("cpu", root, member)
    for place in [*(group / "cpu.pressure" for group, _ in groups[:1]), proc / "pressure" / "cpu"]:
        if (share := _ten_seconds(place)) is not None:
            return share
    return None


def runnable(proc: Path = PROC) -> int | None:
    """Return the number of runnable threads on this machine, without the calling one."""
    try:
        return int((proc / "loadavg").read_text().split()[3].partition("/")[0]) - 1
    except (OSError, IndexError, ValueError):
        return None


def scheduler_times(tasks: Path = PROC / "self" / "task") -> dict[str, SchedulerTimes]:
    """Return the kernel's scheduler counters of this process's threads; empty if unsupported."""
    found = {}
    try:
        threads = list(tasks.iterdir())
    except OSError:
        return {}
    for thread in threads:
        try:
            ran, waited, _ = (thread / "schedstat").read_bytes().split()
        except (OSError, ValueError):  # the thread ended, or the kernel does not count
            continue
        found[thread.name] = SchedulerTimes(int(ran), int(waited))
    return found


def missed_share(
    before: Mapping[str, SchedulerTimes], after: Mapping[str, SchedulerTimes], seconds: float
) -> float | None:
    """Return the share of the time that its threads wanted a core and this process had none.

    None where they wanted less than a tenth of one core, which says nothing.
    """
    none = SchedulerTimes(0, 0)
    ran = sum(now.ran - before.get(thread, none).ran for thread, now in after.items())
    waited = sum(now.waited - before.get(thread, none).waited for thread, now in after.items())
    wanted = ran + waited
    return waited / wanted if wanted > 1e8 * seconds else None


def _quotas(root: Path, member: Path) -> list[float]:
    """Return the cores' worth of time that each control group above this process allows."""
    found = []
    for group, version in groups_of("cpu", root, member):
        try:
            if version == 2:
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota = (group / "cpu.cfs_quota_us").read_text()
                period = (group / "cpu.cfs_period_us").read_text()
            if int(quota) > 0:  # version 1 has -1 for no quota
                found.append(int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):  # no file, or "max"
            continue
    return found


def _ten_seconds(place: Path) -> float | None:
    try:
        some = next(line for line in place.read_text().splitlines() if line.startswith("some "))
        return float(dict(part.split("=") for part in some.split()[1:])["avg10"]) / 100.0
    except (OSError, StopIteration, KeyError, ValueError):  # switched off, or no such kernel
        return None
