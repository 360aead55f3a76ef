"""How a training on several processes ends: as asked, on all in the same step, or with a reason."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Literal

import psutil
import pytest
from failing_rank import serve_failing
from test_same_training import assert_same
from trained import Trained, configured, trained

from tunewright.executors.executor import Resources, WorkerDeath
from tunewright.executors.local import LocalExecutor
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest
from tunewright.training.ranks.team import RankTeam

PAIRS = ("training.batch_size=300", "model.output_dim=16", "training.checkpoint_seconds=1e9")


def ranks() -> set[int]:
    """The processes that train beside this one."""
    active = multiprocessing.active_children()
    return {p.pid for p in active if p.name.startswith("tunewright-rank") and p.pid is not None}


def beside(worker: psutil.Process) -> list[psutil.Process]:
    """The processes that train beside a worker."""
    return [p for p in worker.children() if "resource_tracker" not in " ".join(p.cmdline())]


def ended_by(
    folder: RunFolder, kind: Literal["pause", "prune"], processes: int, team: RankTeam
) -> Trained:
    """A training that is asked to end after its second epoch."""

    def ask() -> None:
        if len(read_progress(folder.progress)) == 2:
            folder.write_request(EndRequest(kind, folder.attempt))

    return trained(folder, processes, team, on_report=ask)


def test_a_prune_ends_all_in_the_same_step(tmp_path: Path, team: RankTeam) -> None:
    """Else one would wait for the others for ever, and not be there for the next run."""
    words = ("training.epochs=400", "model.width=4")
    pruned = ended_by(configured(tmp_path / "a", "blobs", *words), "prune", 2, team)
    assert pruned.outcome.state == "pruned"
    there = ranks()
    again = trained(configured(tmp_path / "b", "blobs", "training.epochs=1"), 2, team)
    assert again.outcome.state == "done", again.outcome.reason
    assert ranks() == there


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_paused_training_goes_on_with_another_number_of_processes(
    tmp_path: Path, team: RankTeam, before: int, after: int
) -> None:
    words = (*PAIRS, "training.epochs=4", "model=clip", "model.dropout=0.3")
    whole = trained(configured(tmp_path / "whole", "pairs", *words), 1)
    folder = configured(tmp_path / "paused", "pairs", *words)
    paused = ended_by(folder, "pause", before, team)
    assert (paused.outcome.state, len(paused.reports)) == ("paused", 2)
    assert_same(trained(folder, after, team), whole)


@pytest.mark.slow
def test_one_process_writes(tmp_path: Path, team: RankTeam) -> None:
    one = trained(configured(tmp_path / "one", "blobs"), 1).folder.path
    two = trained(configured(tmp_path / "two", "blobs"), 2, team).folder.path
    names = {file.relative_to(one) for file in one.rglob("*")}
    assert {file.relative_to(two) for file in two.rglob("*")} == names | {Path("log-rank1.txt")}
    assert [report.step for report in read_progress(RunFolder(two).progress)] == [1, 2, 3, 4]


def test_a_killed_process_ends_the_training_with_its_reason(tmp_path: Path) -> None:
    folder = configured(tmp_path, "blobs", "training.epochs=100000")

    before = ranks()

    def kill() -> None:
        [pid] = ranks() - before
        os.kill(pid, signal.SIGKILL)

    outcome = trained(folder, 2, on_report=kill).outcome
    assert (outcome.state, outcome.cause) == ("failed", "killed")
    assert outcome.reason == "rank 1 of 2 processes was killed by signal 9."


@pytest.mark.slow
def test_a_worker_dies_like_its_killed_process(tmp_path: Path) -> None:
    """So the executor resumes the run, or learns that memory was the reason."""
    folder = configured(tmp_path, "blobs", "training.epochs=100000")
    folder.begin_attempt()
    executor = LocalExecutor(1, threads=2, processes=2)
    try:
        [handle] = executor.start([folder], Resources())
        while not read_progress(folder.progress):
            executor.wait(1.0)
        worker = psutil.Process(int(handle.status().split("pid ")[1].rstrip(")")))
        [rank] = beside(worker)
        rank.kill()
        while not handle.ended:
            executor.wait(1.0)
        assert handle.death == WorkerDeath(signal=signal.SIGKILL)
        assert folder.read_outcome() is None
        assert "rank 1 of 2 processes was killed by signal 9" in folder.log.read_text()
    finally:
        executor.close()


@pytest.mark.slow
def test_processes_end_with_their_worker(tmp_path: Path) -> None:
    folder = configured(tmp_path, "blobs", "training.epochs=100000")
    folder.begin_attempt()
    executor = LocalExecutor(1, threads=2, processes=2)
    try:
        [handle] = executor.start([folder], Resources())
        while not read_progress(folder.progress):
            executor.wait(1.0)
        worker = psutil.Process(int(handle.status().split("pid ")[1].rstrip(")")))
        others = beside(worker)
        worker.kill()  # it alone, not its group
        _, alive = psutil.wait_procs(others, timeout=30)
        assert not alive
    finally:
        executor.close()


def test_a_failure_of_one_process_is_that_of_the_training(tmp_path: Path) -> None:
    team = RankTeam(serve_failing)
    try:
        outcome = trained(configured(tmp_path, "blobs"), 2, team).outcome
    finally:
        team.close()
    assert (outcome.state, outcome.cause) == ("failed", "out of memory")
    assert outcome.reason == "rank 1 of 2 processes: 3 GiB more were asked for."
