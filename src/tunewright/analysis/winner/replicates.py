"""Scores of configurations that were run again with seeds that the search did not use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """A configuration that is replicated.

    trial: its number. searched: the score that the search saw. scores: of its replicates, by seed.
    costs: their means. failure: why it is out although its scores are good, such as a replicate
    that diverged. is_default: whether it holds the defaults of the space. among_best: whether its
    search score alone would have picked it.
    """

    trial: int
    searched: float
    scores: Mapping[int, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    is_default: bool = False
    among_best: bool = True


def table(arms: Sequence[Arm], seeds: Sequence[int]) -> Floats:
    """Return the scores [arms, seeds], NaN where a replicate is missing."""
    return np.array([[arm.scores.get(seed, np.nan) for seed in seeds] for arm in arms])
