"""A stored Optuna study, and an in-memory view of it that samples.

Users open the stored study with `optuna.load_study` and the dashboard. Points are drawn from the
view, which holds the same trials: a point that violates a rule is discarded there and never becomes
a trial, and sampling does not wait for the database.
"""

import json
import math
import random
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from tunewright.errors import StudyError
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.storage.database import (
    LEASE,
    OURS,
    Settings,
    close_storage,
    create_study,
    open_storage,
)
from tunewright.search.storage.database_errors import storage_errors, stored_value_errors
from tunewright.search.study.loaded_study import load_study
from tunewright.search.study.optuna_types import (
    IMPORTED,
    SOURCES,
    decoded_params,
    direction,
    distribution,
    encode,
    end_of,
    record_of,
    suggest,
    trials_of,
)
from tunewright.search.study.samplers import (
    as_learned,
    optuna_sampler,
    points_left,
    scores_to_learn,
    sequence,
)
from tunewright.search.study.trial_tags import AUDITED, GOOD, PAUSED, SPANS, is_good, marks
from tunewright.search.study.trial_writer import writer
from tunewright.spaces.advice import good_points
from tunewright.spaces.points import identity
from tunewright.spaces.sample import draw, draw_untried
from tunewright.spaces.space import Space

REJECTIONS = 100
"""Rejected points before one is drawn uniformly instead of by the sampler."""
REPEATS = 3
"""Repeated points after which the sampler is taken to have nothing new to suggest."""


class SpaceExhausted(StudyError):
    """No point of the space is left to try, which no count of the points had foreseen."""


