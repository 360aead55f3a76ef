"""Decide what a free worker does: go on with a paused trial, or start a new configuration.

Trials are trained to the first rung and paused there. A quarter of each rung goes on to the next
one, those whose predicted score at the end is best; new configurations are those with the best
upper confidence bound at the end, with a random weight on what is not known. Sources: Jamieson &
Talwalkar 2016 (successive halving), Li et al. 2020 (its asynchronous form), Swersky et al. 2014
(a process over configurations and time), Srinivas et al. 2010 (upper confidence bounds).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.search.curves.candidates import draw_near
from tunewright.search.curves.curve_reader import CurveReader, rows_to_condition
from tunewright.search.curves.curve_trial import CurveTrial as CurveTrial
from tunewright.search.curves.curve_trial import State as State
from tunewright.search.curves.encoding import Encoder
from tunewright.search.curves.ladder import Ladder, fitting_ladder
from tunewright.search.curves.learning import Learner
from tunewright.search.curves.model import Array, CurveModel
from tunewright.search.curves.prior import DECAY, RAISE, Prior
from tunewright.spaces.domain import Categorical
from tunewright.spaces.space import Space

WEIGHT = 6.0
"""Mean weight of a standard deviation in the confidence bound; each proposal draws its own."""
RANDOM_SHARE = 0.1
"""Of the new configurations that are drawn at random all the same."""
UNIFORM, NEAR = 120, 280
"""Candidates drawn from the whole space, and near the trials that are predicted to be best."""
BELIEVED = 60
"""Of those from the whole space, drawn near believed optima instead, at first."""
PARENTS = 5
"""Trials near which candidates are drawn."""
FINISHERS = 3
"""Trials that are trained to the end, at least, when no further one may start."""
TRIES = 20
"""Candidates that are looked at, best first, for one that no trial has had."""


@dataclass(frozen=True)
class Start:
    """Start a trial and train it to a step. values: of its parameters; None for a random point."""

    values: Mapping[str, Any] | None
    target: int


@dataclass(frozen=True)
class GoOn:
    """Go on with a paused trial, to a step."""

    number: int
    target: int


class CurveSearch:
    """The decisions of one search; they follow from its trials alone, and from the seed.

    rungs: the steps at which trials are paused, rising; the last one ends a training. adapts: the
    rungs follow the curves, and those given are what is assumed before there are any. sign: 1 where
    more is better, else -1. startup: trials that start before the model proposes any, at random or
    near `believed`: values of points that may be near the optimum. file: keeps what the model
    learns, for a search that is resumed.

    predicted: the score at the end of each trial, by number, on the model's scale, where more is
    better. failure: why the model could not be computed the last time, when trials were ranked by
    their last scores and points drawn at random instead; empty as a rule. failures: how often.
    assumed: the rungs that were given. ladder: those of the last decision.
    """

    def __init__(
        self,
        space: Space,
        rungs: Sequence[int],
        *,
        adapts: bool = False,
        sign: float = 1.0,
        seed: int = 0,
        startup: int = 10,
        believed: Sequence[Mapping[str, Any]] = (),
        file: Path | None = None,
    ) -> None:
        self._space, self._sign, self._seed, self._startup = space, sign, seed, startup
        self.assumed, self._adapts = tuple(rungs), adapts
        self.ladder = Ladder(self.assumed)
        self._encoder = Encoder(space)
        self._is_choice = np.array([isinstance(p.domain, Categorical) for p in space.parameters])
        self._reader = CurveReader(self._encoder, sign)
        self._model = CurveModel(self._encoder.groups)
        self._learner = Learner(self._model, seed, file)
        self._prior = Prior(self._encoder, believed)
        self.failure, self.failures = "", 0
        self.predicted: Mapping[int, float] = {}

    @property
    def learning_failure(self) -> str:
        """Why hyper-parameters could not be learned the last time; empty as a rule."""
        return self._learner.failure

    @property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which trials are paused, as of the last decision."""
        return self.ladder.steps

    def decide(
        self,
        trials: Sequence[CurveTrial],
        is_new: Callable[[Mapping[str, Any]], bool],
        *,
        may_start: bool = True,
    ) -> Start | GoOn | None:
        """Return what comes next; None where nothing is left to do while others run.

        is_new: whether a point is allowed and no trial has had it. may_start: whether the study may
        have another trial; without, paused trials go on by their quota, and then the best of them
        until a few are trained to the end.
        """
        rng = np.random.default_rng([self._seed, len(trials), sum(len(t.curve) for t in trials)])
        first = may_start and len(trials) < self._startup
        ends = self._modelled(trials, is_first=first)
        self.predicted, modelled = ends, bool(ends)
        ends = ends or {t.number: self._sign * _last(t) for t in trials if t.curve}
        if first:
            near = len(trials) % 2 == 1
            values = self._believed_point(trials, ends, is_new, rng) if near else None
            return Start(values, self.rungs[0])
        if (further := self._promotion(trials, ends)) is not None:
            return further
        if not may_start:
            return self._finisher(trials, ends)
        drawn = not modelled or rng.random() < RANDOM_SHARE
        values = None if drawn else self._proposed(trials, ends, is_new, rng)
        return Start(values, self.rungs[0])

    def _modelled(self, trials: Sequence[CurveTrial], *, is_first: bool) -> dict[int, float]:
        """Return the predicted scores at the end; empty where the model cannot be computed."""
        try:
            if self._adapts:
                self.ladder = self._fitting_ladder(trials)
            return self._predicted_ends(trials) if self._condition(trials, is_first) else {}
        except Exception as error:  # whatever it is, the study goes on without a model
            self._note(error)
            return {}

    def _proposed(self, *given: Any) -> Mapping[str, Any] | None:
        try:
            return self._propose(*given)
        except Exception as error:  # see `_modelled`
            self._note(error)
            return None

    def _note(self, error: Exception) -> None:
        self.failure, self.failures = str(error) or type(error).__name__, self.failures + 1

    def _fitting_ladder(self, trials: Sequence[CurveTrial]) -> Ladder:
        curves = {t.number: t.curve for t in trials if t.feasible}
        ended = {t.number for t in trials if t.feasible and t.curve and t.has_reached(t.length)}
        return fitting_ladder(self.assumed, curves, ended)

    def _believed_point(
        self,
        trials: Sequence[CurveTrial],
        ends: Mapping[int, float],
        is_new: Callable[[Mapping[str, Any]], bool],
        rng: np.random.Generator,
    ) -> Mapping[str, Any] | None:
        """Return a new point near a believed optimum; None where none is believed, or is new."""
        trust = self._trust(trials, ends)
        if not trust.any():
            return None
        points = (self._encoder.point(row) for row in self._prior.draw(trust, rng, TRIES))
        return next((point for point in points if is_new(point)), None)

    def _trust(self, trials: Sequence[CurveTrial], ends: Mapping[int, float]) -> Array:
        """Return how far each belief is borne out by the trials that have shown something."""
        known = [t for t in trials if t.number in ends or not t.feasible]
        if not self._prior or not known:
            return self._prior.trust(np.empty((0, len(self._space.parameters))), np.empty(0))
        worst = min(ends.values(), default=0.0) - 1.0
        scores = np.array([ends[t.number] if t.feasible else worst for t in known])
        places = np.array([self._reader.places(t) for t in known])
        return self._prior.trust(places, scores)

    def _promotion(self, trials: Sequence[CurveTrial], ends: Mapping[int, float]) -> GoOn | None:
        """Return the best trial of the highest rung from which too few have gone on."""
        first = self.rungs[0]
        for step, following in reversed(list(zip(self.rungs, self.rungs[1:], strict=False))):
            taking_part = (t for t in trials if t.own and t.feasible)
            members = [t for t in taking_part if t.has_left(step, is_first=step == first)]
            promoted = [t for t in members if step < t.target >= min(following, t.length)]
            if len(promoted) >= len(members) // self.ladder.factor:
                continue
            rest = [t for t in members if t not in promoted and t.state == "paused"]
            if rest:
                best = max(rest, key=lambda t: (ends.get(t.number, -np.inf), -t.number))
                return GoOn(best.number, min(following, best.length))
        return None

    def _finisher(self, trials: Sequence[CurveTrial], ends: Mapping[int, float]) -> GoOn | None:
        """Return the best paused trial while too few have reached their end, or are on the way."""
        paused = [t for t in trials if t.state == "paused"]
        finishing = sum(t.own and t.feasible and t.target >= t.length for t in trials)
        if not paused or finishing >= FINISHERS:
            return None
        best = max(paused, key=lambda t: (ends.get(t.number, -np.inf), t.target, -t.number))
        return GoOn(best.number, best.length)

    def _condition(self, trials: Sequence[CurveTrial], is_first: bool) -> bool:
        """Give the model what is known; return whether that is enough to predict from.

        is_first: the model is not asked yet, and only begins to learn.
        """
        known = self._reader.read(trials, self.rungs)
        if known is None or (is_first and len(trials) < self._startup // 2):
            return False
        data, early = known
        self._learner.update(data)
        if is_first:
            return False
        data = data.take(rows_to_condition(data, early))
        self._model.condition(data)
        if (pending := self._reader.pending(trials)) is not None:
            believed, _ = self._model.predict(pending.x, pending.t, pending.trial)
            self._model.condition(data.join(replace(pending, z=believed)))
        return True

    def _predicted_ends(self, trials: Sequence[CurveTrial]) -> dict[int, float]:
        """Return the predicted score at the end of each trial's training, by number."""
        known = [t for t in trials if t.curve and t.feasible]
        if not known:
            return {}
        x = np.array([self._reader.encode(t) for t in known])
        numbers = np.array([t.number for t in known], dtype=np.intp)
        means, _ = self._model.predict(x, np.zeros(len(known)), numbers)
        return {t.number: float(mean) for t, mean in zip(known, means, strict=True)}

    def _propose(
        self,
        trials: Sequence[CurveTrial],
        ends: Mapping[int, float],
        is_new: Callable[[Mapping[str, Any]], bool],
        rng: np.random.Generator,
    ) -> Mapping[str, Any] | None:
        """Return the new point with the best upper confidence bound; None where none is new."""
        best = sorted((t for t in trials if t.number in ends), key=lambda t: -ends[t.number])
        parents = np.array([self._reader.places(t) for t in best[:PARENTS]])
        places = rng.random((UNIFORM, len(self._space.parameters)))
        trust = self._trust(trials, ends) * DECAY / (DECAY + sum(t.own for t in trials))
        if trust.any():
            count = round(BELIEVED * trust.max())
            places[:count] = self._prior.draw(trust, rng, count) if count else places[:0]
        near = draw_near(parents[np.arange(NEAR) % len(parents)], self._is_choice, rng)
        places = np.concatenate([places, near])
        points = [self._encoder.point(row) for row in places]
        x = np.array([self._encoder.encode(point) for point in points])
        means, deviations = self._model.predict(
            x, np.zeros(len(x)), np.full(len(x), -1, dtype=np.intp)
        )
        bound = means + WEIGHT * rng.standard_exponential() * deviations
        if trust.any():
            bound += RAISE * self._prior.raised(places, trust)
        feasible = np.array([t.feasible for t in trials])
        if not feasible.all():
            tried = np.array([self._reader.encode(t) for t in trials])
            refused = self._model.feasibility(x, tried, feasible) < 0
            bound = np.where(refused, bound - 1e6, bound)
        ranked = (points[i] for i in np.argsort(-bound, kind="stable")[:TRIES])
        return next((point for point in ranked if is_new(point)), None)


def _last(trial: CurveTrial) -> float:
    return trial.curve[max(trial.curve)]
