"""What is free, as the kernel's control groups of either version say it."""

from pathlib import Path

import psutil
import pytest

from tunewright.runs.machine import free_memory as free
from tunewright.runs.machine.free_memory import control_groups, free_device_mib, free_mib

GIB = 2**30


def group(folder: Path, figures: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in figures.items():
        (folder / name).write_text(f"{value}\n")


def second(limit: object, used: int, cache: int = 0, killed: int = 0) -> dict[str, object]:
    return {
        "memory.max": limit,
        "memory.current": used,
        "memory.stat": f"anon {used - cache}\ninactive_file {cache}\nactive_file 0",
        "memory.events": f"low 0\noom 3\noom_kill {killed}",
    }


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: returns the root; `member` beside it says where we are."""
    root, member = tmp_path / "cgroup", tmp_path / "member"
    root.mkdir()
    monkeypatch.setattr(free, "control_groups", lambda: control_groups(root, member))
    return root


def test_without_groups_the_machine_has_what_it_has() -> None:
    assert 0 < free_mib() <= psutil.virtual_memory().available / 2**20 + 512


def test_the_tightest_group_above_us_counts(groups: Path) -> None:
    (groups.parent / "member").write_text("0::/pod/task\n")
    group(groups / "pod", second(2 * GIB, GIB))
    group(groups / "pod/task", second("max", GIB))
    assert free_mib() == 1024.0
    group(groups / "pod/task", second(GIB + 2**29, GIB))
    assert free_mib() == 512.0


def test_cached_files_make_room(groups: Path) -> None:
    (groups.parent / "member").write_text("0::/\n")
    group(groups, second(2 * GIB, 2 * GIB, cache=GIB))
    assert free_mib() == 1024.0


def test_in_a_container_the_path_may_be_that_of_the_host(groups: Path) -> None:
    (groups.parent / "member").write_text("0::/system.slice/docker-17\n")
    group(groups, second(GIB, 2**28, killed=4))
    assert free_mib() == 768.0
    assert free.kills() == 4


def test_version_1(groups: Path) -> None:
    (groups.parent / "member").write_text("5:cpu,cpuacct:/a\n4:hugetlb,memory:/a\n0::/\n")
    figures = {
        "memory.limit_in_bytes": GIB,
        "memory.usage_in_bytes": GIB // 2,
        "memory.stat": f"total_inactive_file {GIB // 4}\ntotal_active_file 0",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
    }
    group(groups / "memory/a", figures)
    group(groups / "memory", figures | {"memory.limit_in_bytes": 9223372036854771712})
    assert free_mib() == 768.0
    assert free.kills() == 2


def test_a_group_that_is_overdrawn_leaves_nothing(groups: Path) -> None:
    (groups.parent / "member").write_text("0::/\n")
    group(groups, second(GIB, 2 * GIB))
    assert free_mib() == 0.0


@pytest.mark.parametrize(("told", "expected"), [("81032", 81032.0), ("[N/A]", None), ("", None)])
def test_a_device_is_asked_through_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, expected: float | None
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f'#!/bin/sh\n[ "$2" = GPU-7 ] && echo "{told}"\n')
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert free_device_mib("GPU-7") == expected


def test_without_a_driver_a_device_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert free_device_mib("0") is None
