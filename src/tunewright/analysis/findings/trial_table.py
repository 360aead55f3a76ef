"""The trials of a study as arrays: a rank for each, and a column for each parameter."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.analysis.findings.significance import Floats, Mask, normal_scores
from tunewright.runs.record import StudyRecord, Trial
from tunewright.spaces.domain import Categorical, Domain, Float, Int, canonical, is_number
from tunewright.spaces.space import Parameter

Codes = npt.NDArray[np.int64]
LOG_SPAN = 100.0
"""Ratio of the largest to the least value above which a guessed domain counts as logarithmic."""


@dataclass(frozen=True)
class ParameterColumn:
    """One parameter over all trials of a table.

    units: [trials] numbers from 0 to 1 on the scale of the domain, also for choices that are
    numbers in order; NaN where the trial lacks it, or there is no order. codes: [trials] the place
    among `levels`, -1 where the trial lacks it; all 0 for numbers. levels: the choices.
    """

    path: str
    domain: Domain
    units: Floats
    codes: Codes
    levels: tuple[Any, ...] = ()

    @property
    def is_choice(self) -> bool:
        """Whether the parameter is a choice."""
        return isinstance(self.domain, Categorical)

    @property
    def present(self) -> Mask:
        """Which trials have the parameter."""
        found: Mask = self.codes >= 0
        return found

    @property
    def is_ordered(self) -> bool:
        """Whether its values have an order."""
        return bool(np.isfinite(self.units).any())

    def take(self, rows: Any) -> "ParameterColumn":
        """Return the column of some trials only."""
        return ParameterColumn(
            self.path, self.domain, self.units[rows], self.codes[rows], self.levels
        )

    def value(self, unit: float) -> float:
        """Return the number at a place from 0 to 1 of a numeric domain."""
        domain = self.domain
        assert not isinstance(domain, Categorical)
        low, high = _to_scale(domain.low, domain), _to_scale(domain.high, domain)
        found = low + unit * (high - low)
        return math.exp(found) if domain.log else found


@dataclass(frozen=True)
class TrialTable:
    """Trials in the order of their numbers, with their parameters.

    sign: 1 where a larger score is better, else -1.
    """

    record: StudyRecord
    trials: tuple[Trial, ...]
    columns: Mapping[str, ParameterColumn]
    sign: float

    @cached_property
    def ended(self) -> Codes:
        """The places of the trials that can be ranked: finished, pruned and paused ones."""
        found = [index for index, trial in enumerate(self.trials) if is_ranked(trial)]
        return np.array(found, dtype=np.int64)

    @cached_property
    def quality(self) -> Floats:
        """[ended] normal scores, the more the better; see `order_ended`."""
        return normal_scores(order_ended([self.trials[i] for i in self.ended], self.sign))

    @cached_property
    def done(self) -> Mask:
        """[ended] which of them finished."""
        return np.array([self.trials[i].state == "done" for i in self.ended], dtype=bool)

    @cached_property
    def ended_columns(self) -> dict[str, ParameterColumn]:
        """The columns of the ended trials, without those that never vary among them."""
        taken = {path: column.take(self.ended) for path, column in self.columns.items()}
        return {path: column for path, column in taken.items() if _varies(column)}

    def best(self) -> Trial | None:
        """Return the best finished trial."""
        return self.record.best

    def top(self, count: int) -> Codes:
        """Return the places among the ended trials of the best `count`, best first."""
        order = np.argsort(-self.quality, kind="stable")
        return order[:count]


def is_ranked(trial: Trial) -> bool:
    """Return whether a trial has a result to rank it by."""
    if trial.state == "done":
        return trial.score is not None and math.isfinite(trial.score)
    return trial.state in ("pruned", "paused") and bool(trial.curve)


def order_ended(trials: Sequence[Trial], sign: float) -> Floats:
    """Return numbers that sort trials as a TPE sampler does: the larger the better.

    Finished trials come first, by score; then pruned ones, by the step at which they were stopped,
    then by their last value. Equal trials have equal numbers.
    """
    keys = np.zeros((len(trials), 2))
    for index, trial in enumerate(trials):
        if trial.state == "done":
            assert trial.score is not None
            keys[index] = math.inf, sign * trial.score
        else:
            last = max(trial.curve)
            keys[index] = last, sign * trial.curve[last]
    if not len(trials):
        return np.zeros(0)
    _, inverse = np.unique(keys, axis=0, return_inverse=True)
    places: Floats = inverse.reshape(-1).astype(np.float64)
    return places


def tabulate(record: StudyRecord, parameters: Sequence[Parameter] | None) -> TrialTable:
    """Return a study as a table. parameters: of its space; None reads them off the trials."""
    trials = record.trials
    given = {p.path: p.domain for p in parameters or ()}
    values: dict[str, list[Any]] = {}
    for index, trial in enumerate(trials):
        for path, value in trial.parameters.items():
            if path not in values:
                values[path] = [_ABSENT] * len(trials)
            values[path][index] = value
    columns = {}
    for path, column in values.items():
        domain = given.get(path) or _guess_domain([v for v in column if v is not _ABSENT])
        columns[path] = _column(path, domain, column)
    return TrialTable(record, trials, columns, record.goals[0].sign)


_ABSENT = object()


def _guess_domain(values: Sequence[Any]) -> Domain:
    """Return the domain that values may have been drawn from."""
    numbers = [value for value in values if is_number(value) and math.isfinite(value)]
    if len(numbers) < len(values) or not numbers:
        distinct = {canonical(value): value for value in values}
        return Categorical(tuple(distinct.values()))
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low >= LOG_SPAN
    if all(isinstance(number, int) for number in numbers):
        return Int(int(low), int(high), log=log)
    return Float(float(low), float(high), log=log)


def _column(path: str, domain: Domain, values: Sequence[Any]) -> ParameterColumn:
    if isinstance(domain, Categorical):
        return _choice_column(path, domain, values)
    numbers = np.full(len(values), np.nan)
    for index, value in enumerate(values):
        if is_number(value) and math.isfinite(value) and (value > 0 or not domain.log):
            numbers[index] = value
    present = np.isfinite(numbers)
    domain = _covering(domain, numbers[present])
    low, high = _to_scale(domain.low, domain), _to_scale(domain.high, domain)
    scaled = np.log(numbers) if domain.log else numbers
    units = (scaled - low) / (high - low) if high > low else np.where(present, 0.5, np.nan)
    return ParameterColumn(path, domain, units, np.where(present, 0, -1))


def _covering(domain: Float | Int, numbers: Floats) -> Float | Int:
    """Return a domain that holds all values: a range may have been wider in earlier trials."""
    if not len(numbers) or (domain.low <= numbers.min() and numbers.max() <= domain.high):
        return domain
    low, high = min(domain.low, float(numbers.min())), max(domain.high, float(numbers.max()))
    if isinstance(domain, Int):
        return Int(math.floor(low), math.ceil(high), domain.log, domain.step)
    return Float(low, high, domain.log, domain.step)


def _choice_column(path: str, domain: Categorical, values: Sequence[Any]) -> ParameterColumn:
    levels = list(domain.choices)
    places = {canonical(level): index for index, level in enumerate(levels)}
    known: dict[Any, int] = {}  # a choice that was seen before is not encoded again
    codes = np.full(len(values), -1, dtype=np.int64)
    for index, value in enumerate(values):
        if value is _ABSENT:
            continue
        key = (value.__class__, value) if value.__hash__ is not None else canonical(value)
        try:
            place = known.get(key)
        except TypeError:  # a tuple of lists
            key, place = canonical(value), known.get(canonical(value))
        if place is None:
            text = canonical(value)
            if text not in places:
                places[text] = len(levels)
                levels.append(value)
            place = known[key] = places[text]
        codes[index] = place
    units = np.full(len(values), np.nan)
    if len(levels) > 2 and all(is_number(level) and math.isfinite(level) for level in levels):
        order = np.argsort(np.argsort(np.array(levels, dtype=np.float64)))
        units = np.where(codes >= 0, order[codes] / (len(levels) - 1), np.nan)
    return ParameterColumn(path, domain, units, codes, tuple(levels))


def _to_scale(number: float, domain: Float | Int) -> float:
    return math.log(number) if domain.log else float(number)


def _varies(column: ParameterColumn) -> bool:
    present = column.present
    seen = column.codes[present] if column.is_choice else column.units[present]
    return len(np.unique(seen)) > 1
