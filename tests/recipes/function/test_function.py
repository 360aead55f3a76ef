"""Any function is searched as a recipe is: executors, pruning, resume, study file."""

import contextlib
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from practice.functions import curve, faulty, parabola, patient

import tunewright
from tunewright.errors import RunError, SpaceError, StudyError, UsageError
from tunewright.runs.progress import read_progress
from tunewright.search.signals import Interrupted

X = {"x": {"type": "float", "low": -1.0, "high": 1.0}}
INLINE = "executor.type=inline"

GUARDED = """
import os
import tunewright

def objective(params, report):
    return {"value": params["x"] ** 2, "process": os.getpid()}

def main():
    space = {"x": {"type": "float", "low": -1.0, "high": 1.0}}
    tuned = tunewright.tune(objective, space, goal="value:min", trials=2, name="study", jobs=1)
    outcome = tuned.folder.trial(0).read_outcome()
    where = "same" if outcome.metrics["process"] == os.getpid() else "other"
    print(where, len(tuned.record.trials))

"""


def test_the_example_converges(tmp_path, optuna_storage):
    tuned = tunewright.tune(
        parabola, X, INLINE, goal="value:min", trials=40, name="parabola", runs_dir=tmp_path
    )
    best = tuned.record.best
    assert tuned.final is None
    assert len(tuned.record.of_state("done")) == 40
    assert best.score < 0.01
    assert best.score == best.parameters["x"] ** 2
    stored = optuna.load_study(
        study_name="parabola", storage=optuna_storage(f"sqlite:///{tuned.folder.database}")
    )
    assert stored.best_params == best.parameters
    assert tunewright.analyze("parabola", runs_dir=tmp_path).record.best == best


def test_a_lambda_runs_in_this_process_and_says_why(tmp_path, capsys):
    tuned = tunewright.tune(
        lambda params, report: {"value": params["x"], "process": os.getpid()},
        X,
        trials=2,
        jobs=4,
        runs_dir=tmp_path,
    )
    assert tuned.folder.path.name == "lambda"
    assert tuned.folder.trial(0).read_outcome().metrics["process"] == os.getpid()
    assert (
        "in this process, one at a time instead of 4: it has no importable name"
        in capsys.readouterr().err
    )


def test_reports_prune_in_two_processes(tmp_path):
    tuned = tunewright.tune(curve, X, trials=12, steps=10, jobs=2, runs_dir=tmp_path)
    pruned = tuned.record.of_state("pruned")
    assert pruned
    assert all(max(trial.curve) < 10 for trial in pruned)
    assert tuned.record.best.parameters["x"] == tuned.record.best.score
    seen = {
        progress.metrics["process"]
        for trial in tuned.record.trials
        for progress in read_progress(tuned.folder.trial(trial.number).progress)
    }
    assert len(seen) == 2
    assert os.getpid() not in seen


def test_a_killed_call_goes_on_from_its_own_state(tmp_path):
    tuned = tunewright.tune(patient, X, trials=1, jobs=1, runs_dir=tmp_path)
    folder = tuned.folder.trial(0)
    assert folder.read_outcome().metrics["first"] == 3
    assert [progress.step for progress in read_progress(folder.progress)] == [1, 2, 3]


def test_the_same_call_goes_on_and_the_total_stays(tmp_path):
    def tune(trials, space=X):
        return tunewright.tune(parabola, space, INLINE, trials=trials, runs_dir=tmp_path)

    first = tune(3).record.trials
    assert [trial.number for trial in tune(5).record.trials] == [0, 1, 2, 3, 4]
    assert tune(5).record.trials[:3] == first
    half = tune(5, {"x": {"low": 0.0, "high": 1.0}}).record.trials
    kept = [trial for trial in first if trial.parameters["x"] >= 0.0]
    assert list(half[: len(kept)]) == kept
    assert len(half) == 5


