"""Pruners as pure functions of the curves so far: when they may stop a trial, and which one.

Nothing is stored: a resumed study decides as it would have without the interruption.
"""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from tunewright.config import study_schema
from tunewright.errors import ConfigError
from tunewright.runs.record import is_same

Curve = Mapping[int, float]
Direction = Literal["max", "min"]


class Pruner(Protocol):
    """Decides on running trials; steps are epochs completed, counted from 1."""

    def steps(self) -> Iterator[int]:
        """Yield the steps, rising, at which a trial that reports every step may be stopped."""

    def keeps(
        self, number: int, step: int, curves: Mapping[int, Curve], done: Collection[int]
    ) -> bool:
        """Return whether trial `number`, which has just reported `step`, goes on.

        curves: the reported values of each trial, by step. done: the trials that ran to their end.
        """

    def reason(self, number: int, step: int) -> str:
        """Return why `keeps` returned False."""


def pruner(settings: study_schema.Pruner, last_step: int, direction: Direction) -> Pruner:
    """Return the configured pruner.

    Raises ConfigError when it could never act before `last_step`, after which there is nothing left
    to stop.
    """
    made = _make_pruner(settings, last_step, 1.0 if direction == "max" else -1.0)
    first = _first_too_late(made, last_step)
    if first is not None:
        raise ConfigError(
            f"the pruner {settings.type} would never prune: its first decision is after "
            f"{first} epochs, and the last epoch is {last_step}",
            expected="a decision before the last epoch",
            remedy=_remedy(settings, last_step),
        )
    return made


def shrink_pruner(settings: study_schema.Pruner, last_step: int) -> study_schema.Pruner:
    """Return the pruner with its first decision moved before `last_step`, no earlier than needed.

    Returns the pruner `none` where even the earliest decision would come too late.
    """
    if _first_too_late(_make_pruner(settings, last_step, 1.0), last_step) is None:
        return settings
    wait = _WAITS.get(settings.type, "")
    least = 1 if wait == "min_resource" else 0
    for shorter in range(getattr(settings, wait, 0) - 1, least - 1, -1):
        earlier = settings.model_copy(update={wait: shorter})
        if _first_too_late(_make_pruner(earlier, last_step, 1.0), last_step) is None:
            return earlier
    return study_schema.NoPrunerConfig()


def _first_too_late(made: Pruner, last_step: int) -> int | None:
    """Return the step of the first decision if it comes too late to stop anything, else None."""
    first = next(made.steps(), None)
    return first if first is not None and first >= last_step else None


_WAITS = {
    "asha": "min_resource",
    "hyperband": "min_resource",
    "median": "warmup_steps",
    "percentile": "warmup_steps",
    "patient": "patience",
}
"""The settings that delay a pruner's first decision."""


def _remedy(settings: study_schema.Pruner, last_step: int) -> str:
    """Return the settings with which a pruner decides in time, as they are typed."""
    fitting = shrink_pruner(settings, last_step)
    if fitting.type != settings.type and isinstance(settings, study_schema.AshaConfig):
        early = settings.model_copy(update={"min_early_stopping_rate": 0, "reduction_factor": 2})
        fitting = shrink_pruner(early, last_step)
    if fitting.type != settings.type:
        return f"With {last_step} epoch(s) nothing can be pruned: study.pruner.type=none."
    given, wanted = settings.model_dump(), fitting.model_dump()
    words = " ".join(f"study.pruner.{k}={v}" for k, v in wanted.items() if v != given[k])
    return f"Use {words}, more epochs, or study.pruner.type=none."


def _make_pruner(settings: study_schema.Pruner, last_step: int, sign: float) -> Pruner:
    match settings:
        case study_schema.NoPrunerConfig():
            return NoPruner()
        case study_schema.AshaConfig():
            first = settings.min_resource * (
                settings.reduction_factor**settings.min_early_stopping_rate
            )
            return Halving(first, settings.reduction_factor, sign)
        case study_schema.HyperbandConfig():
            return Hyperband(settings.min_resource, last_step, settings.reduction_factor, sign)
        case study_schema.MedianConfig():
            kept = 50.0
        case study_schema.PercentileConfig():
            kept = settings.percentile
        case study_schema.PatientConfig():
            inner = _make_pruner(settings.wrapped, last_step, sign)
            alone = isinstance(settings.wrapped, study_schema.NoPrunerConfig)
            return Patient(settings.patience, settings.min_delta, None if alone else inner, sign)
    return Percentile(
        kept, settings.startup_trials, settings.warmup_steps, settings.interval_steps, sign
    )


