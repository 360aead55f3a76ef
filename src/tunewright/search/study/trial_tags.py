"""Tags of trials: the good combination they try, `avoid` rules that they match, audits."""

from collections.abc import Mapping
from typing import Any

from tunewright.spaces.advice import good_points
from tunewright.spaces.domain import same
from tunewright.spaces.points import identity
from tunewright.spaces.space import Space

AVOIDED = "avoided"
"""User attribute of a trial: the names of the `avoid` rules that it matches."""
GOOD = "good"
"""User attribute of a trial: the name of the good combination that it tries."""

AUDITED = "audited"
"""User attribute of a trial that ran on although it would have been pruned: the step."""

PAUSED = "paused"
"""User attribute of a trial that waits at a rung: where, as `at 3 of 52`; empty once it goes on.

A search that ends leaves it on the trials that still wait, which then are PRUNED.
"""

SPANS = "spans"
"""User attribute of a trial that was paused: when it had a worker, `[[start, seconds], ...]`."""

LEFT = "; others were predicted to end better"
"""End of the reason of a trial that was left at a rung."""


def reason_of_left(rung: str) -> str:
    """Return why a trial was pruned that waited at a rung when its search ended."""
    return f"paused {rung}{LEFT}"


def rung_in(reason: str) -> str:
    """Return where a trial was left, as `reason_of_left` says; empty for any other reason."""
    is_left = reason.startswith("paused at ") and reason.endswith(LEFT)
    return reason.removeprefix("paused ").removesuffix(LEFT) if is_left else ""


def read_spans(stored: Any) -> tuple[tuple[float, float], ...]:
    """Return stored spans; empty where there are none, or they are damaged."""
    try:
        return tuple((float(start), float(seconds)) for start, seconds in stored or ())
    except (TypeError, ValueError):
        return ()


def marks(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tag attributes of a trial with these values; empty for most."""
    found: dict[str, Any] = {}
    if avoided := space.avoid_rules_of(values):
        found[AVOIDED] = list(avoided)
    if space.good:
        own = identity(space, values)
        for name, point in good_points(space).items():
            if identity(space, point) == own:
                found[GOOD] = name
    return found


def retag(space: Space, values: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a trial of an earlier space, with the tags of this one.

    A good combination keeps its name while it has its values, whatever the defaults are now.
    """
    kept = {key: value for key, value in former.items() if key not in (AVOIDED, GOOD)}
    if is_good(space, values, former.get(GOOD)):
        kept[GOOD] = former[GOOD]
    return {**kept, **marks(space, values)}


def is_good(space: Space, values: Mapping[str, Any], name: str | None) -> bool:
    """Return whether a trial tagged with a good combination has its values."""
    return any(
        good.name == name
        and all(
            path not in space or same(values.get(path), wanted)
            for path, wanted in good.values.items()
        )
        for good in space.good
    )
