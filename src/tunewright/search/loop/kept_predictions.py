"""Keep validation predictions of the most promising trials, within a bound on disk."""

import contextlib

from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import StudyRecord, Trial, losses


class KeptPredictions:
    """Removes the predictions of trials that did not finish, and of the worst ones over the bound.

    mib: the bound, over the files of all trials. Nothing is done where it is 0: none are written.
    """

    def __init__(self, folder: StudyFolder, record: StudyRecord, mib: float) -> None:
        self._folder, self._goals, self._bytes = folder, record.goals, mib * 2**20
        self._finished: dict[int, tuple[Trial, int]] = {}
        for trial in record.own if mib else ():
            if trial.has_ended:
                self.judge(trial)

    def judge(self, trial: Trial) -> None:
        """Register a trial that has ended, and remove what is over the bound."""
        if not self._bytes:
            return
        runs = self._folder.trial(trial.number).with_seeds()
        if trial.state != "done" or trial.score is None:
            _remove(runs)
            return
        self._finished[trial.number] = trial, sum(map(_size, runs))
        total = sum(size for _, size in self._finished.values())
        while total > self._bytes and self._finished:
            worst = max(self._finished, key=self._rank)
            total -= self._finished.pop(worst)[1]
            _remove(self._folder.trial(worst).with_seeds())

    def _rank(self, number: int) -> tuple[float, int]:
        return losses(self._finished[number][0], self._goals)[0], number


def _size(run: RunFolder) -> int:
    try:
        return run.predictions.stat().st_size
    except OSError:
        return 0


def _remove(runs: list[RunFolder]) -> None:
    for run in runs:
        with contextlib.suppress(OSError):
            run.predictions.unlink()
