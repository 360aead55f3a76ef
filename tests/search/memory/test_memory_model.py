"""Memory in whole studies: real workers with a limit, and what their runs ask for."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from practice.quadratic.studies import tuned

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.errors import ConfigError, RunError
from tunewright.executors import host_memory
from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.executors.local import LocalExecutor
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome
from tunewright.search.callbacks import StudyCallback
from tunewright.search.memory import memory_model
from tunewright.search.memory.memory_model import Memory
from tunewright.search.memory.oom_retry import RetryLevel, next_retry, retry_level_of
from tunewright.search.prepare import run_part
from tunewright.search.stages import TuneResult, train, tune
from tunewright.spaces.read import parse_space

HUNGRY = find_recipe("hungry")
WORKERS = ("executor.type=local", "executor.threads=1")
ROOM_MIB = 120
"""Beyond an idle worker; what the tests take is far from it, on either side."""
TOO_MUCH_MIB = 1e7


class Recorder(StudyCallback):
    """Keeps what a study said."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def studied(
    runs: Path, choices: Mapping[str, list[float]], *words: str
) -> tuple[TuneResult, Recorder]:
    """A study of `hungry` over a grid, in two workers."""
    space = {
        f"appetite.{name}": {"type": "categorical", "choices": values}
        for name, values in choices.items()
    }
    given = parse_space({"parameters": space}, Path("space.yaml"), {})
    all_words = [
        *WORKERS, "study.name=study", "study.jobs=2", "study.final=false", "study.pruner.type=none",
        "study.sampler.type=grid", *words,
    ]  # fmt: skip
    watch = Recorder()
    return tune(HUNGRY, compose(HUNGRY, all_words), given=given, runs=runs, watch=watch), watch


def limit(idle_mib: float) -> str:
    return f"executor.memory_gib={(idle_mib + ROOM_MIB) / 1024}"


@pytest.fixture(scope="module")
def idle_mib(tmp_path_factory: pytest.TempPathFactory) -> float:
    """What a worker holds before it does anything, which differs from torch to torch."""
    folder = RunFolder(tmp_path_factory.mktemp("idle") / "run")
    folder.write_config(run_part(compose(HUNGRY, []).tree))
    executor = LocalExecutor(1, threads=1)
    for _ in range(2):
        folder.begin_attempt()
        [handle] = executor.start([folder], Resources())
        while not handle.ended:
            executor.wait(1.0)
    executor.close()
    outcome = folder.read_outcome()
    assert outcome is not None
    assert 50 < outcome.idle_mib <= outcome.memory_mib
    return outcome.idle_mib


