"""Configurations trained at several fidelities, and how their rankings agree."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tunewright.analysis.audit.agreement import Agreement

SEARCH = "the search"
EPOCHS = "training.epochs"


@dataclass(frozen=True)
class AuditedRun:
    """A configuration trained at one level; several seeds are one run.

    score: None for a run that failed, of which `reason` says why. curve: the goal by epoch, of the
    first seed. seeds: the score by seed, where there are several. interval: of the score.
    """

    trial: int
    score: float | None
    curve: Mapping[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    seeds: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True)
class FidelityLevel:
    """Configurations trained at one fidelity. values: what it sets otherwise than the search."""

    values: Mapping[str, Any]
    runs: Sequence[AuditedRun]

    @property
    def name(self) -> str:
        """The values as they are typed."""
        return " ".join(f"{path}={value}" for path, value in self.values.items())

    @property
    def scores(self) -> dict[int, float]:
        """The finite scores by trial."""
        known = {run.trial: run.score for run in self.runs}
        return {n: s for n, s in known.items() if s is not None and math.isfinite(s)}

    @property
    def seconds(self) -> float:
        """The median time of a run that has a score; 0 where none has."""
        known = self.scores
        return median([run.seconds for run in self.runs if run.trial in known] or [0.0])

    def is_fuller(self, other: "FidelityLevel") -> bool:
        """Return whether its runs are longer: by epochs where they differ in these, else by time.

        Times are of a machine that may have done other things.
        """
        one, two = ({k: v for k, v in x.values.items() if k != EPOCHS} for x in (self, other))
        if one == two and EPOCHS in self.values and EPOCHS in other.values:
            return bool(self.values[EPOCHS] > other.values[EPOCHS])
        return self.seconds > other.seconds


@dataclass(frozen=True)
class LevelAgreement:
    """How a cheaper level ranks the configurations of the full one.

    cost: the median time of its runs as a share of the full ones; None where it is not known.
    """

    name: str
    agreement: Agreement
    cost: float | None
