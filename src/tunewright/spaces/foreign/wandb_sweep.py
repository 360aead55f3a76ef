"""Sweep files of Weights & Biases: their space, method, metric, early end and command."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunewright.config.tree import Tree, set_leaf
from tunewright.errors import SpaceError, did_you_mean, quote, shorten
from tunewright.spaces.domain import grid_steps, is_number
from tunewright.spaces.foreign.wandb_parameters import ReadParameter, read_wandb_parameter
from tunewright.spaces.read import SpaceFile
from tunewright.spaces.specification import read_domain

READ = (
    "method",
    "metric",
    "parameters",
    "early_terminate",
    "run_cap",
    "program",
    "command",
    "name",
)
WITHOUT_USE = ("project", "entity", "description", "controller", "imageuri", "prior_runs")
"""Keys that say where W&B shows a sweep."""
REFUSED = {
    "job": "Name the script: program: train.py.",
    "scheduler": "Runs start on this machine; executor.type chooses another.",
    "launch": "Runs start on this machine; executor.type chooses another.",
    "inherit": "Write the parameters of both sweeps into one file.",
}
"""Keys that need W&B's server, and what to do instead."""
COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
"""What an agent of W&B runs where the file has no `command`."""
_GOALS = {"minimize": "min", "maximize": "max"}
MOST = 100_000
"""Points of a grid that are counted."""


