"""Search spaces of `optuna ask --search-space`: distributions as Optuna writes them into JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.errors import SpaceError
from tunewright.spaces.read import SpaceFile

_KINDS = {
    "FloatDistribution": "float",
    "IntDistribution": "int",
    "CategoricalDistribution": "categorical",
    "UniformDistribution": "float",
    "LogUniformDistribution": "float",
    "DiscreteUniformDistribution": "float",
    "IntUniformDistribution": "int",
    "IntLogUniformDistribution": "int",
}
"""Optuna's distributions, those of older versions included, and our kinds."""


def are_distributions(tree: Mapping[str, Any]) -> bool:
    """Return whether a mapping has distributions alone, judged by their keys."""
    spaces = tree.get("parameters", tree)
    return bool(spaces) and all(
        isinstance(fields, Mapping) and {*fields} == {"name", "attributes"}
        for fields in (spaces.values() if isinstance(spaces, Mapping) else [None])
    )


def read_distributions(tree: Mapping[str, Any], file: Path) -> SpaceFile:
    """Return the distributions as our space file; raises SpaceError for a kind that is unknown."""
    parameters = {}
    for name, written in tree.get("parameters", tree).items():
        kind, given = str(written["name"]), written["attributes"]
        if kind not in _KINDS or not isinstance(given, Mapping):
            raise SpaceError(
                f"{name} is a {kind} in {file}", expected=f"one of {', '.join(_KINDS)}"
            )
        fields = {k: v for k, v in given.items() if k in ("low", "high", "choices")}
        step = given.get("step", given.get("q"))
        if given.get("log") or "Log" in kind:
            fields["log"] = True
        elif step is not None and (kind, step) != ("IntDistribution", 1):
            fields["step"] = step
        parameters[str(name)] = {"type": _KINDS[kind], **fields}
    return SpaceFile(parameters, inherit=False)
