"""Several goals at once: the front, what prunes, what wins, and what Optuna has of it."""

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import RDBStorage
from practice.quadratic.studies import tuned

import tunewright
from tunewright.errors import ConfigError, RunError, StudyError
from tunewright.runs.record import Goal, StudyRecord, Trial, losses
from tunewright.search.read_study import read_study
from tunewright.search.stages import TuneResult

SPACE = {
    "x": {"type": "float", "low": 0.0, "high": 2.0},
    "y": {"type": "float", "low": 0.0, "high": 1.0},
}


def two(params, report):
    """The textbook front: x in 0..1 with y = 0 (Schaffer's first problem, shifted by y)."""
    for step in (1, 2, 3, 4):
        near = params["x"] ** 2 + params["y"] + 1 / step
        report(step, metrics={"near": near})
    return {"near": params["x"] ** 2 + params["y"], "far": (params["x"] - 1) ** 2 + params["y"]}


def search(folder: Path, *overrides: str, sampler: str = "tpe", trials: int = 40) -> TuneResult:
    return tunewright.tune(
        two,
        SPACE,
        f"study.sampler.type={sampler}",
        *overrides,
        goal=["near:min", "far:min"],
        steps=4,
        trials=trials,
        jobs=1,
        name="two",
        runs_dir=folder,
    )


@pytest.mark.parametrize(
    ("sampler", "trials"), [("tpe", 40), ("random", 40), ("quasi_random", 40), ("gp", 13)]
)
def test_a_front_is_found(tmp_path: Path, sampler: str, trials: int) -> None:
    alone = ("study.pruner.type=none", "executor.type=inline")
    found = search(tmp_path, *alone, sampler=sampler, trials=trials)
    front = found.record.front()
    assert len(front) >= 3
    firsts = [trial.score for trial in front]
    seconds = [trial.others["far"] for trial in front]
    assert firsts == sorted(firsts)
    assert seconds == sorted(seconds, reverse=True), "a front trades one goal for the other"
    assert found.record.best == front[0]
    assert found.record.rank_trials()[: len(front)] == front


def test_the_first_goal_prunes_and_a_resume_goes_on(tmp_path: Path) -> None:
    inline = "executor.type=inline"
    first = search(tmp_path, inline, trials=12)
    assert first.record.of_state("pruned"), "by its curve, which is of the first goal"
    again = search(tmp_path, inline, trials=20)
    assert len(again.record.trials) == 20
    assert again.record.trials[:12] == first.record.trials
    by_number = {trial.number: trial for trial in again.record.trials}
    assert all(by_number[n].curve for n in range(20)), "curves survive in the database"


def test_optuna_and_the_files_have_the_front(
    tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    found = search(tmp_path, "study.pruner.type=none", "executor.type=inline", trials=12)
    stored = optuna.load_study(
        study_name="two", storage=optuna_storage(f"sqlite:///{tmp_path}/two/study.db")
    )
    assert [d.name for d in stored.directions] == ["MINIMIZE", "MINIMIZE"]
    front = [trial.number for trial in found.record.front()]
    assert sorted(trial.number for trial in stored.best_trials) == sorted(front)
    summary = json.loads(found.folder.summary.read_text())
    assert [row["trial"] for row in summary["front"]] == front
    assert set(summary["front"][0]) == {"trial", "near", "far"}
    shown = read_study("two", runs=tmp_path).overview
    assert shown.front == front
    assert shown.top[0]["others"].keys() == {"far"}
    assert set(shown.importances) <= {"x", "y"}


def test_a_goal_that_was_not_measured_fails_the_trial_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="missing was not measured"):
        tunewright.tune(
            two,
            SPACE,
            "executor.type=inline",
            "study.pruner.type=none",
            goal=["near:min", "missing"],
            trials=2,
            runs_dir=tmp_path,
        )
    found = tunewright.analyze("two", runs_dir=tmp_path)
    assert {trial.state for trial in found.record.trials} == {"failed"}
    assert "missing was not measured" in found.record.trials[0].reason


def test_memory_is_a_goal_of_every_run(tmp_path: Path) -> None:
    inline = ("executor.type=inline", "study.pruner.type=none")
    found = tunewright.tune(
        two, SPACE, *inline, goal=["near:min", "memory_mib"], trials=2, runs_dir=tmp_path
    )
    assert [trial.state for trial in found.record.trials] == ["done", "done"]
    assert all(trial.others["memory_mib"] > 0 for trial in found.record.trials)


def test_cma_es_and_costs_that_cannot_prune_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cma_es with 2 goals"):
        search(tmp_path, sampler="cma_es")
    with pytest.raises(ConfigError, match="known only at the end of a run"):
        tuned(tmp_path, "goal=[seconds,val_score]")
    with pytest.raises(ConfigError, match=r"size_mib, which is known only.*Put another goal first"):
        tunewright.tune("blobs", "goal=[size_mib,val_loss]", "study.pruner.type=none")
    with pytest.raises(ConfigError, match="each metric once"):
        tuned(tmp_path, "goal=[val_score,'val_score:min']")


def test_other_goals_are_another_study(tmp_path: Path) -> None:
    search(tmp_path, "executor.type=inline", trials=2)
    with pytest.raises(StudyError, match="has the goal 'near:min, far:min'"):
        tunewright.tune(
            two, SPACE, goal="near:min", steps=4, trials=3, name="two", runs_dir=tmp_path
        )


def finished(scores: list[tuple[float, float]]) -> StudyRecord:
    trials = tuple(
        Trial(number, "done", {}, first, {}, others={"b": second})
        for number, (first, second) in enumerate(scores)
    )
    return StudyRecord("s", "r", "a", "max", trials, (Goal("b", "min"),))


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
def test_the_front_is_what_no_trial_beats(scores: list[tuple[int, int]]) -> None:
    record = finished([(float(a), float(b)) for a, b in scores])
    front = {losses(trial, record.goals) for trial in record.front()}
    every = {losses(trial, record.goals) for trial in record.trials}
    unbeaten = {one for one in every if not any(beats(other, one) for other in every)}
    assert front == unbeaten
    assert len(record.rank_trials()) == len(scores)
    assert record.rank_trials()[0] == record.best
