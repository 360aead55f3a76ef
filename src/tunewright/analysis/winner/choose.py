"""Choose the winner of a race, and say what the search overstated."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.analysis.winner.estimate import FEWEST, LEVEL, Estimates, estimate_arms
from tunewright.analysis.winner.noise import student_quantile
from tunewright.analysis.winner.race import RaceState
from tunewright.analysis.winner.replicates import Arm


@dataclass(frozen=True)
class Excess:
    """By how much one score is better than another, with its 95 % interval."""

    value: float
    low: float
    high: float

    def negated(self) -> "Excess":
        """Return by how much the other score is better than the one."""
        return Excess(-self.value, -self.high, -self.low)


@dataclass(frozen=True)
class Choice:
    """The winner of a race: a trial, and those that the replicates do not tell from it.

    estimates: of all arms that have replicates. preferred: whether the winner is the cheapest of
    those tied and not the one with the best lower bound. optimism: by how much the best score of
    the search overstates the mean of that trial's replicates. gain: of the winner over the
    defaults. None where it is unknown, or where the defaults win.
    """

    winner: int
    tied: tuple[int, ...]
    estimates: Estimates
    preferred: bool
    optimism: Excess | None
    gain: Excess | None


def choose(
    arms: Sequence[Arm], state: RaceState, searched: Sequence[float], prefer: str | None = None
) -> Choice | None:
    """Return the winner: the arm alive with the best lower bound, or the cheapest tied with it.

    arms: with signs turned so that more is better. searched: the scores of all finished trials.
    prefer: the cost that decides among those tied. Returns None before every arm that is left has
    `FEWEST` replicates.
    """
    alive = [arm for arm in arms if arm.trial in state.alive]
    estimates = estimate_arms([arm for arm in arms if not arm.failure], searched)
    if estimates is None or not alive or min(len(arm.scores) for arm in alive) < FEWEST:
        return None
    found = estimates.by_trial
    best = max(alive, key=lambda arm: found[arm.trial].low)
    tied = tuple(arm.trial for arm in alive) if len(alive) > 1 else ()
    winner = best
    if prefer is not None and tied:
        known = [arm for arm in alive if prefer in arm.costs]
        winner = min(known, key=lambda arm: arm.costs[prefer]) if known else best
    return Choice(
        winner.trial,
        tied,
        estimates,
        winner is not best,
        _optimism(arms, estimates),
        _gain(arms, winner, estimates),
    )


def _optimism(arms: Sequence[Arm], estimates: Estimates) -> Excess | None:
    """Return the best score of the search minus the mean of its replicates."""
    top = max((arm for arm in arms if arm.among_best), key=lambda arm: arm.searched, default=None)
    if top is None or top.trial not in estimates.by_trial or top.failure:
        return None
    known = estimates.by_trial[top.trial]
    value = top.searched - known.mean
    return Excess(value, value - known.reach, value + known.reach)


def _gain(arms: Sequence[Arm], winner: Arm, estimates: Estimates) -> Excess | None:
    """Return what the winner gained over the defaults, paired: what seeds share cancels out."""
    default = next((arm for arm in arms if arm.is_default), None)
    if default is None or default is winner or default.trial not in estimates.by_trial:
        return None
    own, other = estimates.by_trial[winner.trial], estimates.by_trial[default.trial]
    value = own.value - other.value
    t = student_quantile(estimates.noise.degrees, (1 + LEVEL) / 2)
    half = t * math.hypot(own.error, other.error)
    return Excess(value, value - half, value + half)
