"""Spaces of Hydra's sweepers, of Ray Tune and of Optuna's command line."""

from pathlib import Path

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from tunewright.errors import SpaceError
from tunewright.runs.documents import parse_json
from tunewright.search.study.optuna_types import distribution
from tunewright.spaces.foreign.dialects import is_foreign_space, parse_any_space
from tunewright.spaces.specification import read_domain

FILE = Path("space.yaml")
LOG = {"type": "float", "low": 1e-4, "high": 0.1, "log": True}


def read(tree):
    assert is_foreign_space(tree)
    return parse_any_space(tree, FILE, {})


def hydra(params, **sweeper):
    return {"hydra": {"sweeper": {"params": {"k": "choice(1,2)", **params}, **sweeper}}}


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ("choice(adam, 'a b', 3, true)", {"choices": ["adam", "a b", 3, True]}),
        ("adam, sgd", {"choices": ["adam", "sgd"]}),
        (["adam", "sgd"], {"choices": ["adam", "sgd"]}),
        ("interval(0, 1)", {"type": "float", "low": 0.0, "high": 1.0}),
        ("int(interval(1, 9))", {"type": "int", "low": 1, "high": 9}),
        (
            "tag(log, interval(1e-5, 1e-1))",
            {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        ),
        (
            "tag(log, int(interval(1, 1000)))",
            {"type": "int", "low": 1, "high": 1000, "log": True},
        ),
        ("range(1, 10)", {"type": "int", "low": 1, "high": 9, "step": 1}),
        ("range(0, 10, step=5)", {"type": "int", "low": 0, "high": 5, "step": 5}),
        ("range(0, 1, step=0.25)", {"type": "float", "low": 0, "high": 0.75, "step": 0.25}),
    ],
)
def test_values_of_a_hydra_sweep(written, fields):
    assert read(hydra({"x": written})).parameters["x"] == fields


def test_names_of_the_users_own_stay_as_they_are():
    """`optim.name` is another program's word for our `optim.type`."""
    space = hydra({"optim.name": "choice(adam, sgd)"})
    assert "optim.type" in parse_any_space(space, FILE, {}).parameters
    assert "optim.name" in parse_any_space(space, FILE, None).parameters


def test_a_range_of_the_optuna_sweeper_includes_its_end():
    spec = read(hydra({"x": "range(1, 10, step=3)", "y": "range(0,1,step=0.5)"}, n_trials=7))
    assert spec.parameters["x"]["high"] == 10
    assert spec.parameters["y"]["high"] == 1


def test_what_a_hydra_sweep_says_of_its_study():
    spec = read(
        {
            "defaults": [{"override hydra/sweeper": "optuna"}],
            "model": {"width": 3},
            **hydra(
                {"seed": 5},
                direction="maximize",
                n_trials=20,
                n_jobs=2,
                study_name="mine",
                max_failure_rate=0.1,
                sampler={
                    "_target_": "optuna.samplers.TPESampler",
                    "seed": 123,
                    "consider_prior": True,
                },
            ),
        }
    )
    assert spec.direction == "max"
    assert spec.fixed == {"seed": 5}
    assert spec.settings["study"] == {
        "trials": 20,
        "jobs": 2,
        "name": "mine",
        "sampler": {"type": "TPESampler"},
        "seed": 123,
    }
    said = " ".join(spec.notices)
    assert "consider_prior of the sampler are not used" in said
    assert "max_failure_rate, model of space.yaml are not read" in said


def test_the_older_search_space_of_the_optuna_sweeper():
    spec = read(
        {"hydra": {"sweeper": {"search_space": {"x": {"type": "float", "low": 0, "high": 1}}}}}
    )
    assert spec.parameters == {"x": {"type": "float", "low": 0, "high": 1}}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("glob(*)", r"glob\(\*\).*expected values.*choice\(adam, sgd\)"),
        ("choice(1,", "cannot be read"),
        ("range(5)", r"x = 'range\(5\)'|range\(0, 5"),
        ("range(5, 1)", "expected rising values"),
    ],
)
def test_what_a_hydra_sweep_cannot_say(written, message):
    if written == "range(5)":  # from 0, as in Python
        assert read(hydra({"x": written})).parameters["x"]["high"] == 4
        return
    with pytest.raises(SpaceError, match=message):
        read(hydra({"x": written}))


