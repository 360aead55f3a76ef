"""Uniform draws from a space, for checks and tests; studies sample through Optuna."""

import math
import random
from collections.abc import Collection, Hashable
from typing import Any

from tunewright.spaces.domain import Categorical, Domain, Int, grid_steps, on_grid
from tunewright.spaces.points import grid, identity, is_finite
from tunewright.spaces.space import TRIES, Space

DRAWS = 1000
"""Uniform draws of points that were tried after which a space is taken to hold no other."""


def uniform(domain: Domain, rng: random.Random) -> Any:
    """Draw one value, uniform on the domain's own scale."""
    if isinstance(domain, Categorical):
        return rng.choice(domain.choices)
    if domain.step and not (isinstance(domain, Int) and domain.log):
        return on_grid(domain, rng.randint(0, grid_steps(domain)))
    if domain.log:
        value = math.exp(rng.uniform(math.log(domain.low), math.log(domain.high)))
    else:
        value = rng.uniform(domain.low, domain.high)
    value = min(max(value, domain.low), domain.high)
    return round(value) if isinstance(domain, Int) else value


def draw(space: Space, rng: random.Random) -> dict[str, Any] | None:
    """Draw an allowed point, or return None when a thousand draws violated a rule."""
    for _ in range(TRIES):
        values = space.draw(lambda parameter: uniform(parameter.domain, rng))
        if space.broken_rule(values) is None:
            return values
    return None


def draw_untried(
    space: Space, tried: Collection[Hashable], rng: random.Random
) -> dict[str, Any] | None:
    """Draw an allowed point that was not tried; a small space is searched exhaustively for one.

    tried: the identities of points. Returns None where no point is left.
    """
    for _ in range(DRAWS):
        values = draw(space, rng)
        if values is None:
            return None
        if identity(space, values) not in tried:
            return values
    listed = grid(space) if is_finite(space) else ()
    return next((values for values in listed if identity(space, values) not in tried), None)
