"""Runs of a trial with several seeds: which ones remain, and their combined result."""

from dataclasses import dataclass

from tunewright.runs.record import Outcome, Trial
from tunewright.search.loop.trial_result import aggregate_runs
from tunewright.search.loop.trial_runs import Search, TrialRun
from tunewright.search.memory.memory_model import Memory, with_memory
from tunewright.search.study.study import Study


@dataclass(frozen=True)
class SeedResult:
    """The result of a run's end.

    trial: set when the trial is decided. pending: its further runs.
    """

    trial: Trial | None
    pending: tuple[TrialRun, ...] = ()


class SeedRuns:
    """Outcomes by trial and seed, until the trial has ended."""

    def __init__(self, search: Search, study: Study, memory: Memory) -> None:
        self._search, self._study, self._memory = search, study, memory
        self._outcomes: dict[int, dict[int, Outcome]] = {}

    def record(self, run: TrialRun, outcome: Outcome) -> SeedResult:
        """Record the end of a run and return what follows from it.

        The other seeds run only if the first one reached its end; a failure of one decides the
        trial.
        """
        outcomes = self._outcomes.setdefault(run.number, {})
        outcomes[run.seed] = outcome
        trial, pending = self._trial(run), []
        if run.first and trial.state == "done":
            pending = self._others(run)
            trial = self._trial(run)
        if trial.state == "done" and len(outcomes) < len(self._search.seeds):
            return SeedResult(None, tuple(pending))
        del self._outcomes[run.number]
        return SeedResult(trial)

    def _trial(self, run: TrialRun) -> Trial:
        outcomes, search = self._outcomes[run.number], self._search
        curve = self._study.curves[run.number]
        trial = aggregate_runs(
            run.number, run.values, curve, outcomes, search.goals, search.constraints
        )
        return with_memory(trial, search.folder.trial(run.number), outcomes.values())

    def _others(self, first: TrialRun) -> list[TrialRun]:
        """Return the runs of the other seeds, without those that ended before this session."""
        pending = []
        for run in self._search.runs(first.number, first.values)[1:]:
            outcome = run.folder.read_outcome()
            if outcome is None or not self._has_ended(run, outcome):
                pending.append(run)
            else:
                self._outcomes[first.number][run.seed] = outcome
        return pending

    def _has_ended(self, run: TrialRun, outcome: Outcome) -> bool:
        """Return whether a run is finished: not after a pause, a cancel, or for lack of memory."""
        if outcome.state == "paused" or outcome.cause == "interrupted":
            return False
        return not self._memory.retry_after_oom(run.name, run.folder, outcome)
