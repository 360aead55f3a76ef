"""A sweep file of W&B: every key is read, or refused by its name."""

from pathlib import Path

import pytest

from tunewright.errors import SpaceError
from tunewright.spaces.foreign.dialects import parse_any_space
from tunewright.spaces.foreign.wandb_sweep import is_wandb_sweep

FILE = Path("sweep.yaml")
TWO = {"lr": {"min": 0.0, "max": 1.0}, "depth": {"values": [1, 2, 3]}}


def read(aliases=None, **tree):
    tree = {"method": "random", "parameters": TWO, **tree}
    return parse_any_space({k: v for k, v in tree.items() if v is not None}, FILE, aliases or {})


def test_the_sweep_of_the_guide():
    sweep = {
        "method": "bayes",
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "parameters": {
            "learning_rate": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-4},
            "batch_size": {"values": [64, 128, 256]},
            "warmup_steps": {"distribution": "int_uniform", "min": 100, "max": 2000},
            "weight_decay": {"distribution": "uniform", "min": 0.01, "max": 0.5},
            "temperature": {"distribution": "uniform", "min": 0.01, "max": 0.2},
        },
    }
    spec = parse_any_space(sweep, FILE, {"learning_rate": "optim.lr"})
    assert spec.settings["goal"] == "val_accuracy:max"
    assert not spec.inherit
    assert spec.parameters == {
        "optim.lr": {"type": "float", "low": 1e-6, "high": 1e-4, "log": True},
        "batch_size": {"choices": [64, 128, 256]},
        "warmup_steps": {"type": "int", "low": 100, "high": 2000},
        "weight_decay": {"type": "float", "low": 0.01, "high": 0.5},
        "temperature": {"type": "float", "low": 0.01, "high": 0.2},
    }
    assert "sampler" not in spec.settings["study"]  # bayes is our own default
    assert any("method: bayes" in notice for notice in spec.notices)


def test_nested_parameters_have_dotted_names_and_fixed_ones_are_apart():
    optimizer = {"parameters": {"name": {"value": "adam"}, "lr": {"min": 0.0, "max": 0.1}}}
    spec = read(parameters={"optimizer": optimizer, "epochs": {"value": 3}})
    assert list(spec.parameters) == ["optimizer.lr"]
    assert spec.fixed == {"optimizer.name": "adam", "epochs": 3}


def test_kinds_and_bounds_are_said_before_anything_runs():
    parameters = {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1},
        "drop": {"distribution": "uniform", "min": 0, "max": 10},
        "width": {"distribution": "q_uniform", "min": 16, "max": 64, "q": 16},
        "act": {"values": ["relu", "gelu"]},
        "epochs": {"value": 3},
    }
    assert read(parameters=parameters).notices[0] == (
        "searched are lr float 0.0001 .. 1 (log), drop float 0 .. 10, width int 16 .. 64 (step "
        "16), act relu | gelu; fixed epochs = 3"
    )


def test_names_are_translated_for_fixed_values_too():
    spec = read({"wd": "optim.weight_decay"}, parameters={**TWO, "wd": {"value": 0.1}})
    assert spec.fixed == {"optim.weight_decay": 0.1}
    with pytest.raises(SpaceError, match="lr is both searched and set"):
        read({"rate": "lr"}, parameters={**TWO, "rate": {"value": 0.1}})


@pytest.mark.parametrize(
    ("tree", "trials", "sampler"),
    [
        ({"method": "random"}, None, "random"),
        ({"method": "random", "run_cap": 7}, 7, "random"),
        ({"method": "bayes", "run_cap": 7}, 7, None),
        ({"method": None, "run_cap": 7}, 7, None),
        (
            {
                "method": "grid",
                "parameters": {
                    "a": {"values": [1, 2, 3]},
                    "b": {"min": 0, "max": 4},
                    "c": {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.5},
                },
            },
            45,
            "grid",
        ),
        ({"method": "grid", "parameters": {"a": {"values": [1, 2, 3]}}, "run_cap": 2}, 2, "grid"),
        ({"method": "grid", "run_cap": None}, None, "grid"),  # refused later: a float has no grid
    ],
)
def test_method_and_number_of_trials(tree, trials, sampler):
    study = read(**tree).settings["study"]
    assert study.get("trials") == trials
    assert study.get("sampler", {}).get("type") == sampler


@pytest.mark.parametrize(
    ("metric", "goal", "target"),
    [
        ({"name": "loss"}, "loss:min", None),
        ({"name": "acc", "goal": "maximize", "target": 1}, "acc:max", 1.0),
        ({"name": "val/acc", "goal": "minimize", "impute": "worst"}, "val/acc:min", None),
    ],
)
def test_metric_goal_and_target(metric, goal, target):
    settings = read(metric=metric).settings
    assert settings["goal"] == goal
    assert settings["study"].get("target") == target


