"""An Optuna objective runs as it stands: define-by-run, in processes, in the same study file."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest
from practice.objectives import DiesOnce, branches, noisy

import tunewright
from tunewright.errors import ConfigError, RunError, StudyError, UsageError
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import RunFolder

INLINE = "executor.type=inline"

GUARDED = """
import tunewright
from practice.objectives import slow

if __name__ == "__main__":
    tuned = tunewright.tune(slow, trials=6, name="study", jobs=2, runs_dir="runs")
    print([trial.state for trial in tuned.record.trials])
"""


def tune(objective, folder, *words, **options):
    options = {"trials": 4, "name": "study", "runs_dir": folder, **options}
    return tunewright.tune(objective, *words, **options)


def stored(tuned, optuna_storage):
    storage = optuna_storage(f"sqlite:///{tuned.folder.database}")
    return optuna.load_study(study_name="study", storage=storage)


def test_an_objective_is_tuned_in_two_processes_and_prunes(tmp_path, optuna_storage):
    tuned = tune(branches, tmp_path, trials=24, jobs=2)
    study = stored(tuned, optuna_storage)
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    states = {trial.state for trial in study.trials}
    assert states == {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    assert study.best_value == tuned.record.best.score
    processes = set()
    for trial in study.trials:
        assert ("momentum" in trial.params) == (trial.params["kind"] == "sgd")
        widths = [trial.params[f"width_{n}"] for n in range(trial.params["layers"])]
        assert trial.user_attrs["widths"] == widths
        assert isinstance(trial.distributions["layers"], optuna.distributions.IntDistribution)
        processes.add(trial.user_attrs["process"])
        if trial.state.name == "PRUNED":
            last = max(trial.intermediate_values)
            assert trial.value == trial.intermediate_values[last]
            assert "rung" in trial.user_attrs["reason"]
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert tunewright.analyze("study", runs_dir=tmp_path).record.best == tuned.record.best


def test_the_sampler_learns_from_what_was_suggested(tmp_path):
    def objective(trial):
        x = trial.suggest_float("x", -10.0, 10.0)
        y = trial.suggest_float("y", -10.0, 10.0)
        return (x - 3.0) ** 2 + (y + 2.0) ** 2

    learned = tune(objective, tmp_path, trials=60).record.best.score
    drawn = tune(objective, tmp_path, "study.sampler.type=random", trials=60, name="random")
    assert learned < 1.0
    assert learned < drawn.record.best.score


def test_same_seed_same_points(tmp_path):
    def objective(trial):
        return trial.suggest_float("x", 0.0, 1.0) + trial.suggest_int("n", 0, 9)

    first, second = (tune(objective, tmp_path / name, trials=15).record for name in ("a", "b"))
    assert [t.parameters for t in first.trials] == [t.parameters for t in second.trials]


def test_a_trial_whose_process_dies_goes_on_with_its_values(tmp_path):
    tuned = tune(DiesOnce(tmp_path), tmp_path, trials=3, jobs=1)
    assert [trial.state for trial in tuned.record.trials] == ["done"] * 3
    for trial in tuned.record.trials:
        first, second = map(float, (tmp_path / str(trial.number)).read_text().split())
        assert (trial.parameters["first"], trial.parameters["second"]) == (first, second)
        assert trial.score == pytest.approx(sum(trial.parameters.values()))
        assert trial.curve == {1: first}


@pytest.mark.slow
def test_a_killed_coordinator_resumes_with_the_exact_total(tmp_path, optuna_storage):
    (tmp_path / "script.py").write_text(GUARDED)
    command = [sys.executable, "script.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    begun = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    trials = tmp_path / "runs" / "study" / "trials"
    deadline = time.monotonic() + 120
    while not list(trials.glob("*/progress.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    running = {
        int(folder.name): RunFolder(folder).read_parameters()[0]
        for folder in trials.iterdir()
        if not (folder / "outcome.json").exists()
    }
    assert any(running.values())
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == str(["done"] * 6)
    storage = optuna_storage(f"sqlite:///{tmp_path}/runs/study/study.db")
    study = optuna.load_study(study_name="study", storage=storage)
    assert [trial.number for trial in study.trials] == list(range(6))
    for number, values in running.items():
        assert values.items() <= study.trials[number].params.items()
    for trial in study.trials:
        assert len(trial.params) == len(trial.intermediate_values) == 5


def test_a_lost_database_is_rebuilt_from_the_folders(tmp_path, optuna_storage):
    tuned = tune(branches, tmp_path, INLINE, trials=6)
    before = stored(tuned, optuna_storage).trials
    tuned.folder.database.rename(tmp_path / "old.db")
    assert len(tunewright.repair("study", runs_dir=tmp_path).added) == 6
    for was, now in zip(before, stored(tuned, optuna_storage).trials, strict=True):
        assert (was.params, was.distributions) == (now.params, now.distributions)
        assert (was.state, was.values) == (now.state, now.values)
        assert was.user_attrs == now.user_attrs
    assert len(tune(branches, tmp_path, INLINE, trials=8).record.trials) == 8


def test_the_space_of_a_study_is_what_was_suggested(tmp_path):
    def objective(trial):
        top = trial.number + 1
        return trial.suggest_int("n", 0, top) + trial.suggest_float("x", 0.0, 1.0, step=0.25)

    tuned = tune(objective, tmp_path, trials=3)
    space = read_yaml(tuned.folder.space)
    assert space["define_by_run"] is True
    assert space["parameters"] == {
        "n": {"type": "int", "low": 0, "high": 3},
        "x": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25},
    }
    config = tuned.folder.trial(2).read_config()
    assert config["params"] == tuned.record.trials[2].parameters


def test_every_kind_of_suggestion(tmp_path):
    seen = []

    def objective(trial):
        seen.append(
            {
                "float": trial.suggest_float("float", np.float32(0), np.float64(1)),
                "int": trial.suggest_int("int", np.int64(1), 9, log=True),
                "one": trial.suggest_int("one", 5, 5),
                "choice": trial.suggest_categorical("choice", (True, 1, "1", None, (2, 3))),
                "uniform": trial.suggest_uniform("uniform", 0.0, 1.0),
                "log": trial.suggest_loguniform("log", 1e-3, 1.0),
                "steps": trial.suggest_discrete_uniform("steps", 0.0, 1.0, 0.5),
            }
        )
        assert trial.params.keys() == seen[-1].keys()
        assert trial.suggest_float("float", 0.0, 1.0) == seen[-1]["float"]
        return 1.0

    tune(objective, tmp_path, "study.sampler.type=random", trials=30)
    assert {type(one["int"]) for one in seen} == {int}
    assert {one["one"] for one in seen} == {5}
    assert {one["steps"] for one in seen} <= {0.0, 0.5, 1.0}
    choices = {repr(one["choice"]) for one in seen}
    assert choices == {"True", "1", "'1'", "None", "(2, 3)"}


def test_parameters_fixed_by_hand_are_not_asked_for(tmp_path):
    tuned = tune(branches, tmp_path, INLINE, "params.kind=adam", "params.layers=1")
    for trial in tuned.record.trials:
        assert trial.parameters.keys() == {"rate", "width_0"}


def test_several_goals_and_seeds(tmp_path, optuna_storage):
    def objective(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        return x, 1.0 - x

    tuned = tune(objective, tmp_path, goal=["loss:min", "accuracy:max"])
    study = stored(tuned, optuna_storage)
    assert [d.name for d in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert all(sum(trial.values) == pytest.approx(1.0) for trial in study.trials)

    tuned = tune(noisy, tmp_path, INLINE, name="seeds", seeds=3, trials=2)
    for trial in tuned.record.trials:
        assert len(trial.seeds) == 3
        assert all(0.0 <= s - trial.parameters["x"] <= 1.0 for s in trial.seeds.values())
        assert len(set(trial.seeds.values())) == 3


def changed_kind(trial):
    if trial.number == 0:
        return trial.suggest_float("x", 0.0, 1.0)
    return trial.suggest_int("x", 0, 1)


def other_choices(trial):
    return trial.suggest_categorical("x", [trial.number, 100])


def twice(trial):
    trial.suggest_float("x", 0.0, 1.0)
    return trial.suggest_int("x", 0, 1)


def below_another(trial):
    return trial.suggest_float("optim", 0.0, 1.0) + trial.suggest_float("optim.lr", 0.0, 1.0)


def upside_down(trial):
    return trial.suggest_float("x", 1.0, 0.0)


def log_of_zero(trial):
    return trial.suggest_float("x", 0.0, 1.0, log=True)


def asks_for_the_study(trial):
    return trial.study.best_value


def two_values(trial):
    return trial.suggest_float("x", 0.0, 1.0), 1.0


def nothing(trial):
    trial.suggest_float("x", 0.0, 1.0)


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (changed_kind, "x was suggested from 0 .. 1, and from FloatDistribution.* earlier trial"),
        (other_choices, "the same choices in all trials"),
        (twice, "before in this trial: expected one domain for each name"),
        (below_another, "one would overwrite the other"),
        (upside_down, "expected finite bounds, low <= high"),
        (log_of_zero, "low = 0.0 on a log scale"),
        (asks_for_the_study, "has no 'study'. The study lives in another process"),
        (two_values, r"returned \(.*\): expected 1 number, for value. Pass a goal for each"),
        (nothing, "returned None: expected 1 number"),
    ],
)
def test_what_an_objective_can_do_wrong_fails_its_trial(objective, reason, tmp_path):
    try:
        record = tune(objective, tmp_path, INLINE, trials=2).record
    except RunError:
        record = tunewright.analyze("study", runs_dir=tmp_path).record
    last = record.trials[-1]
    assert (last.state, last.cause) == ("failed", "error")
    assert re.search(reason, last.reason), last.reason


def test_a_trial_does_not_outlive_its_objective(tmp_path):
    kept = []

    def objective(trial):
        kept.append(trial)
        return trial.suggest_float("x", 0.0, 1.0)

    tune(objective, tmp_path, trials=1)
    with pytest.raises(UsageError, match="trial 0 was asked to suggest 'y' after its objective"):
        kept[0].suggest_float("y", 0.0, 1.0)


@pytest.mark.parametrize(
    ("words", "options", "error", "message"),
    [
        (
            ["study.sampler.type=grid"],
            {},
            ConfigError,
            "sampler grid of an objective.*expected tpe",
        ),
        (["study.sampler.type=quasi_random"], {}, ConfigError, "sampler quasi_random"),
        (["study.sampler.type=cma_es"], {}, ConfigError, "sampler cma_es"),
        ([{"x": {"low": 0, "high": 1}}], {}, UsageError, "names its parameters itself"),
        ([], {"imports": ["old.db"]}, UsageError, "trials of old.db for an objective"),
    ],
)
def test_what_needs_a_space_is_refused_before_anything_runs(
    words, options, error, message, tmp_path
):
    with pytest.raises(error, match=message):
        tune(branches, tmp_path, *words, **options)
    assert not list(tmp_path.iterdir())


def test_a_plan_says_that_it_needs_a_space(tmp_path):
    with pytest.raises(UsageError, match="parameters that are known before the first trial"):
        tunewright.plan(branches, runs_dir=tmp_path)


def test_a_study_keeps_its_way_of_naming_parameters(tmp_path):
    def function(params, report):
        return params["x"]

    tune(function, tmp_path, {"x": {"low": 0.0, "high": 1.0}})
    with pytest.raises(StudyError, match="was begun with a space, and this call has an objective"):
        tune(branches, tmp_path, INLINE, goal="value")


@pytest.mark.parametrize(
    ("goal", "direction", "said"), [(None, "min", True), ("value:max", "max", False)]
)
def test_the_direction_is_optunas_unless_a_goal_is_given(goal, direction, said, tmp_path, capsys):
    record = tune(noisy, tmp_path, INLINE, goal=goal, trials=5).record
    assert record.direction == direction
    pick = min if direction == "min" else max
    assert record.best.score == pick(trial.score for trial in record.trials)
    assert ("as in Optuna" in capsys.readouterr().err) == said
