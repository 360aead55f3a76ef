"""What errors about Python functions and objectives advise, followed in the code that calls them.

A case is a call that is refused, what its remedy says, and the call after doing so.
"""

import datetime
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pytest
import yaml
from practice.functions import parabola
from practice.objectives import noisy
from practice.sweeps import train_and_return, train_silently

import tunewright
from before_training import no_training  # noqa: F401
from follow_remedies import run
from tunewright.errors import TunewrightError

X = {"x": {"type": "float", "low": -1.0, "high": 1.0}}
LR = {"lr": {"type": "float", "low": 0.1, "high": 1.0}}


class Case(NamedTuple):
    """refused: a call. said: part of its remedy. mended: the call after doing what it says.

    trials: the remedy is about what happens in trials, so that they are run.
    """

    refused: Callable[[], object]
    said: str
    mended: Callable[[], object]
    trials: bool = False


def tune(*words: Any, **options: Any) -> object:
    options = {"trials": 2, "name": "new", **options}
    return tunewright.tune(*words, "executor.type=inline", "study.report=false", **options)


def searched(choices: object) -> object:
    """Search among `choices`, of which each is a plain value."""
    return tune(lambda params, report: 1.0, {"x": {"choices": choices}})


def returns(value: object, **options: Any) -> object:
    """Tune an objective that returns a value."""

    def objective(trial: optuna.Trial) -> object:
        trial.suggest_float("x", 0, 1)
        return value

    return tune(objective, **options)


def reports(*steps: object) -> object:
    """Tune a function that reports so many steps."""

    def function(params: Mapping[str, Any], report: Any) -> float:
        for step in steps:
            report(step, params["x"])
        return float(params["x"])

    return tune(function, X)


def reads(name: str) -> object:
    """Tune a function that needs a file."""
    return tune(needs(name), X, "study.max_failures=1", name="reads")


def needs(name: str) -> Callable[..., float]:
    def function(params: Mapping[str, Any], report: Any) -> float:
        return float(Path(name).read_text())

    return function


def suggests(*names: str, apart: bool = False) -> object:
    """Tune an objective that suggests one name after another, each of another kind.

    apart: each in a trial of its own.
    """

    def objective(trial: optuna.Trial) -> float:
        kinds = [trial.suggest_float, trial.suggest_int]
        for at, name in enumerate(names):
            if not apart or trial.number % len(names) == at:
                kinds[at](name, 0, 5)
        return 1.0

    return tune(objective, "study.max_failures=1", trials=4)


def with_params(file: str) -> float:
    """Call a function with the values under `params` in a file."""
    return parabola(yaml.safe_load(Path(file).read_text())["params"], None)


def ignores() -> float:
    return 1.0


