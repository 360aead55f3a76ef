"""A function that `wandb.agent` calls is tuned with its sweep, with or without the package."""

import os
import sys
import types

import pytest
import yaml
from practice.sweeps import (
    train,
    train_and_return,
    train_and_summarise,
    train_silently,
    train_untidily,
)

import tunewright
from tunewright.errors import RunError, SpaceError, UsageError

INLINE = "executor.type=inline"
SWEEP = {
    "method": "random",
    "metric": {"name": "val_loss", "goal": "minimize"},
    "parameters": {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
        "optimizer": {"parameters": {"beta": {"min": 0.0, "max": 1.0}, "name": {"value": "adam"}}},
    },
}


def tune(function, folder, *words, sweep=SWEEP, **options):
    options = {"trials": 3, "name": "study", "runs_dir": folder, **options}
    return tunewright.tune(function, sweep, *words, **options)


def test_a_sweep_file_and_its_function_in_two_processes(tmp_path, capsys):
    file = tmp_path / "sweep.yaml"
    early = {"type": "hyperband", "min_iter": 1, "eta": 2}
    file.write_text(yaml.safe_dump({**SWEEP, "early_terminate": early, "run_cap": 12}))
    tuned = tunewright.tune(train, str(file), name="study", jobs=2, runs_dir=tmp_path / "runs")
    record = tuned.record
    assert (record.goal, record.direction, len(record.trials)) == ("val_loss", "min", 12)
    assert {trial.state for trial in record.trials} == {"done", "pruned"}
    for trial in record.of_state("done"):
        assert set(trial.curve) == set(range(8))
        assert trial.score == min(trial.curve.values()) == trial.curve[3]
        assert trial.score == pytest.approx(
            trial.parameters["lr"] + trial.parameters["optimizer.beta"]
        )
        assert trial.metrics["train.loss"] == 1.0
        assert tuned.folder.trial(trial.number).read_outcome().best_step == 3
    assert os.getpid() not in {trial.metrics.get("process") for trial in record.trials}
    assert "the best value of the goal that a run logs to wandb" in capsys.readouterr().err
    assert "wandb" not in sys.modules


def test_the_number_of_trials_of_the_call_wins_over_the_sweep(tmp_path):
    tuned = tune(train_and_return, tmp_path, INLINE, sweep={**SWEEP, "run_cap": 9}, trials=2)
    assert len(tuned.record.trials) == 2
    best = tuned.record.best
    assert (best.score, best.metrics) == (best.parameters["lr"], {"size": 3.0})


def test_blanks_around_a_name_do_not_hide_the_goal(tmp_path):
    found = tune(train_untidily, tmp_path, INLINE, trials=1).record.best
    assert (found.score, found.metrics) == (found.parameters["lr"], {"size": 2.0})


def test_a_better_value_in_the_summary_is_the_score(tmp_path):
    assert tune(train_and_summarise, tmp_path, INLINE, trials=1).record.best.score == 0.25


def test_a_goal_that_is_never_logged_is_named_with_those_that_were(tmp_path):
    with pytest.raises(RunError, match=r"never logged val_loss.*it logged accuracy"):
        tune(train_silently, tmp_path, INLINE)


def test_the_search_ends_at_the_target(tmp_path, capsys):
    sweep = {**SWEEP, "metric": {**SWEEP["metric"], "target": 10.0}}
    tuned = tune(train_and_return, tmp_path, INLINE, sweep=sweep, trials=9)
    assert len(tuned.record.trials) == 1
    assert "(study.target=10)" in capsys.readouterr().err


def test_a_real_package_is_itself_again_afterwards(tmp_path, monkeypatch):
    """Names of the real module are exchanged, since the user's module may have imported it."""
    real = types.ModuleType("wandb")
    real.init = real.log = lambda *_, **__: pytest.fail("the real package was called")
    real.config, real.run, real.Image = {}, None, object()
    before = dict(vars(real))
    monkeypatch.setitem(sys.modules, "wandb", real)

    def function():
        with real.init(config={"width": 3}) as run:
            assert real.run is run
            assert real.config.width == 3
            real.log({"val_loss": real.config.lr, "picture": real.Image})

    assert len(tune(function, tmp_path, trials=2).record.of_state("done")) == 2
    assert dict(vars(real)) == before


@pytest.mark.parametrize(
    ("function", "space", "error", "message"),
    [
        (lambda: 1.0, None, UsageError, r"without a space: expected an Optuna objective"),
        (lambda params: 1.0, SWEEP, UsageError, r"or without arguments if it reads wandb\.config"),
        (train, {**SWEEP, "method": "custom"}, SpaceError, "method = 'custom'"),
        (
            train,
            {**SWEEP, "parameters": {"lr": {"distribution": "normal"}}},
            SpaceError,
            "lr: distribution = normal",
        ),
    ],
)
def test_what_is_refused_before_anything_runs(function, space, error, message, tmp_path):
    with pytest.raises(error, match=message):
        tunewright.tune(function, space, INLINE, trials=1, runs_dir=tmp_path)
    assert not list(tmp_path.iterdir())
