"""A worker's life: orders, signals, and its coordinator's silence. The training is played."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tunewright.errors import TunewrightError
from tunewright.executors.batch import worker as worker_module
from tunewright.executors.batch import worker_begin
from tunewright.executors.batch.worker import JobWorker
from tunewright.executors.batch.worker_folder import (
    LOST,
    WorkerFolder,
    WorkerPlan,
    WorkerState,
    WorkOrder,
)
from tunewright.executors.executor import WorkerDeath
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressWriter
from tunewright.runs.record import EndRequest, Outcome, Progress

PLAN = WorkerPlan("t", 3600.0, notice_seconds=0.4, idle_seconds=60.0, orphan_seconds=60.0)
SIGNAL = signal.SIGUSR2


class Played:
    """An attempt; `steps` are called one after another, at each wait, until one returns True."""

    def __init__(self, folder: RunFolder, steps: Callable[["Played"], bool]) -> None:
        self.folder, self._step = folder, steps
        self.ended, self.death, self.waits = False, None, 0

    def kill(self) -> None:
        if not self.ended:
            self.ended, self.death = True, WorkerDeath(signal=9)

    def go_on(self) -> None:
        self.waits += 1
        if not self.ended and self._step(self):
            self.ended = True

    def status(self) -> str:
        return "played"


class PlayedExecutor:
    """Takes the place of the local executor."""

    def __init__(self, *_: object, **__: object) -> None:
        self.handle: Played | None = None

    step: Callable[[Played], bool]

    def start(self, folders: list[RunFolder], _resources: object) -> list[Played]:
        self.handle = Played(folders[0], type(self).step)
        return [self.handle]

    def wait(self, _seconds: float) -> None:
        time.sleep(0.002)
        if self.handle is not None:
            self.handle.go_on()

    def close(self) -> None:
        pass


@pytest.fixture
def requeued() -> Iterator[list[int]]:
    """The signals that submitit's handler was called with, which requeues the job."""
    calls: list[int] = []
    before = {
        number: signal.getsignal(number)
        for number in (SIGNAL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    }
    signal.signal(SIGNAL, lambda number, _frame: calls.append(number))
    yield calls
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requeued: list[int]) -> WorkerFolder:
    monkeypatch.setattr(worker_module, "LocalExecutor", PlayedExecutor)
    monkeypatch.setattr(worker_begin, "job_number", lambda: "7")
    monkeypatch.setattr(worker_module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "HEED_SECONDS", 0.005)
    monkeypatch.setattr(worker_module, "BEAT_SECONDS", 0.02)
    folder = WorkerFolder(tmp_path / "workers" / "w1")
    folder.write_plan(PLAN)
    folder.write_coordinator(1)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.write_config({"recipe": "none"})
    folder.begin_attempt()
    return folder


def work(place: WorkerFolder, step: Callable[[Played], bool], **plan: float) -> WorkerState:
    """Live one life; its last word."""
    PlayedExecutor.step = staticmethod(step)
    JobWorker(place, replace(PLAN, **plan)).work()  # type: ignore[arg-type]
    state = place.read_state()
    assert state is not None
    return state


def order(place: WorkerFolder, serial: int, run: RunFolder) -> None:
    place.write_order(WorkOrder(serial, "run", str(run.path), run.attempt))


def report(run: RunFolder) -> None:
    writer = ProgressWriter(run.progress, run.attempt, 0)
    writer.write(Progress(run.attempt, 1, {"score": 1.0}, 0.1))
    writer.close()


def pauses(played: Played) -> bool:
    """A training that saves itself when asked."""
    if played.folder.read_request(1) is None:
        return False
    played.folder.write_outcome(Outcome("paused", 1))
    return True


