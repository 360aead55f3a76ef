"""Detect names of which one is a prefix of another, such as `model` and `model.width`."""

from collections.abc import Iterator, Mapping
from typing import Any

from tunewright.errors import SpaceError
from tunewright.spaces.advice import can_be
from tunewright.spaces.domain import Categorical
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Space


def check_apart(space: Space, where: Mapping[str, str]) -> None:
    """Raise SpaceError for a name that is a prefix of another, where a trial may have both.

    A dictionary is merged with a set or derived value below it, if that is not among its keys.
    where: file and line of each parameter.
    """
    fixed = {path for path, value in space.fixed.items() if value is not None}
    active = {p.path for p in space.parameters} | space.derived.keys()
    for lower in sorted(active | fixed):
        for upper in _beginnings(lower):
            one_acts = upper in active or (upper in fixed and lower in active)
            if one_acts and _clash(space, upper, lower):
                raise SpaceError(
                    f"{upper} ({_role(space, upper)}) and {lower} ({_role(space, lower)}): one "
                    "would overwrite the other",
                    expected="names of which none is a prefix of another",
                    where=where.get(lower, "") or where.get(upper, ""),
                    remedy=f"Give {upper} a name of its own, such as {upper}.type.",
                )


def _beginnings(path: str) -> Iterator[str]:
    parts = path.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def _clash(space: Space, upper: str, lower: str) -> bool:
    """Return whether some trial has both, and one would overwrite the other."""
    needed = space[lower].when if lower in space else ()
    if upper not in space:
        merges = upper not in space.derived and space.fixed[upper] == {}
        return not merges and can_be(space, needed)
    parameter = space[upper]
    needed = (*parameter.when, *needed)
    if not isinstance(parameter.domain, Categorical):
        return can_be(space, needed)
    rest = lower.removeprefix(f"{upper}.")
    return any(
        can_be(space, (Condition(upper, among=(choice,)), *needed))
        for choice in parameter.domain.choices
        if lower in space or not _has_room(choice, rest)
    )


def _has_room(choice: Any, path: str) -> bool:
    """Return whether a dictionary can take a value at a path without losing one of its own."""
    for key in path.split("."):
        if not isinstance(choice, Mapping):
            return False
        if key not in choice:
            return True
        choice = choice[key]
    return False


def _role(space: Space, path: str) -> str:
    if path in space:
        return "searched"
    return "derived" if path in space.derived else f"set to {space.fixed[path]}"
