"""Several seeds a configuration: what runs, what is told, what survives an interruption."""

import sqlite3
import statistics
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

import tunewright
from tunewright.errors import RunError, StudyError
from tunewright.runs.record import Goal, Outcome
from tunewright.search.loop.trial_result import aggregate_runs
from tunewright.search.read_study import read_study

SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
GOAL = (Goal("value", "max"),)
INLINE = "executor.type=inline"


def noisy(params, report):
    """Its noise is a function of the folder, as a training's is of its seed."""
    for step in (1, 2, 3, 4):
        report(step, params["x"])
    return params["x"] + _seed(report) / 1000


def _seed(report):
    name = report.folder.parent.name
    return int(name.removeprefix("seed-")) if name.startswith("seed-") else 42


def breaks_by_one_seed(params, report):
    if _seed(report) == 43:
        raise MemoryError
    return params["x"]


def search(folder: Path, function=noisy, *overrides: str, trials: int = 8, **rest):
    return tunewright.tune(
        function,
        SPACE,
        *(() if any("seeds=" in word for word in overrides) else ("study.seeds=3",)),
        *overrides,
        steps=4,
        trials=trials,
        name="noise",
        runs_dir=folder,
        **rest,
    )


def test_the_mean_over_seeds_is_the_score(tmp_path: Path) -> None:
    found = search(tmp_path, noisy, INLINE)
    done = found.record.of_state("done")
    assert done
    for trial in done:
        x = trial.parameters["x"]
        assert trial.seeds == pytest.approx({"42": x + 0.042, "43": x + 0.043, "44": x + 0.044})
        assert trial.score == pytest.approx(x + 0.043)
        low, high = trial.interval
        assert low < trial.score < high
        folder = found.folder.trial(trial.number)
        assert folder.by_seed(43).read_config()["seed"] == 43
        assert folder.by_seed(44).read_outcome().state == "done"
    top = read_study("noise", runs=tmp_path).overview.top[0]
    assert set(top["seeds"]) == {"42", "43", "44"}


def test_only_a_configuration_that_reaches_its_end_is_run_again(tmp_path: Path) -> None:
    found = search(tmp_path, noisy, INLINE, trials=12)
    pruned = found.record.of_state("pruned")
    assert pruned
    for trial in pruned:
        assert len(found.folder.trial(trial.number).with_seeds()) == 1


def test_a_configuration_that_fails_by_one_seed_is_infeasible(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="2 of them: seed 43: the machine could not"):
        search(tmp_path, breaks_by_one_seed, INLINE, "study.pruner.type=none", trials=2)
    found = tunewright.analyze(tmp_path / "noise")
    assert [trial.state for trial in found.record.trials] == ["infeasible"] * 2


@pytest.mark.slow
def test_workers_share_the_seeds_and_a_resume_adds_trials(tmp_path: Path) -> None:
    first = search(tmp_path, noisy, "study.pruner.type=none", trials=2, jobs=2)
    assert [len(trial.seeds) for trial in first.record.trials] == [3, 3]
    again = search(tmp_path, noisy, "study.pruner.type=none", trials=3, jobs=2)
    assert [len(trial.seeds) for trial in again.record.trials] == [3, 3, 3]
    assert again.record.trials[:2] == first.record.trials


def test_other_seeds_are_another_study(tmp_path: Path) -> None:
    search(tmp_path, noisy, INLINE, trials=1)
    with pytest.raises(StudyError, match=r"has 3 seed\(s\) per configuration, but 2"):
        search(tmp_path, noisy, INLINE, "study.seeds=2", trials=2)


def test_a_run_that_was_called_off_says_only_that_another_decided() -> None:
    outcomes = {
        42: Outcome("done", 1, metrics={"value": 0.5}),
        43: Outcome("failed", 1, "interrupted"),
        44: Outcome("failed", 1, "diverged", "NaN"),
    }
    trial = aggregate_runs(0, {}, {}, outcomes, GOAL)
    assert (trial.state, trial.cause, trial.reason) == ("infeasible", "diverged", "seed 44: NaN")


def test_seeds_that_ran_before_an_interruption_are_not_run_again(tmp_path: Path) -> None:
    """A kill came after the second of three runs, before the study was told."""
    first = search(tmp_path, noisy, INLINE, "study.pruner.type=none", trials=1)
    folder = first.folder.trial(0)
    kept = folder.by_seed(43).outcome.read_bytes()
    folder.by_seed(44).outcome.unlink()
    with closing(sqlite3.connect(first.folder.database)) as database, database:
        database.execute("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL")
        database.execute("DELETE FROM trial_values")
    again = search(tmp_path, noisy, INLINE, "study.pruner.type=none", trials=1)
    [trial] = again.record.trials
    assert trial.seeds == first.record.trials[0].seeds
    assert folder.by_seed(43).outcome.read_bytes() == kept
    assert (folder.attempt, folder.by_seed(43).attempt, folder.by_seed(44).attempt) == (1, 1, 2)


@given(
    st.lists(st.floats(-10, 10), min_size=3, max_size=6).filter(
        lambda v: statistics.stdev(v) > 1e-3
    )
)
def test_the_interval_is_that_of_students_t(values: list[float]) -> None:
    outcomes = {n: Outcome("done", 1, metrics={"value": v}) for n, v in enumerate(values)}
    trial = aggregate_runs(0, {}, {}, outcomes, GOAL)
    expected = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert trial.interval == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


def test_one_seed_has_the_interval_of_its_run() -> None:
    outcome = Outcome("done", 1, metrics={"value": 0.5}, interval=(0.4, 0.6))
    assert aggregate_runs(0, {}, {}, {42: outcome}, GOAL).interval == (0.4, 0.6)


def test_seeds_that_all_reach_the_bound_are_not_certain_of_it() -> None:
    outcome = Outcome("done", 1, metrics={"value": 1.0}, interval=(0.9, 1.0))
    trial = aggregate_runs(0, {}, {}, {1: outcome, 2: outcome, 3: outcome}, GOAL)
    assert trial.interval == (0.9, 1.0)