@pytest.mark.parametrize(
    ("fault", "state", "cause", "reason"),
    [
        ("raises", "failed", "error", "ValueError: a bug"),
        ("not finite", "infeasible", "diverged", "value is nan at the end"),
        ("not finite on the way", "infeasible", "diverged", "value is inf at step 1"),
        ("memory", "infeasible", "out of memory", "the machine could not give"),
        ("nothing", "failed", "error", "returned None: expected a number, or a mapping"),
        ("text as goal", "failed", "error", "returned value = 'a.pt': expected a number"),
        (
            "list as goal on the way",
            "failed",
            "error",
            r"at step 2 with value = \[1, 2\]: expected",
        ),
        ("half a step", "failed", "error", "report was called with the step 1.5: expected a whole"),
        ("named step", "failed", "error", "report was called with the step 'first': expected"),
        ("other name", "failed", "error", "goal value was not measured .* expected one of loss"),
    ],
)
def test_how_a_function_can_fail(fault, state, cause, reason, tmp_path, capsys):
    space = {"fault": {"choices": [fault]}}
    with pytest.raises(RunError, match=reason):
        tunewright.tune(faulty, space, INLINE, trials=1, runs_dir=tmp_path)
    record = tunewright.analyze("faulty", runs_dir=tmp_path).record
    [trial] = record.trials
    assert (trial.state, trial.cause) == (state, cause)
    assert re.search(reason, trial.reason)
    assert record.best is None


def test_conditions_and_rules_speak_of_plain_names(tmp_path):
    seen = []

    def function(params, report):
        seen.append(params)
        return {"accuracy": 0.5}

    space = {
        "parameters": {
            "goal": {"choices": ["a", "b"]},
            "optim.lr": {"low": 1e-3, "high": 1.0, "log": True, "when": {"goal": "a"}},
            "copy": {"type": "int", "low": 1, "high": 9},
            "_depth": {"type": "int", "low": 1, "high": 9, "fits": "copy + _depth <= 9"},
        },
        "forbid": [{"goal": "b", "copy": {"at_least": 5}}],
    }
    tuned = tunewright.tune(
        function, space, "params.fixed=7", goal="accuracy", trials=15, runs_dir=tmp_path
    )
    assert {trial.score for trial in tuned.record.trials} == {0.5}
    for params, trial in zip(seen, tuned.record.trials, strict=True):
        assert params["fixed"] == 7
        assert params["copy"] + params["_depth"] <= 9
        assert params["goal"] == "a" or params["copy"] < 5
        assert ("optim" in params) == (params["goal"] == "a") == ("optim.lr" in trial.parameters)


