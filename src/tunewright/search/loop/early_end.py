"""End a search before its last trial: at its target, after trials without gain, where all fail."""

import re
from dataclasses import replace

from tunewright.runs.record import INFEASIBLE, StudyRecord, Trial
from tunewright.search.loop.trial_runs import Search

ALIKE = 5
"""Failures for one reason, and no trial that worked, after which `study.max_failures=null` ends."""


class EarlyEnd:
    """Decides after each trial whether further ones are asked for.

    reason: why not, else empty. failure: the same where the search ends with an error. Trials that
    run already are awaited. Failures of an earlier session do not count: their cause may be mended.
    """

    def __init__(self, search: Search, record: StudyRecord) -> None:
        self._patience, self._max_failures = search.patience, search.max_failures
        self._target = search.target
        ended = tuple(trial for trial in record.trials if trial.has_ended)
        self._record = replace(record, trials=ended)
        self._worked = any(map(_has_worked, ended))
        self._failures: list[Trial] = []
        self.failure = ""
        self.reason = self._target_reached() or self._trials_without_gain()

    def judge(self, trial: Trial) -> None:
        """Take account of a trial that has ended."""
        self._record = replace(self._record, trials=(*self._record.trials, trial))
        if _has_worked(trial):
            self._worked, self._failures = True, []
        else:
            self._failures.append(trial)
        self.failure = self.failure or self._failures_in_a_row()
        reached = self._target_reached()
        self.reason = self.reason or self.failure or reached or self._trials_without_gain()

    def _failures_in_a_row(self) -> str:
        count = len(self._failures)
        if self._max_failures is None:
            alike = {_without_values(t.reason) for t in self._failures if t.state == "failed"}
            if self._worked or count < ALIKE or len(alike) > 1 or not alike:
                return ""
            return f"the first {count} trials failed for one reason: {self._failures[-1].reason}"
        if count < self._max_failures:
            return ""
        return f"{count} trials in a row failed, the last one: {self._failures[-1].reason}"

    def _target_reached(self) -> str:
        best = self._record.best if self._target is not None else None
        if best is None or best.score is None or self._target is None:
            return ""
        sign = self._record.goals[0].sign
        if sign * best.score < sign * self._target:
            return ""
        return f"trial {best.number} has {best.score:.4g} (study.target={self._target:g})"

    def _trials_without_gain(self) -> str:
        front = self._record.front() if self._patience is not None else []
        if not front:
            return ""
        newest = max(-1 if t.imported_from else t.number for t in front)
        tried = [t for t in self._record.own if t.number > newest and t.state in ("done", "pruned")]
        if self._patience is None or len(tried) < self._patience:
            return ""
        return f"{len(tried)} trials brought nothing better (study.patience={self._patience})"


def _has_worked(trial: Trial) -> bool:
    """Return whether a trial ended by its own result, whatever that was."""
    return trial.state != "failed" and trial.cause not in INFEASIBLE


def _without_values(reason: str) -> str:
    """Return a reason without what differs between two trials: numbers, and quoted values."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\{[^{}]*\}|[-+]?\d[\w.+-]*", "", reason)