def test_several_directions_of_a_hydra_sweep_are_refused():
    with pytest.raises(SpaceError, match="--goal loss:min --goal accuracy:max"):
        read(hydra({}, direction=["minimize", "maximize"]))


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ("tune.uniform(-1, 1.0)", {"type": "float", "low": -1, "high": 1.0}),
        ("ray.tune.loguniform(1e-4, 1e-1)", LOG),
        ("loguniform(lower=1e-4, upper=1e-1)", LOG),
        ("tune.quniform(0.0, 1.0, 0.1)", {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}),
        ("tune.randint(1, 5)", {"type": "int", "low": 1, "high": 4}),
        ("tune.qrandint(0, 20, 5)", {"type": "int", "low": 0, "high": 20, "step": 5}),
        ("tune.lograndint(1, 1000)", {"type": "int", "low": 1, "high": 999, "log": True}),
        ("tune.choice(['relu', 'gelu'])", {"choices": ["relu", "gelu"]}),
        ({"grid_search": [1, 2]}, {"choices": [1, 2]}),
    ],
)
def test_calls_of_ray_tune(written, fields):
    assert read({"param_space": {"x": written}}).parameters == {"x": fields}


def test_what_stands_beside_a_space_of_ray_tune():
    spec = read(
        {
            "param_space": {"net": {"lr": "tune.uniform(0, 1)", "act": "gelu"}, "n": 3},
            "tune_config": {
                "metric": "loss",
                "mode": "min",
                "num_samples": 30,
                "scheduler": "asha",
            },
        }
    )
    assert list(spec.parameters) == ["net.lr"]
    assert spec.fixed == {"net.act": "gelu", "n": 3}
    assert (spec.settings["goal"], spec.settings["study"]["trials"]) == ("loss:min", 30)
    assert spec.notices[1:] == ("scheduler of space.yaml are not used",)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("tune.randn(0, 1)", r"tune.randn\(...\) in space.yaml.*Give bounds: tune.uniform"),
        ("tune.sample_from(lambda spec: 1)", "tune.sample_from.*Write its values"),
        ("tune.unifrom(0, 1)", "Did you mean 'uniform'"),
        ("tune.uniform(__import__('os').getpid(), 1)", "expected plain numbers or lists"),
        ("tune.uniform(0)", "expected plain numbers or lists"),
        ("tune.uniform(1, 0)", "expected rising numbers"),
        ("tune.choice(3)", "expected a list of values"),
    ],
)
def test_calls_that_are_refused(written, message):
    with pytest.raises(SpaceError, match=message):
        read({"param_space": {"x": written, "y": {"grid_search": [1, 2]}}})


@pytest.mark.parametrize(
    "wanted",
    [
        FloatDistribution(0.0, 1.0),
        FloatDistribution(1e-5, 1.0, log=True),
        FloatDistribution(0.0, 1.0, step=0.25),
        IntDistribution(1, 9),
        IntDistribution(1, 9, step=2),
        IntDistribution(1, 1000, log=True),
        CategoricalDistribution(["a", 1, None]),
    ],
)
def test_distributions_of_optuna_come_back_as_they_were(wanted):
    written = {"x": parse_json(distribution_to_json(wanted))}
    for tree in (written, {"parameters": written}):
        assert distribution(read_domain(read(tree).parameters["x"])) == wanted


def test_an_unknown_distribution_of_optuna_is_refused():
    with pytest.raises(SpaceError, match="x is a NormalDistribution in"):
        read({"x": {"name": "NormalDistribution", "attributes": {}}})