@pytest.mark.parametrize(
    ("function", "space", "message"),
    [
        (parabola, {"x": {"low": 0, "high": 1, "when": {"xy": 1}}}, "names xy, which is not a key"),
        (parabola, {}, "parameters in the space is empty"),
        (parabola, 7, "the space 7: expected a mapping from names to domains"),
        (lambda params: 1.0, X, r"expected one that can be called as function\(params, report\)"),
    ],
)
def test_what_is_refused_before_anything_runs(function, space, message, tmp_path):
    with pytest.raises((SpaceError, UsageError), match=message):
        tunewright.tune(function, space, INLINE, runs_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_alone_runs_no_function(tmp_path):
    tuned = tunewright.tune(parabola, X, INLINE, trials=1, runs_dir=tmp_path)
    with pytest.raises(UsageError, match=r"practice\.functions:parabola: expected the function"):
        tunewright.train(str(tuned.folder.best_config), runs_dir=tmp_path)


@pytest.mark.parametrize(
    ("call", "where"),
    [
        pytest.param(
            "if __name__ == '__main__':\n    main()\n",
            "other 2",
            id="guarded",
            marks=pytest.mark.slow,
        ),
        pytest.param("main()\n", "same 2", id="without a guard"),
        pytest.param(
            "from practice.functions import parabola\n"
            "space = {'x': {'low': -1.0, 'high': 1.0}}\n"
            "tuned = tunewright.tune(parabola, space, trials=2, jobs=1)\n"
            "print('outer', len(tuned.record.of_state('done')))",
            "outer 2",
            id="without a guard, another module's function",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_script_of_its_own(call, where, tmp_path):
    (tmp_path / "script.py").write_text(GUARDED + call)
    ran = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == where
    notice = "without `if __name__" in ran.stderr
    assert notice == (where == "same 2")
    assert Path(tmp_path / "runs").is_dir()


@pytest.mark.parametrize(
    ("steps", "curve", "said"),
    [
        ([1, 2, 3, 1, 2, 3], {1: 0, 2: 1, 3: 2}, "step 1 was reported before: the first value"),
        ([1, 1, 2, 2], {1: 0, 2: 2}, "step 1 was reported before: the first value is kept"),
        (
            [9, 8, 7],
            {9: 0, 8: 1, 7: 2},
            "step 8 was reported after step 9: pruners ignore earlier steps",
        ),
        ([2, 4, 3, 5], {2: 0, 4: 1, 3: 2, 5: 3}, "step 3 was reported after step 4"),
        ([0, 1, 5], {0: 0, 1: 1, 5: 2}, ""),
        ([1.0, np.float32(2), np.int64(3), torch.tensor(4), np.array(5.0)], None, ""),
    ],
)
def test_steps_that_do_not_rise_are_told_once(steps, curve, said, tmp_path, capsys):
    def function(params, report):
        for place, step in enumerate(steps):
            report(step, place)
        return 1.0

    plain = (INLINE, "study.pruner.type=none")
    tuned = tunewright.tune(function, X, *plain, trials=2, steps=20, runs_dir=tmp_path)
    wanted = curve or {place + 1: place for place in range(len(steps))}
    assert [trial.curve for trial in tuned.record.trials] == [wanted, wanted]
    lines = [line for line in capsys.readouterr().err.splitlines() if "was reported" in line]
    assert len(lines) == bool(said)
    assert not said or said in lines[0]


@pytest.mark.parametrize("kept", [True, False], ids=["from its state", "from the beginning"])
def test_steps_of_a_resumed_attempt_are_no_repeats(kept, tmp_path, capsys):
    reports = 0

    def function(params, report):
        nonlocal reports
        saved = report.folder / "step"
        first = int(saved.read_text()) if kept and saved.exists() else 1
        for step in range(first, 6):
            if step == 4 and reports == 3:
                reports += 1
                raise KeyboardInterrupt
            report(step, step / 10)
            reports += 1
            saved.write_text(str(step))
        return 0.5

    def tune():
        return tunewright.tune(function, X, INLINE, trials=1, steps=9, runs_dir=tmp_path)

    with contextlib.suppress(KeyboardInterrupt, Interrupted):
        tune()
    [trial] = tune().record.trials
    assert trial.curve == {step: step / 10 for step in range(1, 6)}
    assert "was reported" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "extra",
    ["a.pt", None, [1, 2], {"a": 1}, np.zeros(3), np.str_("7"), torch.zeros(2, 2), object()],
    ids=lambda extra: type(extra).__name__,
)
@pytest.mark.parametrize("where", ["result", "report"])
def test_what_is_no_number_beside_the_goal_is_left_out_and_told(extra, where, tmp_path, capsys):
    def function(params, report):
        beside = {"note": extra, "n": 3}
        if where == "report":
            report(1, params["x"], metrics=beside)
            return params["x"]
        return {"value": params["x"], **beside}

    tuned = tunewright.tune(function, X, INLINE, trials=3, runs_dir=tmp_path)
    assert [trial.state for trial in tuned.record.trials] == ["done"] * 3
    folder = tuned.folder.trial(0)
    [progress] = read_progress(folder.progress) or [folder.read_outcome()]
    assert progress.metrics == {"value": tuned.record.trials[0].score, "n": 3.0}
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(told) == 1
    assert "trial 0: left out of the results, not a number: note (" in told[0]


@pytest.mark.parametrize(
    "score",
    [
        np.float32(0.5),
        np.array(0.5),
        np.array([0.5]),
        torch.tensor([0.5]),
        torch.tensor(0.5, requires_grad=True),
        Fraction(1, 2),
    ],
)
def test_numbers_of_any_library_are_numbers(score, tmp_path, capsys):
    def function(params, report):
        report(1, metrics={"accuracy": score, "right": np.bool_(True)})
        return {"accuracy": score}

    tuned = tunewright.tune(function, X, INLINE, goal="accuracy", trials=1, runs_dir=tmp_path)
    assert tuned.record.best.score == 0.5
    assert "left out" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choices", "told"),
    [([(3, 3), (5, 5)], 1), ([{"size": (3, 3)}, {"size": (5, 5)}], 1), ([[3, 3], [5, 5]], 0)],
)
def test_tuples_among_the_choices_are_told_to_arrive_as_lists(choices, told, tmp_path, capsys):
    arrived = []

    def kernel(params, report):
        arrived.append(params["kernel"])
        return 1.0

    tunewright.tune(kernel, {"kernel": {"choices": choices}}, name="tuples", runs_dir=tmp_path)
    sizes = [value["size"] if isinstance(value, dict) else value for value in arrived]
    assert sizes == [[3, 3], [5, 5]]
    notices = [line for line in capsys.readouterr().err.splitlines() if "tuple" in line]
    assert len(notices) == told
    assert all("kernel: tuples are stored as lists" in notice for notice in notices)


def test_names_of_parameters_are_the_users_own(tmp_path):
    """`optim.name` is another program's word for our `optim.type`, which means nothing here."""
    arrived = []

    def function(params, report):
        arrived.append(params["optim"])
        return 1.0

    space = {
        "optim.name": {"choices": ["adam", "sgd"]},
        "optim.momentum": {"low": 0.1, "high": 0.9, "when": {"optim.name": "sgd"}},
    }
    tunewright.tune(function, space, trials=8, runs_dir=tmp_path)
    assert {optim["name"] for optim in arrived} == {"adam", "sgd"}
    assert all(("momentum" in optim) == (optim["name"] == "sgd") for optim in arrived)


def test_zero_beside_a_log_scale_is_a_switch_as_the_error_says(tmp_path):
    arrived = []

    def penalty(params, report):
        arrived.append(params.get("alpha", 0.0))
        return 1.0

    alpha = {"type": "float", "low": 0.0, "high": 1.0, "log": True}
    with pytest.raises(SpaceError, match="parameter that switches it on, and `when`"):
        tunewright.tune(penalty, {"alpha": alpha}, runs_dir=tmp_path)
    space = {
        "penalised": {"choices": [False, True]},
        "alpha": {**alpha, "low": 1e-6, "when": {"penalised": True}},
    }
    tunewright.tune(penalty, space, trials=12, name="switch", runs_dir=tmp_path)
    assert 0.0 in arrived
    assert any(1e-6 <= value <= 1.0 for value in arrived)


def test_a_text_under_a_constraint_fails_the_trial(tmp_path):
    with pytest.raises(RunError, match="width was not measured"):
        tunewright.tune(
            lambda params, report: {"value": 1.0, "width": "wide"},
            X,
            trials=1,
            constraints=["width <= 4"],
            runs_dir=tmp_path,
        )
    tuned = tunewright.analyze("lambda", runs_dir=tmp_path)
    [trial] = tuned.record.trials
    assert (trial.state, trial.reason) == ("failed", "width was not measured")


def least(goal, folder, metric="val_loss", high=1.0, **rest):
    return tunewright.tune(
        lambda params, report: {metric: params["x"], "other": -params["x"]},
        {"x": {"low": -1.0, "high": high}},
        "study.sampler.type=random",
        goal=goal,
        trials=rest.pop("trials", 6),
        name=rest.pop("name", "least"),
        runs_dir=folder,
        **rest,
    ).record


@pytest.mark.parametrize(
    ("goal", "direction", "said"),
    [
        ("val_loss", "min", "the smallest val_loss wins, because of its name (val_loss:min)"),
        ("val_loss:min", "min", ""),
        ("val_loss:max", "max", ""),
        ("other", "max", ""),
        (["other", "val_loss"], "max", "the smallest val_loss wins"),
    ],
)
def test_a_goal_whose_name_says_that_less_is_better(goal, direction, said, tmp_path, capsys):
    record = least(goal, tmp_path)
    assert record.direction == direction
    assert [g.direction for g in record.others] == (["min"] if isinstance(goal, list) else [])
    pick = min if direction == "min" else max
    assert record.best.score == pick(trial.score for trial in record.trials)
    err = capsys.readouterr().err
    assert (" wins" in err) == bool(said)
    assert said in err


def test_a_study_of_an_older_version_keeps_its_direction(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as older:
        older.setattr("tunewright.recipes.direction.lower_is_better", lambda name: False)
        assert least("val_loss", tmp_path).direction == "max"
    capsys.readouterr()
    record = least("val_loss", tmp_path, trials=8)
    assert (record.direction, len(record.trials)) == ("max", 8)
    assert record.best.score == max(trial.score for trial in record.trials)
    assert "the largest val_loss wins, as when this study began" in capsys.readouterr().err
    more = least("val_loss:max", tmp_path, trials=8, high=0.9)
    assert (more.direction, len(more.own)) == ("max", 8)
    kept = [trial for trial in record.trials if trial.parameters["x"] <= 0.9]
    assert list(more.trials[: len(kept)]) == kept
    with pytest.raises(StudyError, match="has the goal"):
        least("val_loss:min", tmp_path, trials=8)


def test_a_new_study_from_one_of_an_older_version_starts_at_the_smallest(tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr("tunewright.recipes.direction.lower_is_better", lambda name: False)
        former = least("val_loss", tmp_path)
    record = least("val_loss", tmp_path, name="new", from_="least", trials=1)
    assert record.direction == "min"
    assert record.own[0].score == min(trial.score for trial in former.trials)


def test_a_study_file_s_direction_is_typed(tmp_path, capsys):
    file = tmp_path / "space.yaml"
    file.write_text("study: {direction: minimize}\nhyperparameters: {x: {low: -1.0, high: 1.0}}\n")
    for goal, direction in ((None, "min"), ("value", "min"), ("value:max", "max")):
        record = tunewright.tune(
            parabola, file, INLINE, goal=goal, trials=1, name=direction, runs_dir=tmp_path
        ).record
        assert record.direction == direction
    assert " wins" not in capsys.readouterr().err


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "quasi_random"])
def test_a_function_gets_the_steps_that_a_person_writes(sampler, tmp_path, optuna_storage):
    seen = []

    def function(params, report):
        seen.append(params)
        return params["x"]

    space = {
        "parameters": {
            "x": {"type": "float", "low": 0.0, "high": 0.7 + 0.1, "step": 0.1},
            "y": {"choices": [1, 2], "when": {"x": [0.1 * 3, 0.7]}},
        },
        "forbid": [{"x": 0.6}],
        "avoid": [{"name": "edge", "when": {"x": {"at_least": 0.7}}}],
    }
    sampling = f"study.sampler.type={sampler}"
    tuned = tunewright.tune(function, space, INLINE, sampling, trials=60, runs_dir=tmp_path)
    assert {params["x"] for params in seen} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8}
    assert {params["x"] for params in seen if "y" in params} == {0.3, 0.7}
    assert len(seen) == 10
    stored = optuna.load_study(
        study_name=tuned.record.name, storage=optuna_storage(f"sqlite:///{tuned.folder.database}")
    )
    assert {t.params["x"] for t in stored.trials} == {params["x"] for params in seen}
    edge = {t.number for t in stored.trials if t.user_attrs.get("avoided") == ["edge"]}
    assert edge == {n for n, params in enumerate(seen) if params["x"] >= 0.7}


def test_steps_of_an_older_version_are_not_tried_again(tmp_path, monkeypatch):
    seen = []

    def function(params, report):
        seen.append(params["x"])
        return params["x"]

    def tune(trials):
        space = {"x": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}}
        return tunewright.tune(
            function,
            space,
            INLINE,
            "study.sampler.type=grid",
            trials=trials,
            runs_dir=tmp_path,
        )

    with monkeypatch.context() as older:
        older.setattr("tunewright.spaces.points.on_grid", lambda d, place: d.low + place * d.step)
        assert 3 * 0.1 in [trial.parameters["x"] for trial in tune(5).record.trials]
    assert len(tune(20).record.trials) == 11
    assert len({round(x, 9) for x in seen}) == len(seen) == 11