@pytest.mark.parametrize(
    ("rows", "ends"),
    [(10, "batch norm needs at least 2"), (16, "micro-batches of 16 rows (the batch stays 32)")],
)
def test_where_a_small_training_set_ends_the_splitting_batch_norm_is_the_reason(
    rows: int, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunewright.search.memory.oom_retry._rows", lambda _tree: float(rows))
    folder = RunFolder(tmp_path)
    folder.write_config(run_part(compose(HUNGRY, ["training.batch_size=32"]).tree))
    watch = Recorder()
    memory = Memory(ExecutorConfig(), watch.notice)
    memory.slots = 1
    outcome = Outcome("failed", folder.begin_attempt(), "out of memory", "no room")
    assert memory.retry_after_oom("trial 3", folder, outcome) == (rows == 16)
    assert watch.notices[-1].startswith("trial 3 ran out of memory (no room); ")
    assert watch.notices[-1].endswith(ends)
    if rows == 16:  # the next attempt cannot be split further
        outcome = Outcome("failed", folder.begin_attempt(), "out of memory", "no room")
        assert not memory.retry_after_oom("trial 3", folder, outcome)
        assert watch.notices[-1] == (
            "trial 3 ran out of memory (no room); smaller micro-batches are not tried: with 16 "
            "rows in the training set the last of an epoch could get a single one, and batch norm "
            "needs at least 2"
        )


def test_where_the_batch_itself_ends_the_splitting_no_reason_is_made_up(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_config(run_part(compose(HUNGRY, ["training.batch_size=8"]).tree))
    watch = Recorder()
    memory = Memory(ExecutorConfig(), watch.notice)
    memory.slots = 1
    outcome = Outcome("failed", folder.begin_attempt(), "out of memory", "no room")
    assert not memory.retry_after_oom("trial 3", folder, outcome)
    assert watch.notices == []


class TestALimitOfTheWorkersOwn:
    def test_what_does_not_fit_is_trained_in_micro_batches(
        self, tmp_path: Path, idle_mib: float
    ) -> None:
        found, watch = studied(tmp_path, {"row_mib": [0.0, 10.0]}, limit(idle_mib))
        assert [trial.state for trial in found.record.trials] == ["done"] * 2
        [number] = [t.number for t in found.record.trials if t.parameters["appetite.row_mib"]]
        folder = found.folder.trial(number)
        assert retry_level_of(folder) == RetryLevel(1, 4, False)
        assert folder.read_config()["training"]["accumulate"] == 4
        assert "ran out of memory" in folder.config.read_text()
        told = [
            text for text in watch.notices if text.startswith(f"trial {number} ran out of memory")
        ]
        assert len(told) == 2
        assert re.search(r"\(\d[\d,]* MiB more were asked for on the machine\)", told[0])
        assert "alloc_cpu" not in told[0]
        assert "retrying with 4 micro-batches of 8 rows" in told[1]
        scores = {trial.score for trial in found.record.trials}
        assert max(scores) - min(scores) < 1e-6, "the same batch is the same training"
        costs = found.record.trials[number].costs
        assert costs["micro_batches"] == 4
        assert "alone" not in costs
        assert costs["memory_mib"] == _peak(found, number)
        assert "micro_batches" not in found.record.trials[1 - number].costs

    @pytest.mark.slow
    def test_what_fits_only_alone_and_what_never_fits(
        self, tmp_path: Path, idle_mib: float
    ) -> None:
        found, watch = studied(
            tmp_path, {"fixed_mib": [0.0, 200.0, TOO_MUCH_MIB, 1.0]}, limit(idle_mib)
        )
        by_need = {trial.parameters["appetite.fixed_mib"]: trial for trial in found.record.trials}
        assert {need: trial.state for need, trial in by_need.items()} == {
            0.0: "done", 200.0: "done", TOO_MUCH_MIB: "infeasible", 1.0: "done",
        }  # fmt: skip
        assert by_need[TOO_MUCH_MIB].cause == "out of memory"
        for need in (200.0, TOO_MUCH_MIB):
            number = by_need[need].number
            assert retry_level_of(found.folder.trial(number)) == RetryLevel(1, 4, True)
            assert by_need[need].costs["alone"] == 1.0
            told = [t for t in watch.notices if t.startswith(f"trial {number} ran out of memory")]
            assert ["no other trials running" in text for text in told] == [False, False, True]
        workers = {trial.number: _peak(found, trial.number) for trial in by_need.values()}
        assert workers[by_need[200.0].number] > idle_mib + 180
        assert workers[by_need[1.0].number] < idle_mib + 100, "nothing of the others has stayed"

    def test_it_goes_on_from_its_checkpoint(self, tmp_path: Path, idle_mib: float) -> None:
        found, _ = studied(tmp_path, {"row_mib": [10.0]}, limit(idle_mib), "appetite.from_epoch=2")
        [trial] = found.record.trials
        assert trial.state == "done"
        lines = found.folder.trial(0).progress.read_text().splitlines()
        starts = [json.loads(line)["resumed_from"] for line in lines if "resumed_from" in line]
        assert starts == [0, 2, 2]
        assert trial.curve.keys() == {1, 2, 3}

    def test_a_single_training_goes_down_the_same_ladder(
        self, tmp_path: Path, idle_mib: float
    ) -> None:
        watch = Recorder()
        words = [*WORKERS, limit(idle_mib), "appetite.row_mib=10"]
        found = train(HUNGRY, compose(HUNGRY, words), name="run", runs=tmp_path, watch=watch)
        assert found.folders[0].read_config()["training"]["accumulate"] == 4
        told = [text for text in watch.notices if "ran out of memory" in text]
        assert [text.endswith("(the batch stays 32)") for text in told] == [True, True]
        again = train(HUNGRY, compose(HUNGRY, words), name="run", runs=tmp_path)
        assert again == found, "the same command finds it, though its configuration has changed"
        words[-1] = f"appetite.fixed_mib={TOO_MUCH_MIB}"
        with pytest.raises(RunError, match=r"failed \(out of memory\)"):
            train(HUNGRY, compose(HUNGRY, words), name="never", runs=tmp_path)

    def test_the_process_of_the_user_has_none(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"memory_gib = 2.*whose process is yours"):
            tuned(tmp_path, "executor.memory_gib=2")


def _peak(found: TuneResult, number: int) -> float:
    outcome = found.folder.trial(number).read_outcome()
    assert outcome is not None
    reports = read_progress(found.folder.trial(number).progress)
    assert not reports or reports[-1].memory_mib <= outcome.memory_mib
    return outcome.memory_mib


class TestAWorkerThatIsKilled:
    def test_for_lack_of_memory_it_is_tried_alone_and_costs_no_retry(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counted = iter([0, *range(1, 100)])
        monkeypatch.setattr(host_memory, "kills", lambda: next(counted))
        watch = Recorder()
        found = tuned(
            tmp_path, "executor.type=local", "study.jobs=2", "study.trials=2", "faults.epoch=3",
            "faults.kind='signal 9'", "faults.first_attempts=1", "executor.retries=0",
            "study.pruner.type=none", watch=watch,
        )  # fmt: skip
        assert [trial.state for trial in found.record.trials] == ["done"] * 2
        for number in (0, 1):
            assert retry_level_of(found.folder.trial(number)) == RetryLevel(1, 1, True)
            assert (
                f"trial {number} ran out of memory (killed by the kernel for lack of memory); "
                "retrying with no other trials running"
            ) in watch.notices

    def test_for_something_else_it_is_not(self, tmp_path: Path) -> None:
        found = tuned(
            tmp_path, "executor.type=local", "study.jobs=1", "study.trials=1",
            "faults.kind='signal 9'", "executor.retries=0",
        )  # fmt: skip
        assert [trial.cause for trial in found.record.trials] == ["killed"]

    def test_an_abort_that_speaks_of_memory(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        folder.begin_attempt()
        handle = Died(folder, WorkerDeath(signal=6))
        ours = Memory(ExecutorConfig(), lambda text: None)
        folder.log.write_text("what went before: bad_alloc\n" + "x" * 2000)
        assert ours.oom_outcome(handle) is None
        with folder.log.open("a") as log:
            log.write("terminate called after throwing an instance of 'std::bad_alloc'\n")
        outcome = ours.oom_outcome(handle)
        assert outcome is not None
        assert (outcome.cause, outcome.attempt) == ("out of memory", 1)
        assert outcome.reason == "out of memory (killed by signal 6)"
        assert ours.oom_outcome(Died(folder, WorkerDeath(signal=9))) is None, "the kernel would say"


class Died(Handle):
    """A handle of a worker that has died."""

    ended = True

    def __init__(self, folder: RunFolder, death: WorkerDeath) -> None:
        self.folder, self._death = folder, death

    @property
    def death(self) -> WorkerDeath:
        return self._death


class TestWhatARunAsksFor:
    """After a trial of 300 MiB idle and 1,300 at its peak."""

    @pytest.fixture
    def ours(self, tmp_path: Path) -> Memory:
        made = Memory(ExecutorConfig(), lambda text: None, slots=4)
        made.learn(folder_of(tmp_path, 99), {"width": 8}, outcome(1300.0))
        return made

    def test_the_peak_of_one_like_it_with_a_margin(self, ours: Memory, tmp_path: Path) -> None:
        folder = folder_of(tmp_path, 0)
        assert ours.resources_for(folder, {"width": 8}) == Resources(
            memory_mib=1400.0, device_mib=0
        )
        ours.learn(folder_of(tmp_path, 98), {"width": 2}, outcome(350.0))
        assert ours.resources_for(folder, {"width": 2}).memory_mib == pytest.approx(355.0)

    def test_what_failed_teaches_nothing(self, ours: Memory, tmp_path: Path) -> None:
        failed = Outcome("failed", 1, "error", memory_mib=10.0, idle_mib=5.0)
        ours.learn(folder_of(tmp_path, 97), {"width": 8}, failed)
        asked = ours.resources_for(folder_of(tmp_path, 0), {"width": 8})
        assert asked.memory_mib == pytest.approx(1400.0)

    def test_the_last_retry_is_alone_as_is_every_run_in_one_slot(
        self, ours: Memory, tmp_path: Path
    ) -> None:
        lone, other = folder_of(tmp_path, 0), folder_of(tmp_path, 1)
        for _ in range(4):
            next_retry(lone, Outcome("failed", lone.begin_attempt(), "out of memory"), alone=False)
        level = retry_level_of(lone)
        assert level is not None
        assert level.alone
        assert ours.resources_for(lone, {"width": 1}).alone
        assert not ours.resources_for(other, {"width": 1}).alone
        ours.slots = 1
        assert ours.resources_for(other, {"width": 1}).alone


def test_a_run_that_waits_for_memory_is_announced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_memory, "free_mib", lambda: 0.0)
    watch = Recorder()
    found = tuned(
        tmp_path, *WORKERS, "study.jobs=2", "study.trials=2", "epoch_seconds=0.1",
        "study.pruner.type=none", watch=watch,
    )  # fmt: skip
    assert [trial.state for trial in found.record.trials] == ["done"] * 2
    waits = [text for text in watch.notices if "waits" in text]
    assert waits == ["trial 1 waits: needs about 1.5 GiB, 0.0 GiB free"]


def folder_of(study: Path, number: int) -> RunFolder:
    folder = StudyFolder(study).trial(number)
    if not folder.config.exists():
        folder.write_config(run_part(compose(HUNGRY, []).tree))
    return folder


def outcome(memory_mib: float, *, device_mib: float = 0.0) -> Outcome:
    return Outcome("done", 1, memory_mib=memory_mib, device_mib=device_mib, idle_mib=300.0)


def test_what_was_learned_is_there_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[Any] = []
    original = Memory.learn

    def learn(self: Memory, folder: RunFolder, parameters: Any, *rest: Any) -> None:
        original(self, folder, parameters, *rest)
        learned.append((folder.path.name, self._peaks.predict(parameters).memory_mib))

    tuned(tmp_path, "study.trials=2")
    monkeypatch.setattr(Memory, "learn", learn)
    tuned(tmp_path, "study.trials=2")
    assert [name for name, _ in learned] == ["00000", "00001"]
    assert all(0 < mib < 1.2 * memory_model.WORKER_GIB * 1024 * 4 for _, mib in learned)
