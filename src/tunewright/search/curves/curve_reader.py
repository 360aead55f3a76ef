"""Turn the curves of trials into observations of the model."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tunewright.search.curves.curve_trial import CurveTrial
from tunewright.search.curves.encoding import Encoder, Vector
from tunewright.search.curves.model import Observations, log_progress
from tunewright.search.curves.scores import ScoreScale, standardise

CONDITIONED = 280
"""Observations that predictions are made from at most."""


class CurveReader:
    """Reads curves at the rungs. sign: 1 where more is better, else -1."""

    def __init__(self, encoder: Encoder, sign: float) -> None:
        self._encoder, self._sign = encoder, sign
        self._encoded: dict[int, Vector] = {}
        self._places: dict[int, Vector] = {}

    def encode(self, trial: CurveTrial) -> Vector:
        """Return the vector of a trial's configuration."""
        if trial.number not in self._encoded:
            self._encoded[trial.number] = self._encoder.encode(trial.values)
        return self._encoded[trial.number]

    def places(self, trial: CurveTrial) -> Vector:
        """Return the places of a trial's values in their domains; NaN for absent ones."""
        if trial.number not in self._places:
            self._places[trial.number] = self._encoder.places(trial.values)
        return self._places[trial.number]

    def read(
        self, trials: Sequence[CurveTrial], rungs: Sequence[int]
    ) -> tuple[Observations, npt.NDArray[np.bool_]] | None:
        """Return what the trials have shown at the rungs, and which of it at the first one.

        None where they are fewer than two.
        """
        scale = ScoreScale([self._sign * v for t in trials for v in t.curve.values()])
        rows = [row for trial in trials for row in self._rung_scores(trial, rungs, scale)]
        if len(rows) < 2:
            return None
        data = self._observations(rows)
        early = np.array([step <= rungs[0] for _, step, _ in rows])
        return replace(data, z=standardise(data.z)), early

    def pending(self, trials: Sequence[CurveTrial]) -> Observations | None:
        """Return where the running trials will be next, without their scores."""
        running = [t for t in trials if t.state == "running" and not t.has_reached(t.target)]
        rows = [(trial, trial.target, 0.0) for trial in running]
        return self._observations(rows) if rows else None

    def _rung_scores(
        self, trial: CurveTrial, rungs: Sequence[int], scale: ScoreScale
    ) -> Iterable[tuple[CurveTrial, int, float]]:
        """Yield what a trial has shown at the rungs: itself, the step, and the mapped score."""
        steps = sorted(trial.curve)
        last = -1
        for rung in rungs:
            step = max((s for s in steps if s <= min(rung, trial.length)), default=-1)
            if step > last and trial.has_left(rung, is_first=rung == rungs[0]):
                last = step
                yield trial, step, scale.place(self._sign * trial.curve[step])
        if not trial.feasible and last < trial.length:
            yield trial, trial.length, scale.worst

    def _observations(self, rows: Sequence[tuple[CurveTrial, int, float]]) -> Observations:
        return Observations(
            np.array([self.encode(trial) for trial, _, _ in rows]),
            np.array([log_progress(max(step, 0.5), trial.length) for trial, step, _ in rows]),
            np.array([trial.number for trial, _, _ in rows], dtype=np.intp),
            np.array([z for _, _, z in rows]),
        )


def rows_to_condition(data: Observations, early: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the rows to predict from: late ones first, then good ones, then the newest."""
    if len(data) <= CONDITIONED:
        return np.arange(len(data))
    good = data.z >= np.quantile(data.z, 0.6)
    order = np.lexsort((-np.arange(len(data)), ~good, early))
    return np.sort(order[:CONDITIONED])