class _Hopeless(optuna.TrialPruned):
    """A prune of a library on top of Optuna."""


@pytest.mark.parametrize("reports", [True, False])
def test_optunas_prune_prunes(reports, tmp_path):
    def objective(params, report):
        if reports:
            report(3, params["x"])
        if params["x"] != 0.0:  # the first point is the middle
            raise _Hopeless
        return params["x"]

    tuned = tunewright.tune(
        objective, X, INLINE, "study.pruner.type=none", trials=3, name="p", runs_dir=tmp_path
    )
    pruned = tuned.record.of_state("pruned")
    assert len(pruned) == 2
    assert pruned[0].reason == "the function raised TrialPruned"
    assert pruned[0].curve == ({3: pruned[0].parameters["x"]} if reports else {})


def test_a_search_whose_trials_were_all_pruned_is_no_failure(tmp_path):
    def objective(params, report):
        raise _Hopeless

    tuned = tunewright.tune(
        objective, X, INLINE, "study.pruner.type=none", trials=3, name="p", runs_dir=tmp_path
    )
    assert tuned.record.best is None
    assert len(tuned.record.of_state("pruned")) == 3


def run_the_package(folder, *start):
    """Run a package whose `__main__.py` tunes a function of its own."""
    (folder / "app").mkdir()
    (folder / "app" / "__init__.py").touch()
    (folder / "app" / "__main__.py").write_text(
        GUARDED + 'if __name__ == "__main__":\n    main()\n'
    )
    return subprocess.run(
        [sys.executable, *start],
        cwd=folder,
        capture_output=True,
        text=True,
        input="",
        timeout=100,
    )