def test_it_runs_what_it_is_told_until_it_is_dismissed(place, run, requeued) -> None:
    order(place, 3, run)
    seen = []

    def ends(played: Played) -> bool:
        played.folder.write_outcome(Outcome("done", 1))
        return True

    def watch() -> None:
        until = time.monotonic() + 60.0
        while time.monotonic() < until:
            state = place.read_state()
            if state is not None and state.ended == 3:
                seen.append(state)
                place.write_order(WorkOrder(4, "dismiss"))
                return
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    state = work(place, ends)
    watcher.join()
    assert (seen[0].stage, seen[0].outcome, seen[0].death) == ("idle", True, None)
    assert (seen[0].job, seen[0].token, seen[0].life) == ("7", "t", 1)
    assert (state.stage, state.serial) == ("left", 4)
    assert requeued == []


@pytest.mark.parametrize(
    ("number", "stage", "again"), [(SIGNAL, "requeued", [SIGNAL]), (signal.SIGTERM, "left", [])]
)
def test_a_notice_saves_the_run(place, run, requeued, number, stage, again) -> None:
    """At its time limit the job is requeued; whoever sends SIGTERM decides that himself."""
    order(place, 1, run)

    def step(played: Played) -> bool:
        if played.waits == 3:
            os.kill(os.getpid(), number)
        return pauses(played)

    state = work(place, step, notice_seconds=60.0)
    assert state.stage == stage
    assert (state.ended, state.outcome, state.death) == (1, True, None)
    assert run.read_outcome() == Outcome("paused", 1)
    assert requeued == again


def test_a_prune_that_was_asked_before_the_notice_stands(place, run, requeued) -> None:
    order(place, 1, run)
    asked = EndRequest("prune", 1, "behind")

    def step(played: Played) -> bool:
        if played.waits == 3:
            played.folder.write_request(asked)
            os.kill(os.getpid(), SIGNAL)
        return played.waits > 10

    work(place, step, notice_seconds=60.0)
    assert run.read_request(1) == asked


@pytest.mark.parametrize("came_forward", [True, False])
def test_a_run_that_does_not_save_itself_in_time(place, run, requeued, came_forward) -> None:
    """It goes on from its last checkpoint, unless a whole job was not enough for one report."""
    order(place, 1, run)

    def step(played: Played) -> bool:
        if played.waits == 3:
            if came_forward:
                report(played.folder)
            os.kill(os.getpid(), SIGNAL)
        return False

    state = work(place, step, walltime_seconds=0.8)
    outcome = run.read_outcome()
    assert (outcome.state if outcome else None) == ("paused" if came_forward else None)
    assert state.outcome == came_forward
    if not came_forward:
        assert state.worker_death is not None
        assert "reported nothing" in str(state.worker_death)


def test_kill_ends_the_run_and_not_the_worker(place, run, requeued) -> None:
    order(place, 1, run)

    def step(played: Played) -> bool:
        if played.waits == 3:
            place.write_order(WorkOrder(2, "kill"))
        return False

    def dismiss() -> None:
        until = time.monotonic() + 60.0
        while (said := place.read_state()) is None or said.ended < 2:
            assert time.monotonic() < until
            time.sleep(0.002)
        killed.append(said)
        place.write_order(WorkOrder(3, "dismiss"))

    killed: list[WorkerState] = []
    other = threading.Thread(target=dismiss)
    other.start()
    work(place, step)
    other.join()
    assert killed[0].stage == "idle"
    assert killed[0].worker_death == WorkerDeath(signal=9)
    assert run.read_outcome() is None


def test_a_worker_whose_coordinator_is_silent_finishes_its_run_and_ends(
    place, run, requeued
) -> None:
    order(place, 1, run)

    def step(played: Played) -> bool:
        time.sleep(0.01)
        if played.waits < 30:
            return False
        played.folder.write_outcome(Outcome("done", 1))
        return True

    state = work(place, step, orphan_seconds=0.1)
    assert run.read_outcome() == Outcome("done", 1)
    assert (state.stage, state.outcome) == ("left", True)


