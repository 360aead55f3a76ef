"""Which cores there are and who wants them, as the kernel's files say it."""

import os
from pathlib import Path

import pytest

from tunewright.runs.machine.free_cores import (
    SchedulerTimes,
    cores,
    missed_share,
    pressure,
    runnable,
    scheduler_times,
)

STALLED = "some avg10={} avg60=1.00 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 total=0\n"


def written(place: Path, text: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores to which this process is bound."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def second(root: Path, **quotas: str) -> Path:
    """Groups of version 2, by their paths with `_` for `/`; returns who is in the last one."""
    for path, quota in quotas.items():
        written(root / path.replace("_", "/") / "cpu.max", quota)
    return written(root.parent / "member", f"0::/{path.replace('_', '/')}\n")


@pytest.mark.parametrize(
    ("above", "own", "expected"),
    [
        ("max 100000", "max 100000", 8),
        ("max 100000", "300000 100000", 3),
        ("150000 100000", "400000 100000", 1),
        ("max 100000", "20000 100000", 1),
        ("6400000 100000", "max 100000", 8),
        ("nonsense", "", 8),
    ],
)
@pytest.mark.usefixtures("bound")
def test_a_quota_is_worth_whole_cores(tmp_path: Path, above: str, own: str, expected: int) -> None:
    member = second(tmp_path / "root", pod=above, pod_task=own)
    assert cores(tmp_path / "root", member) == expected


@pytest.mark.usefixtures("bound")
def test_quotas_of_version_1_and_none_at_all(tmp_path: Path) -> None:
    member = written(tmp_path / "member", "4:memory:/x\n3:cpu,cpuacct:/pod\n0::/\n")
    assert cores(tmp_path, member) == 8
    written(tmp_path / "cpu/pod/cpu.cfs_period_us", "50000\n")
    quota = written(tmp_path / "cpu/pod/cpu.cfs_quota_us", "-1\n")
    assert cores(tmp_path, member) == 8
    quota.write_text("250000\n")
    assert cores(tmp_path, member) == 5
    assert cores(tmp_path, tmp_path / "nowhere") == 8


def test_pressure_is_the_groups_own_else_the_machines(tmp_path: Path) -> None:
    root, proc = tmp_path / "root", tmp_path / "proc"
    member = second(root, pod="max 100000")
    assert pressure(root, member, proc) is None
    written(proc / "pressure/cpu", STALLED.format("62.50"))
    assert pressure(root, member, proc) == pytest.approx(0.625)
    written(root / "pod/cpu.pressure", STALLED.format("1.25"))
    assert pressure(root, member, proc) == pytest.approx(0.0125)
    written(root / "pod/cpu.pressure", "")
    written(proc / "pressure/cpu", "full avg10=3.00\n")
    assert pressure(root, member, proc) is None


def test_what_runs_now_without_the_one_that_asks(tmp_path: Path) -> None:
    assert runnable(tmp_path) is None
    written(tmp_path / "loadavg", "0.10 9.00 3.00 14/801 31337\n")
    assert runnable(tmp_path) == 13
    written(tmp_path / "loadavg", "0.10 9.00\n")
    assert runnable(tmp_path) is None


def test_threads_that_end_meanwhile_are_passed_over(tmp_path: Path) -> None:
    assert scheduler_times(tmp_path / "task") == {}
    written(tmp_path / "task/7/schedstat", "400 100 3\n")
    written(tmp_path / "task/8/schedstat", "gone")
    (tmp_path / "task/9").mkdir()
    assert scheduler_times(tmp_path / "task") == {"7": SchedulerTimes(400, 100)}


def test_the_share_of_wanted_time_without_a_core() -> None:
    before = {
        "1": SchedulerTimes(10**9, 10**9),
        "2": SchedulerTimes(5 * 10**9, 0),
    }  # the second one ends
    after = {"1": SchedulerTimes(10**9 + 10**8, 10**9 + 2 * 10**8), "3": SchedulerTimes(10**8, 0)}
    assert missed_share(before, after, 0.2) == pytest.approx(0.5)
    assert missed_share(before, before, 0.2) is None
    assert missed_share({}, {}, 0.2) is None
