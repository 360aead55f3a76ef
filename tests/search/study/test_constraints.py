"""Constraints on outcomes: read, judged, told to the sampler, and never the winner."""

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from practice.quadratic.studies import tuned

import tunewright
from tunewright.errors import ConfigError, RunError, StudyError
from tunewright.recipes.registry import find_recipe
from tunewright.search.study.constraints import Constraint, constraints

SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0}}


def heavy(params, report):
    """Better with x, and larger."""
    return {"value": params["x"], "mass": 10 * params["x"]}


def anything(_metric: str) -> bool:
    return True


def test_what_is_written_is_read() -> None:
    read = constraints(["size_mib <= 10", "val_recall_1>=0.5"], anything)
    assert read == (Constraint("size_mib", True, 10.0), Constraint("val_recall_1", False, 0.5))
    assert [c.text for c in read] == ["size_mib <= 10", "val_recall_1 >= 0.5"]
    assert read[0].excess({"size_mib": 12.0}) == 2.0
    assert read[1].excess({"val_recall_1": 0.75}) == -0.25
    assert read[0].excess({}) == 0.0, "what is not known is not broken"


def test_a_rounding_breaks_no_constraint() -> None:
    for text in ("gap <= 0.3", "gap >= 0.3"):
        [read] = constraints([text], anything)
        for measured in (0.1 + 0.2, 0.3, 0.6 - 0.3):
            assert read.excess({"gap": measured}) == 0.0
    [tight] = constraints(["gap <= 0.3"], anything)
    assert tight.excess({"gap": 0.300001}) > 0.0


@pytest.mark.parametrize(
    "text", ["size_mib < 10", "size_mib <= ten", "<= 3", "a <= nan", "a <= b c"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="METRIC <= NUMBER"):
        constraints([text], anything)


def test_a_metric_that_no_run_measures_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'size_mb', which no run measures.*size_mib"):
        constraints(["size_mb <= 3"], find_recipe("pairs").measures)


def test_the_best_is_within_the_constraint_and_the_sampler_learns_it(
    tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    found = tunewright.tune(
        heavy,
        SPACE,
        "executor.type=inline",
        constraints=["mass <= 3"],
        trials=40,
        name="light",
        runs_dir=tmp_path,
    )
    best = found.record.best
    assert best is not None
    assert 0.2 < best.score <= 0.3
    broken = found.record.of_state("infeasible")
    assert broken
    assert all(trial.cause == "constraint" and trial.score > 0.3 for trial in broken)
    assert "mass is" in broken[0].reason
    assert "violating mass <= 3" in broken[0].reason
    late = [trial.state for trial in found.record.trials[20:]]
    assert late.count("infeasible") <= 0.55 * len(late), "of random draws 70 % would break it"
    stored = optuna.load_study(
        study_name="light", storage=optuna_storage(f"sqlite:///{tmp_path}/light/study.db")
    )
    assert stored.best_trial.number == best.number
    assert {frozenset(trial.constraints) for trial in stored.trials} == {
        frozenset({"failure", "mass <= 3"})
    }
    summary = json.loads(found.folder.summary.read_text())
    assert summary["failures_by_cause"] == {"constraint": len(broken)}


def test_a_constraint_that_was_not_measured_fails_the_trial(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="volume was not measured"):
        tunewright.tune(
            heavy,
            SPACE,
            "executor.type=inline",
            constraints=["volume <= 3"],
            trials=1,
            runs_dir=tmp_path,
        )
    found = tunewright.analyze("heavy", runs_dir=tmp_path)
    assert found.record.trials[0].state == "failed"
    assert found.record.trials[0].reason == "volume was not measured"


def climbing(params, report):
    for step in range(1, 9):
        report(step, params["x"] * step)
    return params["x"] * 8


def test_a_pruned_trial_stays_pruned_whatever_its_constraints(tmp_path: Path) -> None:
    found = tunewright.tune(
        climbing,
        SPACE,
        "executor.type=inline",
        constraints=["value >= 7"],
        steps=8,
        trials=12,
        runs_dir=tmp_path,
    )
    reasons = {t.state: t.reason for t in found.record.trials if "rung" in t.reason}
    assert set(reasons) == {"pruned"}


def test_other_constraints_are_another_study(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=1", "study.constraints=['seconds <= 60']")
    with pytest.raises(StudyError, match=r"has the constraints .'seconds <= 60'."):
        tuned(tmp_path, "study.trials=2")


@pytest.mark.parametrize("cost", ["parameters", "size_mib", "latency_ms", "seconds"])
def test_every_trained_model_has_its_costs(tmp_path: Path, cost: str) -> None:
    found = tunewright.tune(
        "blobs",
        "study.trials=1",
        "study.final=false",
        "executor.type=inline",
        f"study.constraints=['{cost} >= 1e-9']",
        runs_dir=tmp_path,
    )
    [trial] = found.record.trials
    assert (trial.state, trial.reason) == ("done", "")
    assert trial.constraints[f"{cost} >= 1e-09"] < 0


def test_a_cost_may_be_the_second_goal(tmp_path: Path) -> None:
    found = tunewright.tune(
        "blobs",
        "goal=[val_loss,parameters,latency_ms]",
        "study.trials=3",
        "executor.type=inline",
        runs_dir=tmp_path,
    )
    assert all(
        t.others.keys() == {"parameters", "latency_ms"} for t in found.record.of_state("done")
    )
    assert found.final is not None
    assert found.final.outcomes[0].costs["latency_ms"] > 0
