"""What errors about search spaces and sweep files advise, followed by hand in the file.

A case is a space, the part of it that is wrong, what the remedy says, and what is written in its
place.
"""

import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from before_training import no_training  # noqa: F401
from follow_remedies import run
from tunewright.errors import TunewrightError

SCRIPT = "-- python -c pass"
"""A command that reads any parameters itself."""


class Case(NamedTuple):
    """text: a space. wrong: a part of it, right: what the remedy, which has `said`, makes of it.

    words: typed behind `tune`, instead: the command in their place, where the remedy asks for it.
    """

    text: str
    wrong: str
    said: str
    right: str
    words: str = "quadratic --space space.yaml"
    instead: str = ""


def script(text: str, wrong: str, said: str, right: str, instead: str = "") -> Case:
    """Return a case of a space for a script, in which every name is allowed."""
    words = "command --space space.yaml"
    typed = f"tune {words} {instead} {SCRIPT}" if instead else ""
    return Case(text, wrong, said, right, f"{words} --goal loss:min {SCRIPT}", typed)


def sweep(rest: str, wrong: str, said: str, right: str, instead: str = "") -> Case:
    """Return a case of a sweep of W&B."""
    space = "" if "parameters:" in rest else "parameters: {lr: {min: 0.1, max: 1}}\n"
    method = "" if "method:" in rest else "method: random\n"
    return script(f"{method}{space}{rest}\n", wrong, said, right, instead)


def drawn(fields: str, wrong: str, said: str, right: str) -> Case:
    """Return a case of one parameter of a sweep of W&B."""
    return sweep(f"parameters:\n  lr: {{{fields}}}\n", wrong, said, right)


def ray(call: str, said: str, right: str) -> Case:
    """Return a case of a distribution of Ray Tune."""
    return script(f"param_space: {{lr: '{call}'}}\n", call, said, right)


def hydra(rest: str, wrong: str, said: str, right: str, instead: str = "") -> Case:
    """Return a case of a sweep of Hydra."""
    return script(f"hydra:\n  sweeper:\n    {rest}\n", wrong, said, right, instead)


