"""Which weights of a search stay on the disk: those of its best trial."""

import shutil

from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import StudyRecord, Trial, losses


class BestWeights:
    """Keeps the checkpoints of the best trial and removes a loser's when it ends."""

    def __init__(self, folder: StudyFolder, record: StudyRecord) -> None:
        self._folder, self._goals, self.best = folder, record.goals, record.best
        for trial in record.trials:
            # A kill may have come between a trial's end and the removal of its weights.
            if trial.state != "running" and trial != self.best:
                self._remove(trial)

    def judge(self, trial: Trial) -> None:
        """Take note of a trial that has ended."""
        loser: Trial | None = trial
        if trial.state == "done" and trial.score is not None:
            best = self.best
            if best is None or losses(trial, self._goals) < losses(best, self._goals):
                self.best, loser = trial, best
        if loser is not None:
            self._remove(loser)

    def drop(self, run: RunFolder) -> None:
        """Remove what a run wrote, such as one that was called off after its trial had ended."""
        shutil.rmtree(run.checkpoints, ignore_errors=True)

    def _remove(self, trial: Trial) -> None:
        for run in self._folder.trial(trial.number).with_seeds():
            self.drop(run)