class Study:
    """One search. Only the coordinator that holds it writes to its storage.

    outage_seconds: how long to wait for a database server that is unavailable. on_notice: called
    while waiting. guard: called before a trial is written; raises when another coordinator has
    taken over.
    """

    def __init__(
        self,
        url: str,
        name: str,
        settings: Settings,
        space: Space,
        *,
        outage_seconds: float = 0.0,
        on_notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.url, self.name, self.settings, self.space = url, name, settings, space
        self.guard: Callable[[], None] = lambda: None
        self._storage = open_storage(url, seconds=outage_seconds, on_notice=on_notice)
        directions = [direction(goal) for goal in settings.goals]
        try:
            with storage_errors(url), stored_value_errors(url):
                self._study = create_study(self._storage, name, directions)
                self._id = self._storage.get_study_id_from_name(name)
                self._writer = writer(self._study, self._storage, self._id)
                self._study.set_user_attr(OURS, json.dumps(settings.as_stored()))
                stored = trials_of(self._study)
                record_of(self._study, settings)  # raises for damaged values before anything begins
        except BaseException:
            close_storage(url, self._storage)
            raise
        learned = [as_learned(settings, trial) for trial in stored]
        self._trial_ids = {t.number: t._trial_id for t in stored}
        self.count = sum(_is_own(trial) for trial in stored)
        self._paused = {t.number: t.user_attrs[PAUSED] for t in stored if PAUSED in t.user_attrs}
        self._memory = InMemoryStorage()
        self._view = optuna.create_study(
            storage=self._memory,
            # With the same seed, a resumed study would propose its first points again.
            sampler=optuna_sampler(
                settings.sampler,
                space,
                (settings.seed + 1_000_003 * len(stored)) % 2**32,  # the range of NumPy's seeds
                learned,
            ),
            directions=directions,
        )
        self._view_id = self._memory.get_study_id_from_name(self._view.study_name)
        self._view_trials: dict[int, int] = {}
        self.curves: dict[int, dict[int, float]] = {}
        for trial in learned:
            self._mirror(trial)
        self._sequence = sequence(settings.sampler, space, settings.seed)
        self._tried = {identity(space, decoded_params(trial)) for trial in stored}
        self._failed = self._failed_points(stored)
        begun = self._tried_good_names(stored) if space.good else set()
        points = good_points(space).items()
        self._good = deque(values for name, values in points if name not in begun)

    def ask(self, proposed: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Return the number and parameters of a new trial, which is already stored as running.

        proposed: the point to try, instead of one from the sampler; the defaults and the good
        combinations come before it. Raises SpaceExhausted when no point is left to try.
        """
        values, view_trial = self._next_fixed_point(), None
        if values is None and proposed is not None:
            values = dict(proposed)
        if values is None:
            try:
                values, view_trial = self._sample()
            except SpaceExhausted:
                if not self._failed:
                    raise
                values = self._failed.popleft()
        template = create_trial(
            state=TrialState.RUNNING,
            params={path: encode(self.space[path].domain, v) for path, v in values.items()},
            distributions={path: distribution(self.space[path].domain) for path in values},
            user_attrs=marks(self.space, values),
        )
        if view_trial is None:
            view_trial = self._memory.create_new_trial(self._view_id, template)
        self.guard()
        with storage_errors(self.url):
            trial_id, number = self._writer.begin(template)
        self._trial_ids[number], self._view_trials[number] = trial_id, view_trial
        self.curves[number] = {}
        self._tried.add(identity(self.space, values))
        self.count += 1
        return number, values

    def is_new(self, values: Mapping[str, Any]) -> bool:
        """Return whether a point is allowed, and no trial has had it."""
        untried = identity(self.space, values) not in self._tried
        return untried and self.space.broken_rule(values) is None

    def reachable(self, total: int) -> int:
        """Return how many trials the study can have, at most `total`; a finite space has an end."""
        left = points_left(self.settings, self.space, self._tried, most=total - self.count)
        return min(total, self.count + left + self.holes)

    @property
    def holes(self) -> int:
        """How many points failed in earlier sessions; they are tried again after all others."""
        return len(self._failed)

    def report(self, number: int, step: int, value: float) -> None:
        """Store an intermediate value if it is finite and the step has none yet."""
        if step in self.curves[number] or not math.isfinite(value):
            return
        self.guard()
        with storage_errors(self.url):
            self._writer.report(self._trial_ids[number], step, value)
        if len(self.settings.goals) == 1:  # Optuna has no curves with several goals
            self._memory.set_trial_intermediate_value(self._view_trials[number], step, value)
        self.curves[number][step] = value

    def mark_audited(self, number: int, step: int) -> None:
        """Store that a trial runs on that would have been pruned after a step."""
        self._mark(number, AUDITED, step)

    def mark_paused(self, number: int, text: str) -> None:
        """Store where a trial is paused, such as `at 3 of 52`; empty when it goes on."""
        if self._paused.get(number, "") != text:
            self._mark(number, PAUSED, text)
            self._paused[number] = text

    def mark_spans(self, number: int, spans: Sequence[tuple[float, float]]) -> None:
        """Store when a trial that is paused had a worker."""
        self._mark(number, SPANS, list(spans))

    def tell(self, trial: Trial) -> None:
        """Store the end of a trial.

        `infeasible` violates a constraint, which the sampler learns from. A second call for the
        same trial changes nothing.
        """
        number = trial.number
        trial = replace(trial, curve=self.curves[number])
        end = end_of(trial, self.settings.goals, self.settings.constraints)
        self.guard()
        with storage_errors(self.url):
            trial_id = self._trial_ids[number]
            if not self._writer.end(trial_id, end):
                return
        view_id = self._view_trials[number]
        _constrain(self._view, view_id, end.constraints)
        scores = end.values
        if scores and end.state == TrialState.COMPLETE:
            scores = scores_to_learn(self.settings, scores, end.constraints)
        self._memory.set_trial_state_values(view_id, end.state, scores)

    def running(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the numbers and parameters of the trials that were begun and have not ended."""
        with storage_errors(self.url):
            trials = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [(t.number, decoded_params(t)) for t in trials]

    def record(self) -> StudyRecord:
        """Return the study as plain values."""
        return record_of(self._study, self.settings)

    def sources(self) -> Sequence[str]:
        """Return the sources that trials were imported from before the first one; mostly empty."""
        with storage_errors(self.url):
            found: Sequence[str] = self._study.user_attrs.get(SOURCES) or ()
        return found

    def lease(self) -> Mapping[str, Any]:
        """Return the last lease of a coordinator; empty when none is active."""
        with storage_errors(self.url):
            return _lease(self._study)

    def set_lease(self, lease: Mapping[str, Any]) -> None:
        """Store a lease."""
        with storage_errors(self.url):
            self._study.set_user_attr(LEASE, dict(lease))

    def close(self) -> None:
        """Close the database."""
        close_storage(self.url, self._storage)

    def _mark(self, number: int, key: str, value: Any) -> None:
        self.guard()
        with storage_errors(self.url):
            self._writer.mark(self._trial_ids[number], key, value)

    def _tried_good_names(self, stored: Sequence[FrozenTrial]) -> set[str]:
        """Return the names of the good combinations that trials of this study have tried."""
        marked = [(t, t.user_attrs[GOOD]) for t in stored if GOOD in t.user_attrs and _is_own(t)]
        return {n for t, n in marked if is_good(self.space, decoded_params(t), n)}

    def _failed_points(self, stored: Sequence[FrozenTrial]) -> deque[dict[str, Any]]:
        """Return the points of failed trials that no other trial has had a result for."""
        failed: dict[Hashable, dict[str, Any]] = {}
        for trial in stored:
            if trial.state == TrialState.FAIL and _is_own(trial):
                values = decoded_params(trial)
                if self.space.contains(values):
                    failed[identity(self.space, values)] = values
        for trial in stored:
            if trial.state != TrialState.FAIL:
                failed.pop(identity(self.space, decoded_params(trial)), None)
        return deque(failed.values())

    def _next_fixed_point(self) -> dict[str, Any] | None:
        """Return the next point that no sampler chooses: the defaults, then the good combinations.

        Points that an imported trial of another study has tried are skipped.
        """
        default = self.space.default() if self.count == 0 else None
        if default is not None and identity(self.space, default) not in self._tried:
            return default
        while self._good:
            values = self._good.popleft()
            if identity(self.space, values) not in self._tried:
                return values
        return None

    def _sample(self) -> tuple[dict[str, Any], int | None]:
        if self._sequence is not None:
            for values in self._sequence:
                if identity(self.space, values) not in self._tried:
                    return values, None
            raise SpaceExhausted("every point of the space has been tried, or is forbidden")
        repeats = 0
        for _ in range(REJECTIONS):
            trial = self._view.ask()
            values = self.space.draw(lambda p, trial=trial: suggest(trial, p))  # type: ignore[misc]
            if self.space.broken_rule(values) is None:
                if identity(self.space, values) not in self._tried:
                    return values, trial._trial_id
                repeats += 1
            self._view.tell(trial, state=TrialState.FAIL)
            if repeats == REPEATS:
                break
        return self._draw_untried(), None

    def _draw_untried(self) -> dict[str, Any]:
        """Return an untried uniform draw; a small space is searched exhaustively for one."""
        rng = random.Random(self.settings.seed + self.count)
        values = draw_untried(self.space, self._tried, rng)
        if values is not None:
            return values
        if draw(self.space, rng) is None:
            raise SpaceExhausted(
                "the forbid rules leave no combination that random draws could find"
            )
        raise SpaceExhausted("every point of the space has been tried, or is forbidden")

    def _mirror(self, trial: FrozenTrial) -> None:
        self.curves[trial.number] = dict(trial.intermediate_values)
        for key in [key for key in trial.system_attrs if key.startswith("cma")]:
            del trial.system_attrs[key]  # a pickle, which could run someone else's code
        if len(self.settings.goals) > 1:
            trial = copy(trial)
            trial.intermediate_values = {}
        view_id = self._memory.create_new_trial(self._view_id, trial)
        self._view_trials[trial.number] = view_id


def _is_own(trial: FrozenTrial) -> bool:
    """Return whether a trial was asked for here; `study.trials` counts only those."""
    return IMPORTED not in trial.user_attrs


def load_record(url: str, name: str | None) -> tuple[StudyRecord, dict[str, float]]:
    """Return the record of a stored study and its importances; see `load_study`."""
    found = load_study(url, name)
    return found.record, found.importances


def _constrain(study: optuna.Study, trial_id: int, excess: Mapping[str, float]) -> None:
    """Store all constraints of a trial, also where a kill came between them and its state."""
    trial = optuna.trial.Trial(study, trial_id)
    for key, value in excess.items():
        if key not in trial.constraints:
            trial.set_constraint(key, value)


def _lease(study: optuna.Study) -> Mapping[str, Any]:
    lease: Mapping[str, Any] = study.user_attrs.get(LEASE) or {}
    return lease
