"""What a coordinator makes of what workers and the batch system say; nothing is started here."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tunewright.errors import ConfigError, RunError
from tunewright.executors.batch import crew
from tunewright.executors.batch.batch_executor import BatchExecutor
from tunewright.executors.batch.crew import Crew
from tunewright.executors.batch.job_system import JobState
from tunewright.executors.batch.worker_folder import (
    LOST,
    WorkerFolder,
    WorkerPlan,
    WorkerState,
    own_versions,
)
from tunewright.executors.executor import Resources, WorkerDeath, let_go
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome

ANY = Resources()


class FakeJobs:
    """A batch system whose jobs are words."""

    name = "fake"
    look_seconds = 0.0
    late_seconds = 0.05
    share_host = False

    def __init__(self) -> None:
        self.workers: dict[str, WorkerFolder] = {}
        self.known: dict[str, JobState] = {}
        self.cancelled: list[str] = []

    def submit(self, workers: Sequence[Path]) -> list[str]:
        numbers = [str(len(self.workers) + 1 + i) for i in range(len(workers))]
        for number, path in zip(numbers, workers, strict=True):
            self.workers[number] = WorkerFolder(path)
            self.known[number] = JobState("waiting")
        return numbers

    def states(self, jobs: Sequence[str]) -> Mapping[str, JobState]:
        return {job: self.known[job] for job in jobs if job in self.known}

    def cancel(self, jobs: Sequence[str]) -> None:
        self.cancelled += jobs

    def close(self) -> None:
        pass

    def end_of_log(self, job: str) -> str:
        return "Traceback:\nModuleNotFoundError: No module named 'tunewright'"

    def begin(self, job: str, **said: object) -> None:
        """A job begins: its worker says that it is idle."""
        self.known[job] = JobState("running")
        plan = self.workers[job].read_plan()
        assert plan is not None
        state = WorkerState(
            plan.token, beat=1, life=1, stage="idle", left_seconds=3600.0, job=job, host="n1",
            versions=own_versions(),
        )  # fmt: skip
        self.workers[job].write_state(replace(state, **said))  # type: ignore[arg-type]

    def say(self, job: str, **said: object) -> None:
        """The worker of a job says more."""
        state = self.workers[job].read_state()
        assert state is not None
        self.workers[job].write_state(replace(state, beat=state.beat + 1, **said))  # type: ignore[arg-type]

    def take(self, job: str) -> None:
        """The worker takes its order."""
        order = self.workers[job].read_order()
        assert order is not None
        assert order.kind == "run"
        self.say(
            job, stage="running", serial=order.serial, folder=order.folder, attempt=order.attempt
        )

    def end(self, job: str, **said: object) -> None:
        """The worker's run has ended."""
        order = self.workers[job].read_order()
        assert order is not None
        news = {"stage": "idle", "serial": order.serial, "ended": order.serial} | said
        self.say(job, **news)


PLAN = WorkerPlan("", 3600.0, 60.0, 600.0, 900.0)


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def executor(jobs: FakeJobs, tmp_path: Path) -> BatchExecutor:
    return BatchExecutor(2, Crew(jobs, PLAN, tmp_path / "workers"), threads=3)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return new_folder(tmp_path / "run")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "LISTEN_SECONDS", 0.005)


