"""A search ends before its last trial: space exhausted, nothing better, or nothing but failures."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import tunewright
from tunewright.analysis.findings.changes import more_trials
from tunewright.cli.output.results import print_tuned
from tunewright.errors import RunError

INLINE = ("executor.type=inline", "study.pruner.type=none")
X = {"x": {"type": "int", "low": 0, "high": 1000}}


def tune(function, runs, *words, space=None, name="study", **named):
    named = {"goal": "value:max", "trials": 12, **named}
    return tunewright.tune(function, space or X, *INLINE, *words, name=name, runs_dir=runs, **named)


def printed(tuned):
    console = Console(file=StringIO(), width=200)
    print_tuned(console, tuned)
    return console.file.getvalue()


def numbers(runs, name="study"):
    return [t.number for t in tunewright.analyze(name, runs_dir=runs).record.own]


def test_an_exhausted_space_ends_the_search_and_each_resume(tmp_path, capsys):
    """The rule bounds a range that no list of points foresees."""
    space = {
        "parameters": {"x": {"type": "int", "low": 0, "high": 1500}},
        "forbid": [{"x": {"above": 20}}],
    }
    words = "study.sampler.type=random"
    for _ in range(2):
        tuned = tune(lambda params, report: params["x"], tmp_path, words, space=space, trials=30)
        assert sorted(t.parameters["x"] for t in tuned.record.trials) == list(range(21))
        assert "the search ends after 21 of 30 trials" in capsys.readouterr().err
        assert tuned.exhausted
        assert "continues the search" not in printed(tuned)
    assert tunewright.analyze("study", runs_dir=tmp_path).context.exhausted


def test_a_report_advises_no_more_trials_of_an_exhausted_space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search_on = "twice as many trials"
    space = {"inherit": False, "parameters": {"x": {"choices": [0.0, 0.2, 0.4]}}}
    for trials, advised in ((2, True), (4, False)):
        tunewright.tune(
            "quadratic", *INLINE, "study.final=false", "training.epochs=1", name="study",
            trials=trials, space=space,
        )  # fmt: skip
        page = tunewright.report("study").file.read_text()
        assert (search_on in page) == advised
    context = tunewright.analyze("study").context
    assert more_trials(context, 9).startswith("tunewright train")
    assert more_trials(replace(context, recipe="function"), 9).startswith("# every point")


def test_a_search_that_can_go_on_says_how(tmp_path):
    tuned = tune(lambda params, report: params["x"], tmp_path, trials=2)
    assert not tuned.exhausted
    assert "with --trials 4   # continues the search" in printed(tuned)


def test_failures_for_one_reason_end_the_search(tmp_path):
    def fails(params, report):
        raise KeyError(f"no column {params['x']!r}")

    with pytest.raises(RunError, match="the first 5 trials failed for one reason: KeyError"):
        tune(fails, tmp_path)
    assert len(numbers(tmp_path)) == 5
    with pytest.raises(RunError, match="the first 5 trials failed for one reason"):
        tune(fails, tmp_path)  # another session tries again: the cause may be mended
    assert len(numbers(tmp_path)) == 10


def test_failures_for_several_reasons_do_not(tmp_path):
    reasons = iter(["no memory bank", "no such file"] * 4)

    def fails(params, report):
        raise ValueError(next(reasons))

    with pytest.raises(RunError, match=r"no trial of 'study' finished: .* 8 failed; 4 of them"):
        tune(fails, tmp_path, trials=8)


def test_where_all_violate_a_constraint_the_nearest_is_named(tmp_path):
    words = ("study.sampler.type=grid", "study.constraints=['size <= 5']")
    space = {"x": {"type": "int", "low": 3, "high": 7}}
    with pytest.raises(RunError, match=r"trial \d comes nearest to the constraints: size is 6"):
        tune(lambda params, report: {"value": 1.0, "size": 2.0 * params["x"]}, tmp_path, *words,
             space=space, trials=5)  # fmt: skip


def test_a_success_is_no_systematic_failure(tmp_path, capsys):
    calls = []

    def mostly(params, report):
        calls.append(params["x"])
        if len(calls) > 1:
            raise OSError("gone")
        return 1.0

    assert tune(mostly, tmp_path, trials=9).record.best.score == 1.0
    assert "8 of 9 trials failed: the same command with --retry-failed" in capsys.readouterr().err


def test_max_failures_counts_those_in_a_row(tmp_path):
    ends = iter([1.0, None, None, 2.0, None, None, None, 3.0])

    def sometimes(params, report):
        if (value := next(ends)) is None:
            raise ValueError("no luck")
        return value

    with pytest.raises(RunError, match="3 trials in a row failed, the last one: ValueError"):
        tune(sometimes, tmp_path, "study.max_failures=3")
    assert numbers(tmp_path) == list(range(7))
    assert (tmp_path / "study" / "best_config.yaml").exists()


def test_patience_counts_trials_that_bring_nothing_better(tmp_path):
    values = iter([1.0, 3.0, 2.0, 3.0, 1.0, 9.0])
    tuned = tune(lambda params, report: next(values), tmp_path, "study.patience=3")
    assert [trial.score for trial in tuned.record.trials] == [1.0, 3.0, 2.0, 3.0, 1.0]
    again = tune(lambda params, report: next(values), tmp_path, "study.patience=3")
    assert len(again.record.trials) == 5


def test_failed_trials_run_again_with_their_numbers_and_settings(tmp_path):
    seen = []

    def needs_a_mount(params, report):
        seen.append(params["x"])
        report(1, 5.0)
        if len(seen) in (2, 4):
            raise OSError("not mounted") if len(seen) == 2 else RuntimeError("driver lost")
        return float(params["x"])

    tune(needs_a_mount, tmp_path, trials=5)
    with pytest.raises(
        tunewright.errors.UsageError, match="no trial of 'study' failed for 'killed'"
    ):
        tune(needs_a_mount, tmp_path, trials=5, retry_failed="killed")
    for which, number in (("driver lost", 3), (True, 1)):
        tuned = tune(needs_a_mount, tmp_path, trials=5, retry_failed=which)
        trial = tuned.record.trials[number]
        assert (trial.state, trial.score) == ("done", float(seen[number]))
        assert seen[-1] == seen[number]
    assert len(seen) == 7
    assert re.fullmatch(r"\d+", str(tuned.folder.trial(1).attempt))


@pytest.mark.parametrize("sampler", ["grid", "tpe", "quasi_random"])
def test_the_holes_of_a_finite_space_are_filled_last(sampler, tmp_path):
    seen, mended = [], tmp_path / "mended"

    def function(params, report):
        seen.append(params["x"])
        if params["x"] in ("b", "d") and not mended.exists():
            raise OSError("not there")
        return {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}[params["x"]]

    space = {"x": {"choices": ["a", "b", "c", "d"]}}
    words = f"study.sampler.type={sampler}"
    tune(function, tmp_path, words, space=space, trials=4)
    mended.touch()
    tuned = tune(function, tmp_path, words, space=space, trials=9)
    assert sorted(seen[4:]) == ["b", "d"]
    assert tuned.record.best.parameters == {"x": "d"}


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_function_may_change_the_working_directory(executor, tmp_path, monkeypatch):
    from practice.functions import wanders

    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").write_text("0.25")
    jobs = {"jobs": 1} if executor == "local" else {}
    tuned = tunewright.tune(
        wanders, X, f"executor.type={executor}", goal="value:max", trials=2, name="w", **jobs
    )
    assert Path.cwd() == tmp_path
    assert [trial.score for trial in tuned.record.trials] == [0.25, 0.25]
    assert tuned.folder.path == tmp_path / "runs" / "w"


@pytest.mark.parametrize(
    ("goal", "target", "count"), [("value:max", 3, 4), ("value:min", -3, 4), ("value:max", 99, 12)]
)
def test_the_search_ends_when_a_trial_reaches_the_target(goal, target, count, tmp_path, capsys):
    scores = iter(range(99))
    sign = 1 if goal.endswith("max") else -1

    def function(params, report):
        return sign * next(scores)

    for _ in range(2):  # a resume finds it reached
        tune(function, tmp_path, f"study.target={target}", goal=goal)
        assert len(numbers(tmp_path)) == count
    assert (f"(study.target={target})" in capsys.readouterr().err) == (count < 12)


def test_a_resume_with_a_better_target_goes_on(tmp_path):
    scores = iter(range(99))
    tune(lambda params, report: next(scores), tmp_path, "study.target=2")
    tune(lambda params, report: next(scores), tmp_path, "study.target=5")
    assert len(numbers(tmp_path)) == 6
