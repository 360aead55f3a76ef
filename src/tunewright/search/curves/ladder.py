"""Which rungs the learning curves of a search speak for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tunewright.analysis.rank_correlation import RANKS, first_rung, rank_correlations
from tunewright.search.curves.rungs import FACTOR, rung_steps


@dataclass(frozen=True)
class Ladder:
    """The rungs of a search as far as its curves are known.

    steps: of the rungs, rising; the last one ends a training. factor: one trial of so many goes on.
    correlation: estimated rank correlation of the scores at `judged` with the final ones; None
    where the rungs are given.
    """

    steps: tuple[int, ...]
    factor: int = FACTOR
    correlation: float | None = None

    @property
    def judged(self) -> int:
        """The step that has to rank: of the second rung, or of the first where there are two."""
        return self.steps[1] if len(self.steps) > 2 else self.steps[0]


def fitting_ladder(
    assumed: Sequence[int], curves: Mapping[int, Mapping[int, float]], finished: Collection[int]
) -> Ladder:
    """Return the rungs that the curves speak for; the same curves give the same rungs.

    The first one is the smallest step whose scores rank the trials as their final ones do; it is
    that of `assumed` until trials have finished. Where not even the second one ranks, twice as many
    trials go on.
    """
    last, fallback = assumed[-1], assumed[0]
    if len(assumed) < 2:
        return Ladder(tuple(assumed))
    found = Ladder(rung_steps(last, first_rung(curves, finished, last=last, fallback=fallback)))
    judged = [found.judged]
    (correlation,) = rank_correlations(curves, finished, judged, fallback=fallback).values()
    return Ladder(found.steps, FACTOR if correlation >= RANKS else FACTOR // 2, correlation)