def new_folder(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.write_config({"recipe": "none"})
    folder.begin_attempt()
    return folder


def test_a_job_that_waits_in_the_queue_is_not_a_running_trial(executor, jobs, folder) -> None:
    assert executor.refusal(ANY) == "0 workers run, 2 wait in the queue"
    assert executor.refusal(ANY) == "0 workers run, 2 wait in the queue"
    assert len(jobs.workers) == 2, "one job for each slot, once"
    jobs.begin("2")
    assert executor.refusal(ANY) is None
    [handle] = executor.start([folder], ANY)
    order = jobs.workers["2"].read_order()
    assert (order.kind, order.attempt, order.threads) == ("run", 1, 3)
    assert Path(order.folder) == folder.path.resolve()
    assert handle.status().endswith("(job 2 on n1)")
    assert executor.refusal(ANY) == "1 worker runs, 1 waits in the queue"


def test_a_run_that_is_started_before_any_worker_waits_for_one(executor, jobs, folder) -> None:
    [handle] = executor.start([folder], ANY)
    assert handle.status() == "waits for a worker"
    assert len(jobs.workers) == 1, "as many as are needed"
    jobs.begin("1")
    executor.wait(1.0)
    assert jobs.workers["1"].read_order().kind == "run"


def test_an_outcome_that_the_file_system_shows_late_is_awaited(executor, jobs, folder) -> None:
    jobs.late_seconds = 60.0
    [handle] = executor.start([folder], ANY)
    jobs.begin("1")
    executor.wait(1.0)
    jobs.end("1", outcome=True)
    executor.wait(0.05)
    assert not handle.ended
    folder.write_outcome(Outcome("done", 1))
    executor.wait(1.0)
    assert handle.ended
    assert handle.death is None


@pytest.mark.parametrize("late", [60.0, 0.05])
def test_a_death_is_what_the_worker_says(executor, jobs, folder, late) -> None:
    jobs.late_seconds = late
    [handle] = executor.start([folder], ANY)
    jobs.begin("1")
    executor.wait(1.0)
    jobs.end("1", death={"signal": 9})
    executor.wait(1.0)
    assert handle.death == WorkerDeath(signal=9)
    assert executor.refusal(ANY) is None, "the worker lives on"


@pytest.mark.parametrize(
    ("reason", "memory"), [("its job 1 was cancelled", False), ("it exceeded its memory", True)]
)
def test_the_end_of_a_job_is_a_typed_death(executor, jobs, folder, reason, memory) -> None:
    [handle] = executor.start([folder], ANY)
    jobs.begin("1")
    executor.wait(1.0)
    jobs.take("1")
    jobs.known["1"] = JobState("ended", reason, memory)
    executor.wait(0.02)
    assert not handle.ended, "its outcome may still come to light"
    wait_until(executor, lambda: handle.ended)
    assert handle.death == WorkerDeath(reason=reason, out_of_memory=memory)
    assert str(handle.death) == reason


def test_a_job_whose_time_is_over_waits_again_and_its_run_is_paused(executor, jobs, folder) -> None:
    [handle] = executor.start([folder], ANY)
    jobs.begin("1")
    executor.wait(1.0)
    jobs.take("1")
    folder.write_outcome(Outcome("paused", 1))
    jobs.end("1", outcome=True, stage="requeued")
    jobs.known["1"] = JobState("waiting")
    executor.wait(1.0)
    assert handle.ended
    assert handle.death is None
    assert executor.refusal(ANY) == "0 workers run, 2 wait in the queue"
    jobs.say("1", life=2, stage="idle")
    jobs.known["1"] = JobState("running")
    assert executor.refusal(ANY) is None
    assert len(jobs.workers) == 2, "the same job, and one for the other slot"


def test_a_job_that_waits_again_without_a_word_has_lost_its_run(executor, jobs, folder) -> None:
    [handle] = executor.start([folder], ANY)
    jobs.begin("1")
    executor.wait(1.0)
    jobs.take("1")
    executor.wait(1.0)
    jobs.known["1"] = JobState("waiting")
    wait_until(executor, lambda: handle.ended)
    assert handle.death == WorkerDeath(reason=LOST)


def test_an_order_that_a_worker_did_not_take_goes_to_another(executor, jobs, folder) -> None:
    [handle] = executor.start([folder], ANY)
    jobs.begin("1")
    executor.wait(1.0)
    jobs.say("1", stage="left")
    jobs.known["1"] = JobState("ended")
    wait_until(executor, lambda: "2" in jobs.workers)
    jobs.begin("2")
    executor.wait(1.0)
    assert jobs.workers["2"].read_order().kind == "run"
    assert not handle.ended
    assert handle.status().endswith("(job 2 on n1)")


def test_a_silent_worker_is_given_up(executor, jobs, folder, monkeypatch) -> None:
    [handle] = executor.start([folder], ANY)
    jobs.begin("1")
    executor.wait(1.0)
    jobs.take("1")
    executor.wait(1.0)
    monkeypatch.setattr(crew, "SILENT_SECONDS", 5.0)
    clock = jobs_clock(executor)
    for _ in range(4):
        clock[0] += 4.0
        jobs.say("1")
        executor.wait(0.0)
    assert not handle.ended, "its beat changes"
    clock[0] += 6.0
    wait_until(executor, lambda: handle.ended)
    assert "silent" in str(handle.death)
    assert jobs.cancelled == ["1"]


def test_a_worker_with_too_little_time_left_gets_no_other_run(executor, jobs, folder) -> None:
    assert executor.refusal(ANY) is not None
    jobs.begin("1", left_seconds=59.0)
    assert executor.refusal(ANY) == "0 workers run, 1 waits in the queue"
    assert jobs.workers["1"].read_order().kind == "dismiss"
    assert executor.refusal(ANY) == "0 workers run, 2 wait in the queue", "another is asked for"


def test_different_versions_are_refused_with_both(executor, jobs) -> None:
    assert executor.refusal(ANY) is not None
    jobs.begin("1", versions={**own_versions(), "torch": "1.0"})
    with pytest.raises(ConfigError, match=r"on n1 has torch 1\.0: expected .*torch 2"):
        executor.refusal(ANY)


def test_another_folder_at_the_same_path_is_refused(executor, jobs) -> None:
    assert executor.refusal(ANY) is not None
    jobs.begin("1", token="of another folder")
    with pytest.raises(ConfigError, match="another folder on n1"):
        executor.refusal(ANY)


def test_jobs_that_end_without_work_end_the_study(executor, jobs) -> None:
    executor.recruit()
    for number in (1, 2):
        jobs.known[str(number)] = JobState("ended", f"its job {number} failed")
    assert executor.refusal(ANY) == "0 workers run, 2 wait in the queue", "others are tried"
    jobs.known["3"] = JobState("ended", "its job 3 failed")
    with pytest.raises(RunError, match=r"3 jobs .* job 3 failed.*No module named 'tunewright'"):
        executor.refusal(ANY)


def test_kill_is_an_order_and_at_once_for_a_run_that_waits(executor, jobs, tmp_path) -> None:
    folders = [new_folder(tmp_path / name) for name in ("one", "two")]
    placed, waiting = executor.start(folders, ANY)
    jobs.begin("1")
    executor.wait(1.0)
    jobs.take("1")
    waiting.kill()
    assert waiting.ended
    assert waiting.death == WorkerDeath()
    placed.kill()
    placed.kill()
    assert (jobs.workers["1"].read_order().kind, jobs.workers["1"].read_order().serial) == (
        "kill",
        2,
    )
    jobs.end("1", death={"signal": 9})
    executor.wait(1.0)
    assert placed.death == WorkerDeath(signal=9)


def test_close_cancels_all_jobs_and_dismisses_their_workers(executor, jobs, folder) -> None:
    assert executor.refusal(ANY) is not None
    jobs.begin("1")
    [handle] = executor.start([folder], ANY)
    executor.close()
    executor.close()
    assert sorted(jobs.cancelled) == ["1", "2"]
    assert {worker.read_order().kind for worker in jobs.workers.values()} == {"dismiss"}
    assert handle.ended
    assert handle.death == WorkerDeath()


def test_a_replaced_coordinator_cancels_no_job(executor, jobs, folder) -> None:
    assert executor.refusal(ANY) is not None
    jobs.begin("1")
    [handle] = executor.start([folder], ANY)
    let_go(executor)
    executor.close()
    assert handle.ended
    assert jobs.cancelled == []
    assert "dismiss" not in {order.kind for w in jobs.workers.values() if (order := w.read_order())}


@pytest.mark.parametrize("skew", [-600.0, 0.0, 600.0])
def test_a_new_coordinator_adopts_what_runs(jobs, tmp_path, folder, skew) -> None:
    first = BatchExecutor(2, Crew(jobs, PLAN, tmp_path / "workers"), threads=1)
    assert first.refusal(ANY) is not None
    jobs.begin("1")
    assert first.refusal(ANY) is None
    first.start([folder], ANY)
    jobs.take("1")
    for path in (tmp_path / "workers").rglob("*.json"):  # written by a clock that is off
        os.utime(path, (time.time() + skew, time.time() + skew))
    second = BatchExecutor(2, Crew(jobs, PLAN, tmp_path / "workers"), threads=1)
    other = new_folder(tmp_path / "other")
    assert second.adopt(other, ANY) is None
    handle = second.adopt(folder, ANY)
    assert handle is not None
    assert second.adopt(folder, ANY) is None, "once"
    assert second.refusal(ANY) == "1 worker runs, 1 waits in the queue"
    assert len(jobs.workers) == 2, "no job is submitted again"
    folder.write_outcome(Outcome("done", 1))
    jobs.end("1", outcome=True)
    second.wait(1.0)
    assert handle.ended
    assert handle.death is None
    assert second.refusal(ANY) is None


def test_a_worker_whose_job_ended_is_not_adopted(jobs, tmp_path, folder) -> None:
    first = BatchExecutor(1, Crew(jobs, PLAN, tmp_path / "workers"), threads=1)
    first.start([folder], ANY)
    jobs.begin("1")
    first.wait(1.0)
    jobs.take("1")
    jobs.known["1"] = JobState("ended")
    second = BatchExecutor(1, Crew(jobs, PLAN, tmp_path / "workers"), threads=1)
    assert second.adopt(folder, ANY) is None
    assert not jobs.workers["1"].path.exists()


def test_a_worker_of_which_nothing_is_known_must_give_a_sign_of_life(
    jobs, tmp_path, folder, monkeypatch
) -> None:
    first = BatchExecutor(1, Crew(jobs, PLAN, tmp_path / "workers"), threads=1)
    first.start([folder], ANY)
    jobs.begin("1")
    first.wait(1.0)
    jobs.take("1")
    jobs.known.clear()  # the batch system does not answer
    second = BatchExecutor(1, Crew(jobs, PLAN, tmp_path / "workers"), threads=1)
    assert second.adopt(folder, ANY) is None
    assert jobs.workers["1"].read_order().kind == "dismiss", "should it live after all"


def jobs_clock(executor: BatchExecutor) -> list[float]:
    """The clock by which the silence of the workers is measured, from now on."""
    now = [time.monotonic()]
    for worker in executor._crew.workers:
        worker.silence._clock = lambda: now[0]
    return now


def wait_until(executor: BatchExecutor, holds) -> None:
    until = time.monotonic() + 60.0
    while not holds():
        executor.wait(0.02)
        assert time.monotonic() < until