def is_wandb_sweep(tree: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a sweep of W&B, judged by its keys."""
    return isinstance(tree.get("parameters"), Mapping) and (
        "method" in tree or "early_terminate" in tree or "run_cap" in tree
    )


def read_wandb_sweep(tree: Mapping[str, Any], file: Path) -> SpaceFile:
    """Return a sweep as our space file.

    Raises SpaceError, by their names, for keys and distributions that mean nothing here.
    """
    for key in tree:
        if key not in (*READ, *WITHOUT_USE):
            raise SpaceError(
                f"{quote(key)} in the sweep {file}",
                expected=f"one of {', '.join(READ)}",
                remedy=REFUSED.get(key) or did_you_mean(key, READ),
            )
    read = dict(_parameters(tree["parameters"], file))
    parameters = {path: one.fields for path, one in read.items() if one.fields is not None}
    fixed = {path: one.value for path, one in read.items() if one.fields is None}
    notices = [one.notice for one in read.values() if one.notice]
    settings: Tree = {}
    if tree.get("name") is not None:
        set_leaf(settings, "study.name", str(tree["name"]))
    if unused := [key for key in WITHOUT_USE if key in tree]:
        notices.append(
            f"{', '.join(unused)} of the sweep {file} belongs to W&B's server and is not used"
        )
    notices += _set_method(tree, file, parameters, settings)
    notices += _set_metric(tree.get("metric"), file, settings)
    notices += _set_pruner(tree.get("early_terminate"), file, settings)
    return SpaceFile(
        parameters,
        settings=settings,
        inherit=False,
        fixed=fixed,
        script=_script(tree, file),
        notices=tuple(notices),
    )


def _parameters(raw: Any, file: Path, prefix: str = "") -> Iterator[tuple[str, ReadParameter]]:
    """Yield all parameters by dotted path; nested ones stand below `parameters`."""
    if not isinstance(raw, Mapping) or not raw:
        raise SpaceError(
            f"{prefix}parameters = {quote(raw)} in the sweep {file}",
            expected="a mapping from names to value, values, or min and max",
        )
    for name, fields in raw.items():
        path = f"{prefix}{name}"
        if not isinstance(fields, Mapping):
            key = "values" if isinstance(fields, list) else "value"
            raise SpaceError(
                f"{path} = {quote(fields)} in the sweep {file}",
                expected="value, values, or min and max below it",
                remedy=f"Write {path}: {{{key}: {shorten(json.dumps(fields, default=str))}}}.",
            )
        if "parameters" in fields:
            yield from _parameters(fields["parameters"], file, f"{path}.")
        else:
            yield path, read_wandb_parameter(path, fields)


def _set_method(
    tree: Mapping[str, Any], file: Path, parameters: Mapping[str, Any], settings: Tree
) -> list[str]:
    """Set the sampler and the number of trials; return notices."""
    method, cap = tree.get("method", "bayes"), tree.get("run_cap")
    if method not in ("grid", "random", "bayes"):
        raise SpaceError(
            f"method = {quote(method)} in the sweep {file}",
            expected="grid, random or bayes",
            remedy="Write bayes, and name your own, from an installed package, with "
            "study.sampler.type=NAME."
            if method == "custom"
            else did_you_mean(str(method), ("grid", "random", "bayes")),
        )
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        raise SpaceError(f"run_cap = {quote(cap)} in the sweep {file}", expected="a whole number")
    points = _count_points(parameters) if method == "grid" else None
    trials = cap if points is None else min(points, cap or points)
    if trials is not None:
        set_leaf(settings, "study.trials", trials)
    if method != "bayes":
        set_leaf(settings, "study.sampler", {"type": method})
        return []
    return ["method: bayes is the sampler tpe here; study.sampler.type=gp is a Gaussian process"]


def _count_points(parameters: Mapping[str, Mapping[str, Any]]) -> int | None:
    """Return the number of points of a grid; None for one that cannot be listed."""
    sizes = []
    for fields in parameters.values():
        if "choices" in fields:
            sizes.append(len(fields["choices"]))
        elif fields["type"] == "int" or "step" in fields:
            domain = read_domain(fields)
            sizes.append(grid_steps(domain) + 1)
        else:
            return None
    return min(math.prod(sizes), MOST)


def _set_metric(metric: Any, file: Path, settings: Tree) -> list[str]:
    """Set the goal and the target; return notices."""
    if metric is None:
        return []
    if not isinstance(metric, Mapping) or not isinstance(metric.get("name"), str):
        raise SpaceError(
            f"metric = {quote(metric)} in the sweep {file}", expected="name and goal below it"
        )
    known = ("name", "goal", "target", "impute", "impute_while_running")
    for key in metric:
        if key not in known:
            raise SpaceError(
                f"metric.{key} in the sweep {file}",
                expected=f"one of {', '.join(known)}",
                remedy=did_you_mean(str(key), known),
            )
    goal = metric.get("goal", "minimize")
    if goal not in _GOALS:
        raise SpaceError(
            f"metric.goal = {quote(goal)} in the sweep {file}", expected="minimize or maximize"
        )
    settings["goal"] = f"{metric['name'].strip()}:{_GOALS[goal]}"
    if (target := metric.get("target")) is not None:
        if not is_number(target):
            raise SpaceError(
                f"metric.target = {quote(target)} in the sweep {file}", expected="a number"
            )
        set_leaf(settings, "study.target", float(target))
    if "impute" in metric or "impute_while_running" in metric:
        return ["metric.impute is not used: the sampler knows failed trials for what they are"]
    return []


def _set_pruner(raw: Any, file: Path, settings: Tree) -> list[str]:
    """Set the pruner; return notices.

    The bands of W&B are those of successive halving: a run is compared with all others that
    reached the band.
    """
    if raw is None:
        set_leaf(settings, "study.pruner", {"type": "none"})
        return [
            "the sweep has no early_terminate, so no trial is stopped early; "
            "study.pruner.type=asha does it"
        ]
    if not isinstance(raw, Mapping) or raw.get("type") != "hyperband":
        kind = raw.get("type") if isinstance(raw, Mapping) else raw
        raise SpaceError(
            f"early_terminate of the type {quote(kind)} in the sweep {file}",
            expected="type: hyperband with min_iter, or with max_iter and s",
            remedy="Leave it out, and choose one of study.pruner.type=asha, hyperband, median.",
        )
    known = ("type", "min_iter", "max_iter", "s", "eta", "strict")
    for key, value in raw.items():
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if key not in known or (key not in ("type", "strict") and not whole):
            raise SpaceError(
                f"early_terminate.{key} = {quote(value)} in the sweep {file}",
                expected="whole numbers for min_iter, max_iter, s and eta",
                remedy=did_you_mean(str(key), known),
            )
    eta = raw.get("eta", 3)
    if eta < 2:
        raise SpaceError(f"early_terminate.eta = {eta} in the sweep {file}", expected="2 or more")
    notices = []
    if "max_iter" in raw and "s" in raw:
        bands = [raw["max_iter"] // eta**place for place in range(1, raw["s"] + 1)]
        first = min((band for band in bands if band >= 1), default=1)
        if "min_iter" in raw:
            notices.append(
                f"early_terminate.min_iter = {raw['min_iter']} is not used, since W&B goes by "
                "max_iter and s where they are set; leave those out to go by min_iter"
            )
    elif "min_iter" in raw:
        first = raw["min_iter"]
    else:
        raise SpaceError(
            f"early_terminate in the sweep {file} has {', '.join(raw)}",
            expected="min_iter, or max_iter and s",
        )
    set_leaf(
        settings,
        "study.pruner",
        {"type": "asha", "min_resource": first, "reduction_factor": eta},
    )
    rungs = ", ".join(str(first * eta**place) for place in range(3))
    return [
        *notices,
        f"early_terminate: hyperband is the pruner asha here: at step {rungs}, ... the best "
        f"1/{eta} go on",
    ]


def _script(tree: Mapping[str, Any], file: Path) -> Tree:
    """Return what the sweep runs, as settings of the recipe `command`; empty where it says none."""
    program, command = tree.get("program"), tree.get("command")
    if program is None and command is None:
        return {}
    words = list(COMMAND) if command is None else command
    if isinstance(words, str) or not isinstance(words, list):
        raise SpaceError(
            f"command = {quote(words)} in the sweep {file}",
            expected="a list of words, such as [python, train.py, '${args}']",
        )
    script: Tree = {"command": [str(word) for word in words]}
    if program is not None:
        script["script"] = {"program": str(program)}
    return script
