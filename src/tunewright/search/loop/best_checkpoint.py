"""Keep only the weights of the best trials of a search on disk."""

import shutil
from collections.abc import Sequence
from dataclasses import replace

from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import Goal, StudyRecord, Trial, is_same, losses


class BestWeights:
    """Keep the checkpoints of the best trials and remove those of others when they end.

    Trials end in any order, and ties are decided only at the end, so the weights of every trial
    that may still be among the best `count` are kept.
    """

    def __init__(self, folder: StudyFolder, record: StudyRecord, count: int = 1) -> None:
        self._folder, self._contenders, self._count = folder, replace(record, trials=()), count
        for trial in record.trials:
            # The process may have been killed between a trial's end and the removal of its weights.
            if trial.has_ended:
                self.judge(trial)

    @property
    def best(self) -> Trial | None:
        """The best trial so far."""
        return self._contenders.best

    def judge(self, trial: Trial) -> None:
        """Register a trial that has ended and remove weights that are no longer needed."""
        goals, every = self._contenders.goals, [*self._contenders.trials, trial]
        scored = [one for one in every if one.state == "done" and one.score is not None]
        kept = [
            one
            for one in scored
            if sum(_ranks_before(other, one, goals) for other in scored) < self._count
        ]
        self._contenders = replace(self._contenders, trials=tuple(kept))
        for loser in every:
            if loser not in kept and not loser.rung:  # it may go on yet; see `paused_states`
                self._remove(loser)

    def drop(self, run: RunFolder) -> None:
        """Remove the checkpoints of a run, such as one cancelled after its trial had ended."""
        shutil.rmtree(run.checkpoints, ignore_errors=True)

    def _remove(self, trial: Trial) -> None:
        for run in self._folder.trial(trial.number).with_seeds():
            self.drop(run)


def _ranks_before(one: Trial, other: Trial, goals: Sequence[Goal]) -> bool:
    """Return whether `one` ranks before `other` whatever trials are still to end."""
    for own, its in zip(losses(one, goals), losses(other, goals), strict=True):
        if own > its:
            return False
        if not is_same(own, its):
            return True
    return one.number < other.number