X = "point.x: {type: float, low: 0, high: 1}"
CASES = {
    # Our own spaces.
    "a name that is a prefix": script(
        "parameters: {model: {choices: [a, b]}, model.lr: {choices: [1, 2]}}",
        "model: {", "such as model.type", "model.type: {",
    ),
    "nothing to search": Case(
        f"inherit: false\nparameters: {{{X}}}", "", "`tunewright train`", "",
        "quadratic --space space.yaml point.x=.5", "train quadratic point.x=.5",
    ),
    "a key that is not built": Case(
        f"parameters: {{{X}, num_workers: {{choices: [1, 2]}}}}",
        ", num_workers: {choices: [1, 2]}", "executor.threads is the number", "",
        instead="tune quadratic --space space.yaml executor.threads=1",
    ),
    "a key of the study": Case(
        f"parameters: {{{X}, study.trials: {{choices: [2, 3]}}}}",
        ", study.trials: {choices: [2, 3]}}", "under `settings:`",
        "}\nsettings: {study: {trials: 3}}",
    ),
    "a key of the study, typed": Case(
        f"parameters: {{{X}, study.trials: {{choices: [2, 3]}}}}",
        ", study.trials: {choices: [2, 3]}", "Set it as an override", "",
        instead="tune quadratic --space space.yaml study.trials=3",
    ),
    "rules that forbid all": Case(
        "inherit: false\nparameters: {point.side: {choices: [left, right]}}\n"
        "forbid: [{point.side: left}, {point.side: {not: left}}]",
        ", {point.side: {not: left}}", "Take out one of these rules", "",
    ),
    "rules that forbid all, widened": Case(
        "inherit: false\nparameters: {point.x: {choices: [1, 2]}, point.y: {choices: [1, 2]}}\n"
        "forbid: [{point.x: {above: 0}, point.y: {above: 0}}]",
        "point.x: {choices: [1, 2]}", "or widen the domains", "point.x: {choices: [-1, 1, 2]}",
    ),
    "a bound of a rule": Case(
        f"parameters: {{{X}}}\nforbid: [{{point.x: {{abov: 0.5}}}}]",
        "abov:", "Did you mean 'above'?", "above:",
    ),
    "too many values for a grid": Case(
        "inherit: false\nparameters: {seed: {type: int, low: 0, high: 999999}}",
        "high: 999999", "a larger step in the space", "high: 999999, step: 100000",
        "quadratic --space space.yaml study.sampler.type=grid",
    ),
    "too many values for a grid, another sampler": Case(
        "inherit: false\nparameters: {seed: {type: int, low: 0, high: 999999}}",
        "", "another study.sampler.type", "",
        "quadratic --space space.yaml study.sampler.type=grid",
        "tune quadratic --space space.yaml --sampler random",
    ),
    "a base that inherits": Case(
        f"inherit: base.yaml\nparameters: {{{X}}}", "base.yaml", "The space.yaml in the folder",
        "whole.yaml",
    ),
    # Sweeps of W&B.
    "a field of a parameter": drawn("min: 0, mx: 1", "mx", "Did you mean 'max'?", "max"),
    "a distribution": drawn(
        "min: 0, max: 1, distribution: unifrm", "unifrm", "Did you mean 'uniform'?", "uniform"
    ),
    "an exponent": drawn(
        "min: 1, max: 1000, distribution: log_uniform", "log_uniform",
        "distribution: log_uniform_values", "log_uniform_values",
    ),
    "steps on a log scale": drawn(
        "min: 8, max: 99, q: 8, distribution: q_log_uniform_values",
        "min: 8, max: 99, q: 8, distribution: q_log_uniform_values", "`values: [8, 16, 32, 64]`",
        "values: [8, 16, 32, 64]",
    ),
    "steps on a log scale, left out": drawn(
        "min: 8, max: 99, q: 8, distribution: q_log_uniform_values",
        "q: 8, distribution: q_log_uniform_values", "`distribution: log_uniform_values` without",
        "distribution: log_uniform_values",
    ),
    "steps that no doubling hits": drawn(
        "min: 13, max: 21, q: 5, distribution: q_log_uniform_values",
        "min: 13, max: 21, q: 5, distribution: q_log_uniform_values", "`values: [15, 20]`",
        "values: [15, 20]",
    ),
    "a range between two steps": drawn(
        "min: 11, max: 14, q: 5, distribution: q_log_uniform_values",
        "q: 5, distribution: q_log_uniform_values", "Write `distribution: log_uniform_values`",
        "distribution: log_uniform_values",
    ),
    "a normal distribution": drawn(
        "distribution: normal, mu: 2, sigma: 1", "distribution: normal, mu: 2, sigma: 1",
        "`distribution: uniform, min: 0, max: 4`", "distribution: uniform, min: 0, max: 4",
    ),
    "a log-normal distribution": drawn(
        "distribution: log_normal, mu: -5, sigma: 1", "distribution: log_normal, mu: -5, sigma: 1",
        "`distribution: log_uniform_values, min: 0.0009119, max: 0.04979`",
        "distribution: log_uniform_values, min: 0.0009119, max: 0.04979",
    ),
    "a log-normal distribution of nothing": drawn(
        "distribution: log_normal, mu: -900", "distribution: log_normal, mu: -900",
        "`distribution: log_uniform_values` with min and max",
        "distribution: log_uniform_values, min: 1e-9, max: 1e-3",
    ),
    "a normal distribution turned round": drawn(
        "distribution: normal, sigma: -1", "distribution: normal, sigma: -1",
        "`distribution: uniform` with min and max", "distribution: uniform, min: -2, max: 2",
    ),
    "a beta distribution": drawn(
        "distribution: beta, a: 2, b: 3", "distribution: beta, a: 2, b: 3",
        "`distribution: uniform, min: 0.0, max: 1.0`", "distribution: uniform, min: 0.0, max: 1.0",
    ),
    "a bare value": sweep(
        "parameters: {lr: {min: 0, max: 1}, depth: 3}\n", "depth: 3", "Write depth: {value: 3}",
        "depth: {value: 3}",
    ),
    "a bare null": sweep(
        "parameters: {lr: {min: 0, max: 1}, depth: null}\n", "depth: null",
        "Write depth: {value: null}", "depth: {value: null}",
    ),
    "bare values": sweep(
        "parameters: {lr: [0.1, 'a b']}\n", "lr: [0.1, 'a b']", 'Write lr: {values: [0.1, "a b"]}',
        'lr: {values: [0.1, "a b"]}',
    ),
    "a key of a sweep": sweep("run_cp: 3", "run_cp", "Did you mean 'run_cap'?", "run_cap"),
    "a job": sweep("job: x:v1", "job: x:v1", "program: train.py", "program: train.py"),
    "a scheduler": sweep("scheduler: {}", "scheduler: {}", "executor.type", "",
    "goal=loss:min executor.type=inline"),
    "a base of a sweep": sweep("inherit: other", "inherit: other", "into one file", ""),
    "a method": sweep("method: randm", "randm", "Did you mean 'random'?", "random"),
    "a method of one's own": sweep(
        "method: custom", "custom", "study.sampler.type=NAME", "bayes",
        "goal=loss:min study.sampler.type=narrowing",
    ),
    "a key of a metric": sweep(
        "metric: {name: loss, goal: minimize, targt: 3}", "targt", "Did you mean 'target'?",
        "target"
    ),
    "an early end": sweep(
        "early_terminate: {type: envelope}", "early_terminate: {type: envelope}",
        "study.pruner.type=asha", "", "goal=loss:min study.pruner.type=asha",
    ),
    "a key of an early end": sweep(
        "early_terminate: {type: hyperband, min_itr: 3}", "min_itr", "Did you mean 'min_iter'?",
        "min_iter",
    ),
    # Spaces of Ray Tune.
    "a call misspelt": ray("tune.unifrm(0, 1)", "Did you mean 'uniform'?", "tune.uniform(0, 1)"),
    "randn": ray("tune.randn(0, 1)", "tune.uniform(low, high)", "tune.uniform(0, 1)"),
    "qrandn": ray("tune.qrandn(0, 1, .1)", "tune.quniform(low, high, q)",
    "tune.quniform(0, 1, .1)"),
    "sample_from": ray("tune.sample_from(f)", "tune.choice([...])", "tune.choice([1, 2])"),
    "qloguniform": ray(
        "tune.qloguniform(1, 9, 2)", "tune.loguniform(low, high)", "tune.loguniform(1, 9)"
    ),
    "qlograndint": ray(
        "tune.qlograndint(1, 9, 2)", "tune.lograndint(low, high)", "tune.lograndint(1, 9)"
    ),
    # Sweeps of Hydra.
    "names of a group": hydra(
        "params: {lr: 'interval(0.1, 1)', optim: glob(*)}", "optim: glob(*)",
        "optim: choice(adam, sgd)",
        "optim: 'choice(adam, sgd)'",
    ),
    "several directions": hydra(
        "params: {lr: 'interval(0.1, 1)'}\n    direction: [minimize, maximize]",
        "direction: [minimize, maximize]", "--goal loss:min --goal accuracy:max", "",
        "--goal loss:min --goal accuracy:max",
    ),
}  # fmt: skip
BASE = f"parameters: {{{X}}}\n"


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", CASES)
def test_a_space_mended_as_advised_is_searched(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = CASES[name]
    Path("base.yaml").write_text(BASE)
    Path("whole.yaml").write_text(f"inherit: false\n{BASE}")
    Path("space.yaml").write_text(one.text)
    with pytest.raises(TunewrightError) as refused:
        run("tune", *shlex.split(one.words))
    assert one.said in str(refused.value)
    assert one.wrong in one.text
    Path("space.yaml").write_text(one.text.replace(one.wrong, one.right) if one.wrong else one.text)
    run(*shlex.split(one.instead or f"tune {one.words}"))