@dataclass(frozen=True)
class NoPruner:
    """Lets every trial run to its end."""

    def steps(self) -> Iterator[int]:
        """Yield no steps."""
        return iter(())

    def keeps(
        self, number: int, step: int, curves: Mapping[int, Curve], done: Collection[int]
    ) -> bool:
        """Return True."""
        return True

    def reason(self, number: int, step: int) -> str:
        """Return an empty reason; never called, since no trial is stopped."""
        return ""


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving, with rungs at `first * factor ** k`.

    A trial's value at a rung is its best one so far. While fewer than `factor` trials have
    been there, only the best of them goes on. Source: Li et al. 2020, "A System for Massively
    Parallel Hyperparameter Tuning", algorithm 2, with stopping in place of promotion.
    """

    first: int
    factor: int
    sign: float
    _known: dict[int, dict[int, tuple[Curve, int, float | None]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def steps(self) -> Iterator[int]:
        """Yield the rungs."""
        return (self.first * self.factor**k for k in itertools.count())

    def keeps(
        self, number: int, step: int, curves: Mapping[int, Curve], done: Collection[int]
    ) -> bool:
        """Return whether trial `number` is among the best `1 / factor` at each rung it reached."""
        passed = _last_report(curves[number], before=step)
        rungs = itertools.takewhile(lambda rung: rung <= step, self.steps())
        return all(self._among_best(number, r, curves) for r in rungs if r > passed)

    def reason(self, number: int, step: int) -> str:
        """Return the rung and the share in words."""
        rung = max(itertools.takewhile(lambda rung: rung <= step, self.steps()))
        return f"not among the best 1/{self.factor} at rung {rung}"

    def _among_best(self, number: int, rung: int, curves: Mapping[int, Curve]) -> bool:
        mine = self._best_at(rung, number, curves[number])
        if mine is None:
            return True
        reached = better = 0
        for other, curve in curves.items():
            value = self._best_at(rung, other, curve)
            if value is not None:
                reached += 1
                better += _is_less(mine, value)
        return better < max(1, reached // self.factor)

    def _best_at(self, rung: int, number: int, curve: Curve) -> float | None:
        """Return the best value up to a rung that the trial reached; None for one that did not.

        Cached until the curve has more reports, since a decision looks at every trial.
        """
        known = self._known.setdefault(rung, {}).get(number)
        if known is not None and known[0] is curve and known[1] == len(curve):
            return known[2]
        came = any(step >= rung for step in curve) and any(step <= rung for step in curve)
        value = _best(curve, rung, self.sign) if came else None
        self._known[rung][number] = (curve, len(curve), value)
        return value


@dataclass(frozen=True)
class Hyperband:
    """Successive halving in brackets, each of which begins one rung later than the one before.

    A trial belongs to a bracket by its number and is compared within it. Source: Li et al. 2018,
    "Hyperband", algorithm 1, for the number of trials in each bracket.
    """

    first: int
    last_step: int
    factor: int
    sign: float

    def steps(self) -> Iterator[int]:
        """Yield the rungs of the first bracket, which include those of all others."""
        return self.brackets[0].steps()

    def keeps(
        self, number: int, step: int, curves: Mapping[int, Curve], done: Collection[int]
    ) -> bool:
        """Return whether trial `number` is among the best of its bracket."""
        bracket = self.bracket(number)
        rivals = {n: curve for n, curve in curves.items() if self.bracket(n) == bracket}
        return self.brackets[bracket].keeps(number, step, rivals, done)

    def reason(self, number: int, step: int) -> str:
        """Return the rung, the share and the bracket in words."""
        bracket = self.bracket(number)
        return f"{self.brackets[bracket].reason(number, step)} of bracket {bracket}"

    @cached_property
    def brackets(self) -> tuple[Halving, ...]:
        """The brackets whose first rung lies within the epochs, at least one."""
        rungs = itertools.takewhile(
            lambda rung: rung <= self.last_step, Halving(self.first, self.factor, 1.0).steps()
        )
        starts = tuple(rungs) or (self.first,)
        return tuple(Halving(start, self.factor, self.sign) for start in starts)

    def bracket(self, number: int) -> int:
        """Return the bracket of a trial; at any time, each bracket has its share of the trials."""
        return self._turns[number % len(self._turns)]

    @cached_property
    def _turns(self) -> tuple[int, ...]:
        count = len(self.brackets)
        shares = [math.ceil(count * self.factor**s / (s + 1)) for s in reversed(range(count))]
        total, given, turns = sum(shares), [0] * count, []
        for turn in range(1, total + 1):
            behind = [share * turn - total * has for share, has in zip(shares, given, strict=True)]
            turns.append(behind.index(max(behind)))
            given[turns[-1]] += 1
        return tuple(turns)


@dataclass(frozen=True)
class Percentile:
    """Stop a trial whose best value so far is worse than a percentile of the others' values.

    The others are the trials that ran to their end, with their values at the same step.
    Decides as Optuna's PercentilePruner and, with `kept` 50, as its MedianPruner (Golovin et
    al. 2017, "Google Vizier", section 3.2.2, says it of averages).
    """

    kept: float
    startup_trials: int
    warmup_steps: int
    interval_steps: int
    sign: float

    def steps(self) -> Iterator[int]:
        """Yield the first step after the warm-up, then one at each interval."""
        first = max(1, self.warmup_steps)
        yield first
        later = itertools.count(self.warmup_steps, self.interval_steps)
        yield from (step for step in later if step > first)

    def keeps(
        self, number: int, step: int, curves: Mapping[int, Curve], done: Collection[int]
    ) -> bool:
        """Return whether the trial is in the best `kept` per cent, or it is too early to decide."""
        if step < self.warmup_steps or len(done) < max(1, self.startup_trials):
            return True
        due = step - (step - self.warmup_steps) % self.interval_steps
        if _last_report(curves[number], before=step) >= due:
            return True
        values = [curves[other][step] for other in done if step in curves[other]]
        if not values:
            return True
        with np.errstate(invalid="ignore"):  # inf - inf gives NaN, which stops no trial
            bar = np.percentile(values, 100 - self.kept if self.sign > 0 else self.kept)
        return not _is_less(_best(curves[number], step, self.sign), self.sign * bar)

    def reason(self, number: int, step: int) -> str:
        """Return the bar and the step in words."""
        bar = "half" if self.kept == 50 else f"{self.kept:g} %"
        return f"not in the best {bar} of the finished trials at step {step}"


@dataclass(frozen=True)
class Patient:
    """Ask `wrapped` only about a trial without improvement for `patience` steps; None: stop it.

    No improvement means worse by more than `min_delta` than its best before. Decides as Optuna's
    PatientPruner around the same pruner.
    """

    patience: int
    min_delta: float
    wrapped: Pruner | None
    sign: float

    def steps(self) -> Iterator[int]:
        """Yield the steps of `wrapped` at which the patience can be used up."""
        first = self.patience + 2
        if self.wrapped is None:
            return itertools.count(first)
        return (step for step in self.wrapped.steps() if step >= first)

    def keeps(
        self, number: int, step: int, curves: Mapping[int, Curve], done: Collection[int]
    ) -> bool:
        """Return whether trial `number` still improves, or `wrapped` keeps it."""
        reported = sorted(s for s in curves[number] if s <= step)
        before, after = reported[: -self.patience - 1], reported[-self.patience - 1 :]
        if not before:
            return True
        once, lately = (max(self.sign * curves[number][s] for s in t) for t in (before, after))
        if not _is_less(lately, once - self.min_delta):
            return True
        return self.wrapped is not None and self.wrapped.keeps(number, step, curves, done)

    def reason(self, number: int, step: int) -> str:
        """Return the patience, and the reason of `wrapped`, in words."""
        text = f"no better for {self.patience + 1} steps"
        return text if self.wrapped is None else f"{text}, {self.wrapped.reason(number, step)}"


def _last_report(curve: Curve, *, before: int) -> int:
    return max((step for step in curve if step < before), default=-1)


def _is_less(value: float, bar: float) -> bool:
    """Return whether a value, of which more is better, is below a bar by more than rounding."""
    return value < bar and not is_same(value, bar)


def _best(curve: Curve, step: int, sign: float) -> float:
    return max(sign * value for s, value in curve.items() if s <= step)