def test_signs_of_a_coordinator_keep_it(place, requeued) -> None:
    over = threading.Event()

    def sign() -> None:
        for beat in range(2, 12):
            time.sleep(0.05)
            place.write_coordinator(beat)
        over.set()

    coordinator = threading.Thread(target=sign)
    coordinator.start()
    work(place, pauses, orphan_seconds=0.3)
    assert over.is_set()
    coordinator.join()


def test_a_worker_without_work_ends(place, requeued) -> None:
    assert work(place, pauses, idle_seconds=0.05).stage == "left"


def test_at_its_time_limit_a_job_without_a_coordinator_is_not_requeued(
    place, run, requeued
) -> None:
    order(place, 1, run)

    def step(played: Played) -> bool:
        if played.waits == 30:
            os.kill(os.getpid(), SIGNAL)
        time.sleep(0.01)
        return pauses(played)

    assert work(place, step, orphan_seconds=0.1, notice_seconds=60.0).stage == "left"
    assert requeued == []
    assert run.read_outcome() == Outcome("paused", 1)


def test_a_run_that_was_begun_elsewhere_is_ended_here(place, run, requeued) -> None:
    order(place, 1, run)

    def step(played: Played) -> bool:
        if played.waits == 3:
            played.folder.begin_attempt()
        return False

    state = work(place, step, orphan_seconds=0.1)
    assert state.worker_death == WorkerDeath(signal=9)
    assert run.read_outcome() is None


def test_a_folder_that_it_does_not_see_is_said(place, run, requeued, tmp_path) -> None:
    place.write_order(WorkOrder(1, "run", str(tmp_path / "elsewhere"), 1))
    with pytest.raises(TunewrightError, match="does not see"):
        work(place, pauses)
    state = place.read_state()
    assert state is not None
    assert (state.stage, state.untaken) == ("left", True)
    assert "does not see" in state.problem


def test_a_folder_that_a_file_system_shows_late_is_awaited(
    place, run, requeued, monkeypatch
) -> None:
    monkeypatch.setattr(worker_module, "PATIENCE_SECONDS", 60.0)
    (run.path / "attempt.json").rename(run.path / "later")
    place.write_order(WorkOrder(1, "run", str(run.path), 1))
    timer = threading.Timer(0.1, (run.path / "later").rename, [run.path / "attempt.json"])
    timer.start()

    def ends(played: Played) -> bool:
        played.folder.write_outcome(Outcome("done", 1))
        return True

    assert work(place, ends, orphan_seconds=0.5).outcome
    timer.join()


def test_a_second_life_says_what_became_of_the_first(place, run, requeued) -> None:
    order(place, 1, run)
    before = WorkerState("t", 5, 1, "running", serial=1, folder=str(run.path), attempt=1)
    place.write_state(before)
    state = work(place, pauses, idle_seconds=0.05)
    assert (state.life, state.ended, state.outcome) == (2, 1, False)
    assert state.worker_death == WorkerDeath(reason=LOST)


def test_a_second_life_does_not_take_an_order_of_the_first(place, run, requeued) -> None:
    place.write_state(WorkerState("t", 5, 1, "requeued", serial=0))
    order(place, 1, run)
    state = work(place, pauses, idle_seconds=0.05)
    assert (state.serial, state.ended, state.untaken) == (1, 1, True)
    assert run.read_outcome() is None


def test_a_run_that_sigterm_has_ended_goes_on_later(place, run, requeued) -> None:
    """SLURM sends it to every process of the job, also to a script, which then fails."""
    order(place, 1, run)

    def step(played: Played) -> bool:
        if played.waits == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            played.folder.write_outcome(Outcome("failed", 1, "error", "ended by signal 15"))
            return True
        return False

    state = work(place, step, notice_seconds=60.0)
    assert (state.stage, state.outcome) == ("left", True)
    assert run.read_outcome() == Outcome("paused", 1)
