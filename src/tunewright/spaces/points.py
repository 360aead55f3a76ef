"""Points of a space in a fixed order: all of a finite one, or a sequence that fills it evenly."""

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from tunewright.errors import SpaceError
from tunewright.spaces.domain import Categorical, Domain, Float, Int, canonical, grid_steps, on_grid
from tunewright.spaces.space import TRIES, Space

GRID_VALUES = 1000
"""Largest number of values of one domain that is still searched as a grid."""
BLOCK = 64
"""Sobol points computed at once; a power of two, which keeps the sequence balanced."""


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Yield every allowed point once; the last parameter changes fastest.

    Raises SpaceError, before the first point, for a domain that cannot be listed.
    """
    values = {p.path: list_values(p.path, p.domain) for p in space.parameters}
    return _completions(space, values, {}, 0)


def is_finite(space: Space) -> bool:
    """Return whether `grid` can list the space."""
    try:
        for parameter in space.parameters:
            list_values(parameter.path, parameter.domain)
    except SpaceError:
        return False
    return True


def _completions(
    space: Space, values: Mapping[str, list[Any]], begun: dict[str, Any], place: int
) -> Iterator[dict[str, Any]]:
    """Yield the allowed points that begin with `begun`; a violated rule stays violated."""
    if space.broken_rule(begun):
        return
    if place == len(space.parameters):
        yield begun
        return
    parameter = space.parameters[place]
    if not space.exists(parameter, begun):
        yield from _completions(space, values, begun, place + 1)
        return
    for value in values[parameter.path]:
        yield from _completions(space, values, {**begun, parameter.path: value}, place + 1)


def list_values(path: str, domain: Domain) -> list[Any]:
    """Return all values of a domain, rising; raise SpaceError when they are too many for a grid."""
    if isinstance(domain, Categorical):
        return list(domain.choices)
    if isinstance(domain, Float) and domain.step is None and domain.low < domain.high:
        raise SpaceError(
            f"{path} is any number in {domain}, which no grid can list",
            expected="choices, or a step",
            remedy=f"Give {path} choices or a step in the space, or use another "
            "study.sampler.type.",
        )
    count = grid_steps(domain) + 1
    if count > GRID_VALUES:
        raise SpaceError(
            f"{path} has {count} values in {domain}",
            expected=f"at most {GRID_VALUES} values per parameter in a grid",
            remedy=f"Give {path} choices or a larger step in the space, or use another "
            "study.sampler.type.",
        )
    return [on_grid(domain, place) for place in range(count)]


def quasi_random(space: Space, seed: int) -> Iterator[dict[str, Any]]:
    """Yield allowed points of a scrambled Sobol sequence, each once, one coordinate per parameter.

    Ends when a thousand in a row are forbidden or repeated: a small space is exhausted. Source:
    Owen 1998, "Scrambling Sobol' and Niederreiter-Xing points".
    """
    from scipy.stats.qmc import Sobol  # takes a second to import

    sequence = Sobol(len(space.parameters), rng=seed)
    places = {p.path: place for place, p in enumerate(space.parameters)}
    seen: set[Hashable] = set()
    misses = 0
    while True:
        for row in sequence.random(BLOCK):
            values = space.draw(lambda p, row=row: at(p.domain, row[places[p.path]]))  # type: ignore[misc]
            if space.broken_rule(values) is None and identity(space, values) not in seen:
                seen.add(identity(space, values))
                misses = 0
                yield values
            elif (misses := misses + 1) == TRIES:
                return


def at(domain: Domain, fraction: float) -> Any:
    """Return the value at a fraction in [0, 1) of a domain, on the domain's own scale."""
    if isinstance(domain, Categorical):
        return domain.choices[int(fraction * len(domain.choices))]
    if domain.step and not domain.log:
        return on_grid(domain, int(fraction * (grid_steps(domain) + 1)))
    if isinstance(domain, Int):  # each number spans half a unit on either side
        low, high = math.log(domain.low - 0.5), math.log(domain.high + 0.5)
        return min(max(round(math.exp(low + fraction * (high - low))), domain.low), domain.high)
    if domain.log:
        low, high = math.log(domain.low), math.log(domain.high)
        value = math.exp(low + fraction * (high - low))
    else:
        value = domain.low + fraction * (domain.high - domain.low)
    return min(max(float(value), domain.low), domain.high)


def identity(space: Space, values: Mapping[str, Any]) -> Hashable:
    """Return a key that is equal for equal points; values on a grid count by their index."""
    return frozenset(
        (path, _mark(space[path].domain, value) if path in space else canonical(value))
        for path, value in values.items()
    )


def _mark(domain: Domain, value: Any) -> Hashable:
    if isinstance(domain, Categorical):
        return canonical(value)
    return round((value - domain.low) / domain.step) if domain.step else float(value)
