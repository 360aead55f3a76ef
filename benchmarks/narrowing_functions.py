"""Functions of a search whose best point is known: conditional, noisy, with optima at edges.

A function has three to six numbers, one or two choices, and mostly one or two parameters that exist
under one choice alone. Two to four of the numbers matter; they are correlated in pairs, and half of
the functions have small waves besides. In three of ten the best value of a number lies beyond its
range. Noise is 2 to 20 % of the spread of the scores.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from tunewright.spaces.domain import Categorical, Domain, Float, Int
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Parameter, Space
from tunewright.spaces.specification import specification

Rng = np.random.Generator
DOMAINS: tuple[Domain, ...] = (
    Float(1e-5, 1e-1, log=True),
    Float(0.0, 0.8),
    Float(1e-6, 1e-2, log=True),
    Int(1, 12),
    Float(0.1, 0.9, step=0.05),
    Int(16, 1024, log=True),
)
DRAWS = 4000
"""Random points by which the spread of a function is known."""


@dataclass(frozen=True)
class SearchFunction:
    """A function of a space. Larger is better.

    centres, weights: [numbers] of its bowl. twist: [numbers, numbers] of pairs. waves: height and
    number. offsets: by path, of each choice. shifts: [numbers] by which the first choice's last
    level moves the centre. noise: standard deviation. best_point, best: where it is largest within
    the space, and how large. edges: paths of numbers whose best value lies beyond their range.
    spread: standard deviation of its values over the space.
    """

    space: Space
    numbers: tuple[str, ...]
    centres: np.ndarray
    twist: np.ndarray
    waves: tuple[float, float]
    offsets: Mapping[str, Mapping[str, float]]
    shift: np.ndarray
    inner: Mapping[str, tuple[float, float]]
    noise: float = 0.0
    best_point: Mapping[str, Any] | None = None
    best: float = 0.0
    spread: float = 1.0
    edges: tuple[str, ...] = ()

    def value(self, values: Mapping[str, Any]) -> float:
        """Return the score of a point, without noise; also of one beyond the ranges."""
        units = np.array([to_unit(self.space[p].domain, values[p]) for p in self.numbers])
        choices = {path: values[path] for path in self.offsets}
        inner = {
            path: to_unit(self.space[path].domain, values[path])
            for path in self.inner
            if path in values
        }
        return self._of_units(units, choices, inner)

    def _of_units(
        self, units: np.ndarray, choices: Mapping[str, str], inner: Mapping[str, float]
    ) -> float:
        moved = self.centres + self.shift * (choices.get("kind") == "c")
        off = units - moved
        height, count = self.waves
        score = -float(off @ self.twist @ off)
        weights = np.diag(self.twist)
        score -= height * float((weights * (1 - np.cos(2 * math.pi * count * off))).sum())
        score += sum(self.offsets[path][choice] for path, choice in choices.items())
        for path, unit in inner.items():
            centre, weight = self.inner[path]
            score -= weight * (unit - centre) ** 2
        return score


def to_unit(domain: Domain, value: Any) -> float:
    """Return the place of a number in its range, 0 to 1 within it."""
    assert not isinstance(domain, Categorical)
    if domain.log:
        return math.log(value / domain.low) / math.log(domain.high / domain.low)
    return (value - domain.low) / (domain.high - domain.low)


def from_unit(domain: Domain, unit: float) -> Any:
    """Return the number at a place of a range, as near as its steps allow."""
    assert not isinstance(domain, Categorical)
    if domain.log:
        value = domain.low * (domain.high / domain.low) ** unit
    else:
        value = domain.low + unit * (domain.high - domain.low)
    if domain.step and not domain.log:
        value = domain.low + round((value - domain.low) / domain.step) * domain.step
    value = min(max(value, domain.low), domain.high)
    return round(value) if isinstance(domain, Int) else float(value)


def draw_function(rng: Rng) -> SearchFunction:
    """Return a function of the generator."""
    count = int(rng.integers(3, 7))
    kinds = rng.permutation(len(DOMAINS))[:count]
    numbers = tuple(f"n{place}" for place in range(count))
    parameters = [Parameter(p, DOMAINS[k]) for p, k in zip(numbers, kinds, strict=True)]
    levels = {"kind": ("a", "b", "c")}
    if rng.random() < 0.5:
        levels["mode"] = ("x", "y")
    parameters += [Parameter(path, Categorical(of)) for path, of in levels.items()]
    inner: dict[str, tuple[float, float]] = {}
    for place in range(int(rng.integers(0, 3))):
        path, level = f"inner{place}", str(rng.choice(["a", "b", "c"]))
        domain = DOMAINS[int(rng.integers(3))]
        parameters.append(Parameter(path, domain, when=(Condition("kind", (level,)),)))
        inner[path] = float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.5, 2.0))
    matter = int(rng.integers(2, min(4, count) + 1))
    weights = np.zeros(count)
    weights[:matter] = rng.uniform(1.0, 6.0, matter)
    twist = np.diag(weights)
    for one in range(matter - 1):
        size = rng.uniform(-0.5, 0.5) * math.sqrt(weights[one] * weights[one + 1])
        twist[one, one + 1] = twist[one + 1, one] = size
    centres = rng.uniform(0.1, 0.9, count)
    if rng.random() < 0.3:
        centres[0] = -0.15 if rng.random() < 0.5 else 1.15
    shift = np.zeros(count)
    shift[1] = rng.uniform(-0.3, 0.3) if rng.random() < 0.5 else 0.0
    offsets = {
        path: {level: float(rng.normal(0, 0.5)) for level in of} for path, of in levels.items()
    }
    waves = (float(rng.uniform(0.0, 0.03)), 2.0) if rng.random() < 0.5 else (0.0, 1.0)
    space = Space(tuple(parameters))
    made = SearchFunction(space, numbers, centres, twist, waves, offsets, shift, inner)
    return _complete(made, matter, rng)


def _complete(made: SearchFunction, matter: int, rng: Rng) -> SearchFunction:
    """Return a function with its best point, its spread, and its noise."""
    best, point = -math.inf, {}
    for kind in made.offsets["kind"]:
        for mode in made.offsets.get("mode", {"": 0.0}):
            choices = {"kind": kind, **({"mode": mode} if mode else {})}
            inner = {p: c for p, (c, _) in made.inner.items() if _has(made, p, kind)}

            def loss(units: np.ndarray, choices: Any = choices, inner: Any = inner) -> float:
                return -made._of_units(units, choices, inner)

            for start in (made.centres, *rng.random((6, len(made.numbers)))):
                bounds = [(0.0, 1.0)] * len(made.numbers)
                found = minimize(loss, np.clip(start, 0, 1), method="L-BFGS-B", bounds=bounds)
                if -found.fun > best:
                    best = float(-found.fun)
                    units = dict(zip(made.numbers, found.x, strict=True)) | inner
                    point = choices | {
                        p: from_unit(made.space[p].domain, u) for p, u in units.items()
                    }
    values = np.array([made.value(draw_point(made, rng)) for _ in range(500)])
    spread = float(values.std())
    edges = tuple(
        path
        for place, path in enumerate(made.numbers[:matter])
        if not 0.0 < to_unit(made.space[path].domain, point[path]) < 1.0
    )
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__}
    fields |= {"noise": spread * float(np.exp(rng.uniform(np.log(0.02), np.log(0.2))))}
    fields |= {"best_point": point, "best": made.value(point), "spread": spread, "edges": edges}
    return SearchFunction(**fields)


def draw_point(made: SearchFunction, rng: Rng) -> dict[str, Any]:
    """Return a random point of the space."""
    return made.space.draw(
        lambda p: (
            str(rng.choice(p.domain.choices))
            if isinstance(p.domain, Categorical)
            else from_unit(p.domain, float(rng.random()))
        )
    )


def matters(made: SearchFunction, path: str) -> bool:
    """Return whether a number changes the score."""
    if path in made.inner:
        return True
    return path in made.numbers and bool(made.twist[made.numbers.index(path)].any())


def space_file(made: SearchFunction) -> dict[str, Any]:
    """Return the space of a function as a space file has it."""
    return specification(made.space)


def _has(made: SearchFunction, path: str, kind: str) -> bool:
    return all(condition.holds(kind) for condition in made.space[path].when)
