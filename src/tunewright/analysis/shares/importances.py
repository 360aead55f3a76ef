"""Importances of a study's parameters for one of its metrics, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tunewright.result import Result
from tunewright.runs.record import Direction

Method = Literal["ped-anova", "fanova"]
METHODS: Mapping[Method, str] = {"ped-anova": "PED-ANOVA", "fanova": "fANOVA"}
"""The evaluators, and what they are called."""
SURE = 0.05
"""p-value up to which an interaction is sure."""
MATTERS = 0.02
"""Share of the variance from which it matters."""


@dataclass(frozen=True)
class ParameterShare(Result):
    """The share of one parameter in what sets the best trials apart; all shares sum to 1.

    share: None where it cannot be told; `reason` says why. low, high: its 95 % interval; None where
    none was computed. among_good: its share in what sets the best tenth apart from the better half;
    far below `share` for a parameter that only has a bad end to avoid. None for fANOVA. trials: how
    many have the parameter and were used; others say nothing about it.
    """

    parameter: str
    share: float | None
    low: float | None = None
    high: float | None = None
    among_good: float | None = None
    trials: int = 0
    reason: str = ""


@dataclass(frozen=True)
class PairShare(Result):
    """What two parameters explain together beyond what each explains alone.

    share: of the variance of the trials' values, beyond chance. low, high: 95 % interval.
    chance: p-value, corrected for the number of pairs. trials: how many have both.
    """

    first: str
    second: str
    share: float
    low: float
    high: float
    chance: float
    trials: int


@dataclass(frozen=True)
class Importances(Result):
    """Importances of all parameters for a metric.

    finished: trials used that finished. predicted: pruned ones, with the score that their curves
    predict. resamples: behind the intervals; 0 without them. parameters: the most important first.
    pairs: of the most important parameters, the strongest interaction first. notes: caveats, as
    sentences without a full stop.
    """

    metric: str
    direction: Direction
    method: Method
    finished: int
    predicted: int
    resamples: int
    parameters: Sequence[ParameterShare]
    pairs: Sequence[PairShare] = ()
    notes: Sequence[str] = ()

    @property
    def shares(self) -> dict[str, float]:
        """The shares by parameter, the largest first, without those that cannot be told."""
        return {one.parameter: one.share for one in self.parameters if one.share is not None}

    @property
    def about(self) -> str:
        """The method and the trials that were used, in words."""
        predicted = f" and {self.predicted} pruned" if self.predicted else ""
        return f"{METHODS[self.method]}, {self.finished} finished{predicted} trials"

    @property
    def sure_pairs(self) -> list[PairShare]:
        """The pairs that surely act together, by an amount that matters."""
        return [pair for pair in self.pairs if pair.chance <= SURE and pair.share >= MATTERS]