@pytest.mark.parametrize(
    ("early", "first", "factor"),
    [
        ({"min_iter": 3}, 3, 3),
        ({"min_iter": 2, "eta": 4}, 2, 4),
        ({"max_iter": 27, "s": 2}, 3, 3),  # bands 9 and 3, as W&B's documentation has it
        ({"max_iter": 81, "s": 2, "eta": 2, "strict": True}, 20, 2),
        ({"max_iter": 5, "s": 9, "eta": 2}, 1, 2),
        ({"max_iter": 19, "s": 2, "min_iter": 7}, 2, 3),  # W&B looks at max_iter first
        ({"s": 2, "min_iter": 7}, 7, 3),
    ],
)
def test_early_terminate_is_successive_halving(early, first, factor):
    spec = read(early_terminate={"type": "hyperband", **early})
    pruner = spec.settings["study"]["pruner"]
    assert pruner == {"type": "asha", "min_resource": first, "reduction_factor": factor}


def test_a_band_that_is_not_used_is_said():
    early = {"type": "hyperband", "max_iter": 19, "s": 2, "min_iter": 7}
    assert any(
        "min_iter = 7 is not used" in notice for notice in read(early_terminate=early).notices
    )


def test_without_early_terminate_nothing_is_pruned_and_that_is_said():
    spec = read()
    assert spec.settings["study"]["pruner"] == {"type": "none"}
    assert any("study.pruner.type=asha" in notice for notice in spec.notices)


@pytest.mark.parametrize(
    ("tree", "command"),
    [
        ({"program": "train.py"}, ["${env}", "${interpreter}", "${program}", "${args}"]),
        ({"program": "train.py", "command": ["python", "${program}"]}, ["python", "${program}"]),
        ({"command": ["./run", "--depth", 3]}, ["./run", "--depth", "3"]),
    ],
)
def test_what_a_sweep_runs(tree, command):
    script = read(**tree).script
    assert script["command"] == command
    assert script.get("script", {}).get("program") == tree.get("program")


def test_a_sweep_is_known_by_its_keys():
    assert is_wandb_sweep({"method": "grid", "parameters": {}})
    assert is_wandb_sweep({"parameters": TWO, "run_cap": 3})
    assert not is_wandb_sweep({"parameters": TWO})
    assert not is_wandb_sweep({"method": "grid"})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"method": "custom"}, "method = 'custom'.*study.sampler.type=NAME"),
        ({"method": "baeys"}, "Did you mean 'bayes'"),
        ({"job": "x:latest"}, "'job' in the sweep .*Name the script: program"),
        ({"scheduler": {"job": "x"}}, "'scheduler' in the sweep .*executor.type"),
        ({"metrics": {"name": "a"}}, "'metrics'.*Did you mean 'metric'"),
        ({"run_cap": 0}, "run_cap = 0.*expected a whole number"),
        ({"run_cap": True}, "run_cap = "),
        ({"metric": "loss"}, "metric = 'loss'.*expected name and goal"),
        ({"metric": {"name": "a", "goal": "max"}}, "metric.goal = 'max'.*expected minimize or"),
        ({"metric": {"name": "a", "gaol": "minimize"}}, "metric.gaol.*Did you mean 'goal'"),
        ({"metric": {"name": "a", "target": "high"}}, "metric.target = 'high'"),
        ({"early_terminate": {"type": "envelope"}}, "of the type 'envelope'.*study.pruner.type"),
        ({"early_terminate": {"type": "hyperband"}}, "has type: expected min_iter, or max_iter"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 0}}, "early_terminate.min_iter = 0"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "eta = 1"),
        ({"command": "python train.py"}, "command = 'python train.py'.*expected a list of words"),
        ({"parameters": {"a": {"value": 1}}}, "searches nothing"),
        ({"parameters": {"a": 3}}, r"a = 3.*Write a: \{value: 3\}"),
        ({"parameters": {"o": {"parameters": {}}}}, r"o\.parameters = "),
        (
            {"parameters": {"o": {"name": {"values": ["a", "b"]}}}},
            r"o has 'name'.*below `parameters`: o: \{parameters: \{name: \.\.\.\}\}",
        ),
        ({"parameters": {"a": {"distribution": "normal"}}}, "a: distribution = normal"),
    ],
)
def test_what_means_nothing_here_is_refused_by_name(tree, message):
    with pytest.raises(SpaceError, match=message):
        read(**tree)