CASES = {
    "two values for a goal": Case(
        lambda: returns((0.5, 0.9)),
        "tunewright.tune(objective, goal=['loss:min', 'accuracy:max'])",
        lambda: returns((0.5, 0.9), goal=["loss:min", "accuracy:max"]), trials=True,
    ),
    "a configuration of a function": Case(
        lambda: run("train", "runs/study/trials/00000/config.yaml"), "the values under `params`",
        lambda: with_params("runs/study/trials/00000/config.yaml"),
    ),
    "a configuration of a function, searched": Case(
        lambda: run("tune", "runs/study/trials/00000/config.yaml"),
        "tunewright.tune(function, space)", lambda: tune(parabola, X),
    ),
    "a named step": Case(
        lambda: reports("first"), "Count epochs or batches", lambda: reports(1, 2), trials=True,
    ),
    "half a step": Case(lambda: reports(0.5), "report(step, value)", lambda: reports(1),
    trials=True),
    "two domains in a trial": Case(
        lambda: suggests("x", "x"), "Give one of them another name", lambda: suggests("x", "y"),
        trials=True,
    ),
    "two domains in a study": Case(
        lambda: suggests("x", "x", apart=True), "a name of its own for each kind",
        lambda: suggests("x", "y", apart=True), trials=True,
    ),
    "a goal that is never logged": Case(
        lambda: tune(train_silently, LR, goal="acuracy:max"), "Did you mean 'accuracy'?",
        lambda: tune(train_silently, LR, goal="accuracy:max"), trials=True,
    ),
    "a space that is none": Case(
        lambda: tune(parabola, space=[0.0, 1.0]),
        '{"x": {"type": "float", "low": -1.0, "high": 1.0}}', lambda: tune(parabola, space=X),
    ),
    "an objective with a space": Case(
        lambda: tune(noisy, X), "tunewright.tune(noisy)", lambda: tune(noisy)
    ),
    "a function without a space": Case(
        lambda: tune(parabola),
        'tunewright.tune(parabola, {"x": {"type": "float", "low": -1.0, "high": 1.0}})',
        lambda: tune(parabola, X),
    ),
    "a function that reads wandb without a space": Case(
        lambda: tune(train_and_return), "tunewright.tune(train_and_return, {",
        lambda: tune(train_and_return, LR, goal="val_loss:min"),
    ),
    "a study of a function, resumed by its name": Case(
        lambda: run("tune", "--resume", "study"),
        "tunewright.tune(FUNCTION, SPACE, name='study'), with the arguments of the first call",
        lambda: tune(parabola, X, name="study", trials=3),
    ),
    "a study of an objective, resumed by its name": Case(
        lambda: run("tune", "--resume", "noisy"),
        "tunewright.tune(OBJECTIVE, name='noisy'), with the arguments of the first call",
        lambda: tune(noisy, name="noisy", trials=3),
    ),
    "an objective after a space": Case(
        lambda: tune(noisy, name="study"), "Choose another name", lambda: tune(noisy)
    ),
    "a space after an objective": Case(
        lambda: tune(parabola, X, name="noisy"), "Choose another name", lambda: tune(parabola, X)
    ),
    "a plan of an objective": Case(
        lambda: tunewright.plan(noisy), "tunewright.tune with trials=5",
        lambda: tune(noisy, trials=5)
    ),
    "an objective from another study": Case(
        lambda: tune(noisy, from_="study"), "tunewright.tune(function, space)",
        lambda: tune(parabola, X, from_="study"),
    ),
    "a grid of an objective": Case(
        lambda: tune(noisy, sampler="grid"), "Leave study.sampler.type out", lambda: tune(noisy)
    ),
    "a grid of an objective, with a space": Case(
        lambda: tune(noisy, sampler="grid"), "tunewright.tune(function, space)",
        lambda: tune(parabola, {"x": {"choices": [1, 2]}}, sampler="grid"),
    ),
    "a search that ends": Case(
        lambda: reads("here.txt"), "Mend the cause and run the same command again",
        lambda: (Path("here.txt").write_text("1"), reads("here.txt")), trials=True,
    ),
    "a choice that is not finite": Case(
        lambda: searched([1.0, math.inf]), 'such as "none"', lambda: searched([1.0, "none"])
    ),
    "a date": Case(
        lambda: searched([1, datetime.date(2026, 1, 2)]), 'as a text: "2026-01-02"',
        lambda: searched([1, "2026-01-02"]),
    ),
    "a text that cannot be stored": Case(
        lambda: searched(["a\0", "b"]), "without characters that cannot be stored",
        lambda: searched(["a", "b"]),
    ),
    "an object": Case(
        lambda: searched([ignores, parabola]), 'such as "small"',
        lambda: searched(["ignores", "parabola"]),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with a study of a function and one of an objective."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        tune(parabola, X, name="study")
        tune(noisy, name="noisy")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_function_helps(name, sandbox, tmp_path, monkeypatch, request):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    one = CASES[name]
    with pytest.raises(TunewrightError) as refused:
        one.refused()
    assert one.said in str(refused.value)
    if Path("runs/new").exists():  # the case began a study
        shutil.rmtree("runs/new")
    if one.trials:
        one.mended()
        return
    request.getfixturevalue("no_training")
    with suppress(SystemExit):
        one.mended()
