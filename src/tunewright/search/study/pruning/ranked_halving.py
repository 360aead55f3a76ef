"""Successive halving whose first rung is the smallest step at which scores rank the trials."""

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tunewright.analysis.rank_correlation import candidate_steps, first_rung
from tunewright.search.study.stopping_rules import Curve, Halving


@dataclass(frozen=True)
class RankedHalving:
    """Asynchronous successive halving, with rungs at `first * factor ** k`.

    `first` follows from the curves of all trials at each decision; `assumed` is taken until four
    trials have finished. offset: rungs left out at the start. last_step: of a training.

    Where the first rung has moved, trials that ended between two of the present rungs, at one of
    an earlier ladder, count at the next one, too: the trials that passed there are a selection.
    """

    assumed: int
    factor: int
    offset: int
    last_step: int
    sign: float

    def steps(self) -> Iterator[int]:
        """Yield the rungs above the assumed first one."""
        return self._ladder(self.assumed).steps()

    def keeps(
        self, number: int, step: int, curves: Mapping[int, Curve], done: Collection[int]
    ) -> bool:
        """Return whether trial `number` is among the best `1 / factor` at each rung it reached."""
        passed = max((s for s in curves[number] if s < step), default=0)
        if not any(passed < rung <= step for rung in self._possible):
            return True
        ladder = self._ladder(self._first(curves, done))
        return ladder.keeps(number, step, _carried(ladder, curves, step), done)

    def reason(self, number: int, step: int) -> str:
        """Return the rung and the share in words."""
        rung = max(rung for rung in self._possible if rung <= step)
        return f"not among the best 1/{self.factor} at rung {rung}"

    def _first(self, curves: Mapping[int, Curve], done: Collection[int]) -> int:
        return first_rung(curves, done, last=self.last_step, fallback=self.assumed)

    def _ladder(self, first: int) -> Halving:
        return self._ladders[first]

    @cached_property
    def _ladders(self) -> Mapping[int, Halving]:
        """The rungs by the first one; those left out do not depend on it."""
        return {
            first: Halving(first * self.factor**self.offset, self.factor, self.sign)
            for first in candidate_steps(self.last_step, self.assumed)
        }

    @cached_property
    def _possible(self) -> tuple[int, ...]:
        """The rungs of all ladders, which end with the training."""
        found: set[int] = set()
        for ladder in self._ladders.values():
            found |= {*itertools.takewhile(lambda rung: rung <= self.last_step, ladder.steps())}
        return tuple(sorted(found))


def _carried(ladder: Halving, curves: Mapping[int, Curve], step: int) -> Mapping[int, Curve]:
    """Return the curves; one that ended between two rungs is carried to the next, up to a step.

    A trial that runs beside this one counts so, too, until it gets there.
    """
    rungs = [0, *itertools.takewhile(lambda rung: rung <= step, ladder.steps())]
    found: dict[int, Curve] = {}
    for number, curve in curves.items():
        last = max(curve, default=0)
        missed = next((rung for rung in rungs if rung > last), None)
        if missed is not None and last not in rungs:
            curve = {**curve, missed: curve[last]}
        found[number] = curve
    return found
