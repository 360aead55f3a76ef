"""Read a space file of any program: ours, the guides', and those of other tuners."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tunewright.errors import SpaceError, shorten
from tunewright.spaces.foreign.hydra_sweep import is_hydra_sweep, read_hydra_sweep
from tunewright.spaces.foreign.optuna_distributions import (
    are_distributions,
    read_distributions,
)
from tunewright.spaces.foreign.ray_space import is_ray_space, read_ray_space
from tunewright.spaces.foreign.wandb_sweep import is_wandb_sweep, read_wandb_sweep
from tunewright.spaces.plain_values import plain_values
from tunewright.spaces.read import SpaceFile, parse_space, rename_parameters
from tunewright.spaces.specification import read_domain


class SpaceDialect(NamedTuple):
    """How another program writes a space. top: the key that its parameters stand below."""

    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Path], SpaceFile]
    top: str


DIALECTS = (
    SpaceDialect(is_wandb_sweep, read_wandb_sweep, "parameters"),
    SpaceDialect(is_hydra_sweep, read_hydra_sweep, "hydra.sweeper.params"),
    SpaceDialect(is_ray_space, read_ray_space, "param_space"),
    SpaceDialect(are_distributions, read_distributions, ""),
)
"""The first one that knows a file reads it; ours reads all others."""


def is_foreign_space(tree: Mapping[str, Any]) -> bool:
    """Return whether another program's keys tell that a mapping is a space of it."""
    return any(dialect.matches(tree) for dialect in DIALECTS)


def parse_any_space(
    tree: Mapping[str, Any], file: Path, aliases: Mapping[str, str] | None
) -> SpaceFile:
    """Return the specification in a mapping that was read from `file`, or that code made.

    aliases: flat names to config paths; None where the names are the user's own. Raises SpaceError
    that names the file and the key.
    """
    for dialect in DIALECTS:
        if not dialect.matches(tree):
            continue
        plain = {key: plain_values(value, str(key)) for key, value in tree.items()}
        spec = dialect.read(plain, file)
        if not spec.parameters:
            raise SpaceError(
                f"{file} searches nothing: each of its parameters has one value",
                expected="a parameter with several values",
            )
        spec = rename_parameters(spec, file, dialect.top, aliases)
        return replace(spec, notices=(_describe(spec), *spec.notices))
    return parse_space(tree, file, aliases)


def _describe(spec: SpaceFile) -> str:
    """Return what is searched and what is fixed, in a line: kinds and bounds can be misread."""
    searched = []
    for path, fields in spec.parameters.items():
        kind = fields.get("type", "")
        with suppress(SpaceError, KeyError, TypeError, ValueError):  # told where it is checked
            domain = read_domain({"type": "categorical", **fields})
            searched.append(shorten(f"{path} {kind} {domain}".replace("  ", " ")))
    fixed = [f"{path} = {shorten(str(value))}" for path, value in spec.fixed.items()]
    return f"searched are {', '.join(searched)}" + (f"; fixed {', '.join(fixed)}" if fixed else "")
