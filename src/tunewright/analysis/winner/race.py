"""Race configurations over common seeds: those that are clearly worse get no more replicates.

Successive elimination (Even-Dar, Mannor and Mansour 2006) with paired differences: what a seed does
to all arms alike does not count. The state of a race is a function of the scores alone, so that it
goes on after an interruption as if there had been none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tunewright.analysis.winner.estimate import FEWEST
from tunewright.analysis.winner.noise import estimate_noise, student_quantile
from tunewright.analysis.winner.replicates import Arm, table

LEVEL = 0.975
"""One-sided, of each comparison with the leader."""
ARMS = 5
"""Configurations that are compared at the most."""
ROUNDS = 10
"""Replicates of an arm at the most."""
LEAST = 3 * FEWEST
"""Replicates below which no race is run: the best two and the defaults. With four, the best and the
defaults, the interval is as wide as eight standard deviations of a score."""
ALONE = 3
"""Replicates of the last arm left, which its interval needs."""


@dataclass(frozen=True)
class RaceState:
    """Where a race stands. alive: the trials that are still in it.

    dropped: trials that are clearly worse, by the number of replicates that showed it. pending:
    trials and seeds that are to run now. rounds: seeds with which all that are alive have run.
    spent: replicates until now, with those that are pending. ended: why the race is over, else
    empty.
    """

    alive: tuple[int, ...]
    dropped: Mapping[int, int] = field(default_factory=dict)
    pending: tuple[tuple[int, int], ...] = ()
    rounds: int = 0
    spent: int = 0
    ended: str = ""


def count_arms(affordable: int) -> int:
    """Return how many arms to race with so many replicates; 0 where they are too few for that."""
    return min(ARMS, 1 + affordable // 3) if affordable >= LEAST else 0


def affordable_replicates(share: float, trainings: float) -> int:
    """Return how many replicates take a share of the whole: of the other trainings and of them.

    trainings: how many whole ones the search and the final training are worth.
    """
    return math.floor(share / (1.0 - share) * trainings + 1e-9) if share < 1.0 else 0


def run_race(arms: Sequence[Arm], seeds: Sequence[int], affordable: int) -> RaceState:
    """Return the state of a race. arms: with signs turned so that more is better.

    seeds: of the rounds, in order. affordable: replicates at the most, of all arms together.
    """
    alive = [arm for arm in arms if not arm.failure]
    state = RaceState(tuple(arm.trial for arm in alive))
    for place, seed in enumerate(seeds[:ROUNDS]):
        if len(alive) < 2 and (not alive or place >= ALONE):
            reason = "one is left" if alive else "all failed"
            return replace(state, ended=reason)
        if state.spent + len(alive) > affordable:
            return replace(state, ended="the share is used up")
        missing = [(arm.trial, seed) for arm in alive if seed not in arm.scores]
        state = replace(state, spent=state.spent + len(alive), rounds=place + (not missing))
        if missing:
            return replace(state, pending=_with_next(alive, seeds, place, missing))
        if place + 1 >= FEWEST and len(alive) > 1:
            known = [arm for arm in arms if arm.scores and not arm.failure]
            worse = _clearly_worse(known, alive, seeds[: place + 1])
            alive = [arm for arm in alive if arm.trial not in worse]
            dropped = {**state.dropped, **dict.fromkeys(worse, place + 1)}
            state = replace(state, dropped=dropped, alive=tuple(arm.trial for arm in alive))
    return replace(state, ended=f"{state.rounds} replicates of each")


def _with_next(
    alive: Sequence[Arm], seeds: Sequence[int], place: int, missing: list[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Return what is missing of a round; of the first ones together, since nothing ends before."""
    later = seeds[place + 1 : FEWEST]
    rest = [(arm.trial, seed) for seed in later for arm in alive if seed not in arm.scores]
    return (*missing, *rest)


def _clearly_worse(known: Sequence[Arm], alive: Sequence[Arm], seeds: Sequence[int]) -> list[int]:
    """Return the trials whose paired difference to the leader is beyond the noise."""
    noise = estimate_noise(table(known, seeds))
    if noise is None:
        return []
    own = {arm.trial: noise.own[index] for index, arm in enumerate(known)}
    means = {arm.trial: float(np.mean([arm.scores[seed] for seed in seeds])) for arm in alive}
    leader = max(means, key=lambda trial: means[trial])
    t = student_quantile(noise.degrees, LEVEL)
    return [
        trial
        for trial, mean in means.items()
        if means[leader] - mean > t * math.sqrt((own[leader] + own[trial]) / len(seeds))
    ]
