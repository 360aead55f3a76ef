"""Any function is searched as a recipe is: executors, pruning, resume, study file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from practice.functions import curve, faulty, parabola, patient

import tunewright
from tunewright.errors import SpaceError, UsageError
from tunewright.runs.progress import read_progress

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


def test_the_example_converges(tmp_path):
    tuned = tunewright.tune(
        parabola, X, INLINE, goal="value:min", trials=40, name="parabola", runs_dir=tmp_path
    )
    best = tuned.record.best
    assert tuned.final is None
    assert len(tuned.record.of_state("done")) == 40
    assert best.score < 0.01
    assert best.score == best.parameters["x"] ** 2
    stored = optuna.load_study(study_name="parabola", storage=f"sqlite:///{tuned.folder.database}")
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
    assert "in this process, one at a time and not 4: it has no name" in capsys.readouterr().err


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
        ("memory", "infeasible", "out of memory", "MemoryError"),
        ("nothing", "failed", "error", "returned None: expected a number, or a mapping"),
        ("other name", "failed", "error", "goal value was not measured .* expected one of loss"),
    ],
)
def test_how_a_function_can_fail(fault, state, cause, reason, tmp_path, capsys):
    space = {"fault": {"choices": [fault]}}
    tuned = tunewright.tune(faulty, space, INLINE, trials=1, runs_dir=tmp_path)
    [trial] = tuned.record.trials
    assert (trial.state, trial.cause) == (state, cause)
    assert re.search(reason, trial.reason)
    assert tuned.record.best is None


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
