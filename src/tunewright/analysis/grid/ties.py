"""Tell which cells of a search are better than others by more than the noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Literal

import numpy as np

from tunewright.analysis.grid.run_result import Value

LEVEL = 0.95
"""At which all comparisons with the best cell hold together."""
NoiseSource = Literal["repeated cells", "additive model", "unknown"]


@dataclass(frozen=True)
class Cell:
    """One combination of values, and the score of every run that had it."""

    parameters: Mapping[str, Value]
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean of its scores."""
        return fmean(self.scores)


@dataclass(frozen=True)
class Noise:
    """How much the score of one run varies where nothing is changed.

    deviation: standard deviation of one run, with `degrees` of freedom; None where it is unknown.
    source: runs of equal cells; or, where none is repeated, what the sum of an effect of each
    parameter does not explain, which is the noise or more.
    """

    deviation: float | None
    degrees: int
    source: NoiseSource

    def __str__(self) -> str:
        if self.deviation is None:
            return "the noise is unknown: no cell is repeated, and there are too few of them"
        origin = {
            "repeated cells": "from repeated cells",
            "additive model": "at most, from what a sum of the parameters' effects leaves over",
            "unknown": "",
        }[self.source]
        return f"the noise of one run is {self.deviation:.3g} ({origin}, {self.degrees} degrees)"


def measure_noise(cells: Sequence[Cell]) -> Noise:
    """Return the noise of one run: pooled within repeated cells, else of an additive model.

    Scores of a cell that are equal to the last digit are one run that was stored twice.
    """
    repeated = [sorted(set(cell.scores)) for cell in cells]
    degrees = sum(len(scores) - 1 for scores in repeated)
    if degrees > 0:
        squares = sum((len(s) - 1) * variance(s) for s in repeated if len(s) > 1)
        return Noise(math.sqrt(squares / degrees), degrees, "repeated cells")
    columns = [np.ones(len(cells))]
    for name in cells[0].parameters if cells else ():
        values = [cell.parameters[name] for cell in cells]
        for value in list(dict.fromkeys(values))[1:]:
            columns.append(np.array([one == value for one in values], float))
    design = np.stack(columns, axis=1)  # [cells, 1 + levels - 1 of each parameter]
    degrees = len(cells) - int(np.linalg.matrix_rank(design))
    if degrees < 2:
        return Noise(None, 0, "unknown")
    scores = np.array([cell.mean for cell in cells])
    rest = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    return Noise(math.sqrt(float(rest @ rest) / degrees), degrees, "additive model")


def tied_with_best(cells: Sequence[Cell], noise: Noise, sign: float) -> list[bool]:
    """Return, for each cell, whether the noise may explain its distance from the best one.

    sign: 1 where more is better, else -1. The best cell itself is tied where another one is. All
    are, where the noise is unknown. Source: the honestly significant difference for cells of
    unequal size, Tukey 1953 and Kramer 1956.
    """
    if len(cells) < 2:
        return [False] * len(cells)
    if noise.deviation is None:
        return [True] * len(cells)
    from scipy.stats import studentized_range

    best = max(range(len(cells)), key=lambda index: sign * cells[index].mean)
    factor = float(studentized_range.ppf(LEVEL, len(cells), noise.degrees)) / math.sqrt(2.0)
    runs = [len(set(cell.scores)) for cell in cells]
    tied = [
        sign * (cells[best].mean - cell.mean)
        <= factor * noise.deviation * math.sqrt(1.0 / runs[best] + 1.0 / count)
        for cell, count in zip(cells, runs, strict=True)
    ]
    tied[best] = sum(tied) > 1
    return tied