@pytest.mark.parametrize("start", [["-m", "app"], pytest.param(["app"], marks=pytest.mark.slow)])
def test_a_main_that_no_worker_can_import_runs_in_this_process(start, tmp_path):
    done = run_the_package(tmp_path, *start)
    assert "same 2" in done.stdout, done.stderr
    assert "trials run in this process: " in done.stderr


@pytest.mark.slow
def test_under_a_debugger_trials_run_where_the_program_says(tmp_path):
    """Python 3.13's debugger leaves a script that workers can import; those before it hide it."""
    done = run_the_package(tmp_path, "-m", "pdb", "-c", "c", "-c", "q", "app/__main__.py")
    where = "other 2" if sys.version_info >= (3, 13) else "same 2"
    assert where in done.stdout, done.stderr
    assert ("trials run in this process: " in done.stderr) == (where == "same 2")


def test_other_metrics_stand_beside_the_goal(tmp_path, optuna_storage):
    tuned = tunewright.tune(
        lambda params, report: {"value": params["x"], "f1": 0.5, "cause": 2},
        X,
        INLINE,
        trials=2,
        name="more",
        runs_dir=tmp_path,
    )
    assert tuned.record.best.metrics == {"f1": 0.5, "cause": 2.0}
    row = tunewright.analyze("more", runs_dir=tmp_path).overview.best
    assert row["metrics"] == {"f1": 0.5, "cause": 2.0}
    url = f"sqlite:///{tuned.folder.database}"
    stored = optuna.load_study(study_name="more", storage=optuna_storage(url)).trials[0]
    assert stored.user_attrs["f1"] == 0.5
