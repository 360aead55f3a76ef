"""One coordinator a study: the lease on the folder, and the lease in the storage."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from practice.quadratic.studies import tuned

from tunewright.errors import LeaseLost, StudyError
from tunewright.runs.lease import lease as folder_leases
from tunewright.search.loop import lease as lock
from tunewright.search.loop.lease import FolderLock, Lease, refuse_if_alive
from tunewright.search.storage.database import Settings, stored_settings
from tunewright.search.study.study import Study
from tunewright.spaces.domain import Float
from tunewright.spaces.space import Parameter, Space


def sign(pid: int, **changes: Any) -> dict[str, Any]:
    """The lease that a process of this machine would leave, in an older version."""
    started = psutil.Process(pid).create_time()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "started": started,
        "beat": time.time(),
    } | changes


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    settings = Settings("quadratic", "g", "g", "max", {"type": "random"}, {}, {}, {}, 0)
    space = Space((Parameter("x", Float(0.0, 1.0), 0.5),))
    made = Study(f"sqlite:///{tmp_path}/study.db", "study", settings, space)
    yield made
    made.close()


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_leases, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(folder_leases, "LOOK_SECONDS", 0.02)


def test_a_folder_is_held_by_one_and_free_after_it(tmp_path: Path) -> None:
    held = FolderLock(tmp_path / "study")
    with pytest.raises(StudyError, match=f"in use by process {os.getpid()} on"):
        FolderLock(tmp_path / "study")
    held.release()
    FolderLock(tmp_path / "study").release()


def test_a_folder_that_cannot_be_made_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"cannot be written.*--runs-dir"):
        FolderLock(tmp_path / "file/study")


def test_who_counts_as_alive_on_this_host() -> None:
    parent = sign(os.getppid())
    with pytest.raises(StudyError, match=r"in use by process \d+ on .*another --name"):
        refuse_if_alive("study", lambda: parent)
    for lease in (
        {},
        sign(os.getpid()),  # ourselves
        {**parent, "started": parent["started"] - 100},  # its number, reused
        {**parent, "pid": 2**22 + 1},  # no such process
    ):
        refuse_if_alive("study", lambda lease=lease: lease)  # type: ignore[misc]


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("skew", [0.0, -600.0, 600.0])
def test_on_another_host_a_lease_that_changes_is_alive_whatever_its_clock_says(skew: float) -> None:
    beats = iter(range(1000))

    def read() -> Mapping[str, Any]:
        return sign(os.getppid(), host="elsewhere", beat=time.time() + skew + next(beats))

    with pytest.raises(StudyError, match=r"in use by process \d+ on elsewhere"):
        refuse_if_alive("study", read)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("skew", [0.0, -600.0, 600.0])
def test_on_another_host_a_lease_that_stays_the_same_ends(skew: float) -> None:
    silent, told = sign(os.getppid(), host="elsewhere", beat=time.time() + skew), []
    refuse_if_alive("study", lambda: silent, notice=told.append)
    assert len(told) == 1
    assert "taking over in" in told[0]


@pytest.mark.usefixtures("_short")
def test_a_silent_coordinator_is_waited_for_once(tmp_path: Path, study: Study) -> None:
    """The folder was watched: its holder's lease in the storage needs no watching again."""
    study.set_lease(sign(os.getppid(), host="elsewhere"))
    held, told = FolderLock(tmp_path), []
    refuse_if_alive("study", study.lease, held, told.append)
    Lease(study, held).release()
    assert len(told) == 1
    held.release()


def test_a_lease_is_renewed_when_it_is_time_and_released_at_the_end(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(study)
    first = study.lease()
    assert first["pid"] == os.getpid()
    lease.renew()
    assert study.lease() == first, "too early"
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.0)
    lease.renew()
    assert study.lease()["count"] == first["count"] + 1
    assert study.lease()["beat"] > first["beat"], "older versions compare it with their clock"
    lease.release()
    assert study.lease() == {}


def test_of_two_that_began_at_the_same_moment_one_gives_way(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(study)
    other = sign(os.getppid())
    study.set_lease(other)  # it had looked before we wrote
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.0)
    with pytest.raises(LeaseLost, match=f"in use by process {os.getppid()}"):
        lease.renew()
    lease.release()
    assert study.lease() == other, "the lease of the other stays"


def test_a_study_in_a_storage_of_several_folders_is_refused(tmp_path: Path) -> None:
    storage = f"study.storage='sqlite:///{tmp_path}/shared.db'"
    tuned(tmp_path / "one", "study.trials=2", storage)
    settings = stored_settings(f"sqlite:///{tmp_path}/shared.db", "study")
    assert settings is not None
    held = Study(f"sqlite:///{tmp_path}/shared.db", "study", settings, Space(()))
    held.set_lease(sign(os.getppid()))
    held.close()
    with pytest.raises(StudyError, match=r"the study 'study' is in use"):
        tuned(tmp_path / "two", "study.trials=4", storage)
