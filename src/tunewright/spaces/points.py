"""Points of a space in a fixed order: all of a finite one, or a sequence that fills it evenly."""

import itertools
import math
from collections.abc import Collection, Hashable, Iterator, Mapping
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

    Raises SpaceError, before the first point, for a domain that cannot be listed, unless rules and
    conditions leave no point that has its parameter.
    """
    values: dict[str, list[Any]] = {}
    endless: dict[str, SpaceError] = {}
    for parameter in space.parameters:
        try:
            values[parameter.path] = list_values(parameter.path, parameter.domain)
        except SpaceError as error:
            endless[parameter.path] = error
    if (path := _first_reachable(space, values, endless)) is not None:
        raise endless[path]
    return _completions(space, values, {}, 0)


def is_finite(space: Space) -> bool:
    """Return whether `grid` can list the space."""
    try:
        grid(space)
    except SpaceError:
        return False
    return True


def _first_reachable(
    space: Space, values: Mapping[str, list[Any]], endless: Collection[str]
) -> str | None:
    """Return a path of `endless` that some allowed point has; None where no point has any.

    Looks at the parameters alone that decide this: those that the conditions of `endless` name,
    and those of the rules. Gives up after GRID_VALUES combinations, and then takes the first path.
    """
    if not endless:
        return None
    decisive = {*endless, *(path for rule in space.forbid for path in rule.paths)}
    for parameter in reversed(space.parameters):  # conditions name earlier parameters
        if parameter.path in decisive:
            decisive |= {condition.path for condition in parameter.when}
    begun: list[dict[str, Any]] = [{}]
    for parameter in space.parameters:
        if parameter.path not in decisive:
            continue
        further: list[dict[str, Any]] = []
        for point in begun:
            if not space.exists(parameter, point):
                further.append(point)
            elif parameter.path in endless:
                return parameter.path
            else:
                tried = ({**point, parameter.path: value} for value in values[parameter.path])
                further += [one for one in tried if space.broken_rule(one) is None]
            if len(further) > GRID_VALUES:
                return next(iter(endless))
        begun = further
    return None


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
    if isinstance(domain, Float) and domain.step is None:
        numbers = list(itertools.islice(_representable(domain), GRID_VALUES + 1))
        if len(numbers) <= GRID_VALUES:
            return numbers
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


def _representable(domain: Float) -> Iterator[float]:
    """Yield the numbers of a range that a computer can tell apart, rising."""
    number = domain.low
    while number < domain.high:
        yield number
        number = math.nextafter(number, math.inf)
    yield domain.high


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
