"""Beliefs about where the optimum lies, and how far the trials bear them out.

Believed are the defaults of a recipe and the best configurations of earlier studies. They decide
where some of the first trials lie, and raise the score of candidates near them by an amount that
decays with the number of trials, as in piBO (Hvarfner et al. 2022). A belief is given up as soon
as the trials near it are no better than others, as in PriorBand (Mallik et al. 2023).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.search.curves.encoding import Encoder, Vector
from tunewright.spaces.domain import Categorical

SPREAD = 0.12
"""Standard deviation of the places of points that are drawn near a believed optimum."""
NEAR = 0.25
"""Root mean square distance within which a trial tests a belief; half of it is one deviation."""
DECAY = 20.0
"""Own trials after which a belief counts half."""
RAISE = 1.0
"""By how many standard deviations of the scores a belief raises a candidate at first."""
LEAST, MOST = 0.35, 0.75
"""Share of comparisons with other trials that those near have to win, to be believed at all, and
to be believed fully."""


class Prior:
    """Believed optima.

    points: their values by path; parameters that one lacks are unknown.
    """

    def __init__(self, encoder: Encoder, points: Sequence[Mapping[str, Any]]) -> None:
        self._encoder = encoder
        parameters = encoder.space.parameters
        self._is_choice = np.array([isinstance(p.domain, Categorical) for p in parameters], bool)
        distinct: dict[tuple[float, ...], Vector] = {}
        for point in points:
            place = encoder.places(point)
            distinct.setdefault(tuple(np.nan_to_num(place, nan=-1.0)), place)
        self._places = np.array(list(distinct.values())).reshape(len(distinct), len(parameters))

    def __bool__(self) -> bool:
        return len(self._places) > 0

    def trust(self, tried: Vector, scores: Vector) -> Vector:
        """Return how far each belief is borne out, from 0 to 1; 1 while nothing speaks against it.

        tried: places of trials, shape (n, parameters). scores: of these, more is better.
        """
        close = self._distances(tried) <= NEAR
        found = np.ones(len(self._places))
        for place, near in enumerate(close.T):
            others = scores[~close.any(1)]
            if not near.any() or not len(others):
                continue
            lead = scores[near][:, None] - others
            won = float((lead > 0).sum() + 0.5 * (lead == 0).sum())
            # Two wins of three are assumed, so that one lost comparison does not decide.
            share = (won + 2.0) / (lead.size + 3.0)
            found[place] = min(1.0, max(0.0, (share - LEAST) / (MOST - LEAST)))
        return found

    def draw(self, trust: Vector, rng: np.random.Generator, count: int = 1) -> Vector:
        """Return places near believed optima, which are drawn by trust; shape (count, parameters).

        A choice is drawn again once in as many times as there are parameters.
        """
        centres = self._places[rng.choice(len(self._places), count, p=trust / trust.sum())]
        moved = np.abs(centres + SPREAD * rng.standard_normal(centres.shape)) % 2.0
        moved = np.where(moved > 1.0, 2.0 - moved, moved)
        again = rng.random(centres.shape) < 1 / centres.shape[1]
        anywhere = rng.random(centres.shape)
        found = np.where(self._is_choice, np.where(again, anywhere, centres), moved)
        return np.where(np.isnan(found), anywhere, found)

    def raised(self, places: Vector, trust: Vector) -> Vector:
        """Return the closeness of places to what is believed, times the trust; each 0 to 1."""
        if not len(places):
            return np.zeros(0)
        closeness: Vector = np.exp(-2.0 * (self._distances(places) / NEAR) ** 2)
        best: Vector = (closeness * trust).max(1)
        return best

    def _distances(self, places: Vector) -> npt.NDArray[np.float64]:
        """Return root mean square distances to the believed optima; shape (n, optima).

        Choices that differ are one apart; a parameter that one of the two lacks is left out.
        """
        apart = np.abs(places[:, None] - self._places[None])
        apart = np.where(self._is_choice, apart > 1e-9, apart)  # a NaN differs from nothing
        both = ~np.isnan(places)[:, None] & ~np.isnan(self._places)[None]
        total = np.where(both, apart, 0.0) ** 2
        mean: npt.NDArray[np.float64] = total.sum(2) / np.maximum(1, both.sum(2))
        return np.sqrt(mean)
