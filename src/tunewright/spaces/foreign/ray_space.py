"""Search spaces of Ray Tune in YAML: `param_space` with `tune.loguniform(1e-4, 1e-1)` and lists."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tunewright.config.tree import Tree, set_leaf
from tunewright.errors import SpaceError, did_you_mean, quote
from tunewright.spaces.domain import is_number
from tunewright.spaces.foreign.wandb_parameters import ReadParameter
from tunewright.spaces.read import SpaceFile

_CALL = re.compile(r"(?:ray\.)?(?:tune\.)?(?P<name>[a-z_]+)\((?P<arguments>.*)\)\s*\Z", re.S)
_INSTEAD = {
    "randn": "Give bounds: tune.uniform(low, high).",
    "qrandn": "Give bounds: tune.quniform(low, high, q).",
    "sample_from": "Write its values: tune.choice([...]).",
    "qloguniform": "Leave the steps out: tune.loguniform(low, high).",
    "qlograndint": "Leave the steps out: tune.lograndint(low, high).",
}
"""Calls that no sampler here draws from, and what to write in their place."""
_BESIDE = ("num_samples", "metric", "mode", "tune_config")


def is_ray_space(tree: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a space of Ray Tune, judged by its keys."""
    return isinstance(tree.get("param_space"), Mapping)


def read_ray_space(tree: Mapping[str, Any], file: Path) -> SpaceFile:
    """Return the space as ours, with `metric`, `mode` and `num_samples` beside it.

    Raises SpaceError, by their names, for distributions that mean nothing here.
    """
    read = dict(_parameters(tree["param_space"], file))
    beside = {**(tree.get("tune_config") or {}), **tree}
    settings: Tree = {}
    if isinstance(metric := beside.get("metric"), str):
        mode = beside.get("mode", "max")
        if mode not in ("min", "max"):
            raise SpaceError(f"mode = {quote(mode)} in {file}", expected="min or max")
        settings["goal"] = f"{metric}:{mode}"
    if isinstance(count := beside.get("num_samples"), int) and count > 0:
        set_leaf(settings, "study.trials", count)
    known = {"param_space", *_BESIDE}
    unused = [k for k in beside if k not in known]
    notices = [f"{', '.join(unused)} of {file} are not used"] if unused else []
    return SpaceFile(
        {path: one.fields for path, one in read.items() if one.fields is not None},
        settings=settings,
        inherit=False,
        fixed={path: one.value for path, one in read.items() if one.fields is None},
        notices=(*notices, *(one.notice for one in read.values() if one.notice)),
    )


def _parameters(
    raw: Mapping[str, Any], file: Path, prefix: str = ""
) -> Iterator[tuple[str, ReadParameter]]:
    for name, value in raw.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and {*value} == {"grid_search"}:
            yield path, _choices(path, value["grid_search"])
        elif isinstance(value, Mapping) and value:
            yield from _parameters(value, file, f"{path}.")
        elif isinstance(value, str) and (call := _CALL.match(value.strip())):
            yield path, _read_call(path, call["name"], call["arguments"], file)
        else:
            yield path, ReadParameter(value=value)


def _read_call(path: str, name: str, arguments: str, file: Path) -> ReadParameter:
    """Return what a call such as `loguniform(1e-4, 1e-1)` draws from; nothing is evaluated."""
    if name not in _CALLS:
        raise SpaceError(
            f"{path} = tune.{name}(...) in {file}",
            expected=f"one of {', '.join(_CALLS)}",
            remedy=_INSTEAD.get(name) or did_you_mean(name, _CALLS),
        )
    try:
        parsed = ast.parse(f"f({arguments})", mode="eval").body
        assert isinstance(parsed, ast.Call)
        given = [ast.literal_eval(argument) for argument in parsed.args]
        named = {word.arg or "": ast.literal_eval(word.value) for word in parsed.keywords}
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
        _refuse_arguments(path, name, arguments, file)
    try:
        return _CALLS[name](path, *given, **named)
    except TypeError:
        _refuse_arguments(path, name, arguments, file)


def _refuse_arguments(path: str, name: str, arguments: str, file: Path) -> NoReturn:
    raise SpaceError(
        f"{path} = tune.{name}({arguments}) in {file}",
        expected="plain numbers or lists as its arguments, such as tune.uniform(0.0, 1.0)",
    ) from None


def _choices(path: str, categories: Any) -> ReadParameter:
    if not isinstance(categories, list | tuple) or not categories:
        raise SpaceError(f"{path}: {quote(categories)}", expected="a list of values")
    if len(categories) == 1:
        return ReadParameter(value=categories[0])
    return ReadParameter({"choices": list(categories)})


def _uniform(path: str, lower: float, upper: float) -> ReadParameter:
    return ReadParameter(_range(path, "float", lower, upper))


def _quniform(path: str, lower: float, upper: float, q: float) -> ReadParameter:
    return ReadParameter({**_range(path, "float", lower, upper), "step": q})


def _loguniform(path: str, lower: float, upper: float, base: float = 10) -> ReadParameter:
    return ReadParameter({**_range(path, "float", lower, upper), "log": True})


def _randint(path: str, lower: int, upper: int) -> ReadParameter:
    """Read whole numbers below `upper`, as `random.randrange` draws them."""
    return ReadParameter(_range(path, "int", lower, upper - 1))


def _qrandint(path: str, lower: int, upper: int, q: int = 1) -> ReadParameter:
    """Read steps of whole numbers; `upper` is one of them."""
    return ReadParameter({**_range(path, "int", lower, upper), "step": q})


def _lograndint(path: str, lower: int, upper: int, base: float = 10) -> ReadParameter:
    return ReadParameter({**_range(path, "int", lower, upper - 1), "log": True})


def _range(path: str, kind: str, low: float, high: float) -> dict[str, Any]:
    if not is_number(low) or not is_number(high) or low > high:
        raise SpaceError(f"{path}: from {quote(low)} to {quote(high)}", expected="rising numbers")
    return {"type": kind, "low": low, "high": high}


_CALLS: Mapping[str, Callable[..., ReadParameter]] = {
    "choice": _choices,
    "grid_search": _choices,
    "uniform": _uniform,
    "quniform": _quniform,
    "loguniform": _loguniform,
    "randint": _randint,
    "qrandint": _qrandint,
    "lograndint": _lograndint,
}
