"""Collect the scores of single pictures, and average them."""

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

from tunewright.analysis.score_intervals import RESAMPLES, has_no_width, percentiles
from tunewright.training.task import Arrays, Metrics


class CompressionMetrics(Metrics):
    """Scores of single pictures, collected by name; see `CompressionTask.predict`."""

    def __init__(self) -> None:
        self._passed: dict[str, list[Tensor]] = defaultdict(list)

    def update(self, arrays: Arrays) -> None:
        """Collect the scores [B] of a batch, on their device."""
        for name, values in arrays.items():
            self._passed[name].append(values)

    def compute(self) -> dict[str, float]:
        """Return the mean of each score over pictures."""
        return {name: float(self._values(name).mean()) for name in self._passed}

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % percentile interval of a mean, by the bootstrap over pictures.

        None for fewer than two pictures, and where all pictures score alike, so that the draws show
        no spread. Source: Efron & Tibshirani 1993, section 13.3.
        """
        if metric not in self._passed:
            return None
        values = self._values(metric).numpy()
        if len(values) < 2:
            return None
        rng = np.random.default_rng(0)
        means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
        interval = percentiles(np.asarray(means))
        return None if has_no_width(interval) else interval

    def _values(self, name: str) -> Tensor:
        return torch.cat(self._passed[name]).double().cpu()
