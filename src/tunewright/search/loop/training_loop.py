"""The loop of a training in full: one configuration with one seed or several."""

import time
from collections.abc import Sequence

from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.errors import RunError
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, Progress
from tunewright.search.callbacks import StudyCallback
from tunewright.search.forecast.early_stopping import EarlyStopping, TrainingLength
from tunewright.search.loop.run_loop import Live, Run, RunLoop
from tunewright.search.signals import stopping_message


class TrainingLoop(RunLoop[Run]):
    """Trains the configuration in each of `folders` to its end; a run that fails ends the loop.

    length: of each run. until: time by the monotonic clock at which the runs are paused.
    """

    def __init__(
        self,
        folders: Sequence[RunFolder],
        length: TrainingLength,
        limits: ExecutorConfig,
        watch: StudyCallback,
        until: float | None = None,
    ) -> None:
        super().__init__(limits, watch)
        watch.on_training_start(length.patience)
        self.waiting = [Run(folder, str(folder.path), {}) for folder in folders]
        self._length, self._until, self._paused = length, until, False
        self._gains = {folder: EarlyStopping(length) for folder in folders}
        for folder, gains in self._gains.items():  # of a run that is resumed
            for progress in read_progress(folder.progress):
                gains.record(progress.step, progress.metrics.get(length.metric))

    def notify(self, run: Run, text: str) -> None:
        """Pass on a notice as it is: there is one training to speak of."""
        self.watch.notice(text)

    def should_pause(self) -> bool:
        """Return whether the time is up, or somebody else has paused a run."""
        return self._paused or (self._until is not None and time.monotonic() >= self._until)

    def on_stop(self, *, signalled: bool) -> None:
        """Confirm a signal; of a pause for lack of time the caller knows."""
        if signalled:
            self.watch.notice(stopping_message(self.limits.grace_seconds))

    def next_run(self) -> Run | None:
        """Return None: all runs wait from the beginning."""
        return None

    def on_report(self, live: Live[Run], progress: Progress) -> None:
        """Pass on an epoch, with the time that is left after it."""
        step, epochs, gains = progress.step, self._length.epochs, self._gains[live.run.folder]
        gains.record(step, progress.metrics.get(self._length.metric))
        if step:
            end = gains.likely_end
            left = progress.seconds / step * ((epochs if end is None else end) - step)
            self.watch.on_training_left(left, at_most=end is None)
        self.watch.on_usage(None, progress.usage)
        self.watch.on_epoch(step, epochs, progress.metrics, progress.seconds)

    def on_requeue(self, run: Run, *, paused: bool) -> None:
        """Note a pause, after which no run is started."""
        self._paused = self._paused or paused

    def on_end(self, run: Run, outcome: Outcome) -> None:
        """Raise RunError for a run that failed, unless the loop ends for another reason anyway."""
        if outcome.state == "done" or self.stopping:
            return
        path = run.folder.path
        if outcome.cause == "killed":
            raise RunError(f"the training in {path} ended: {outcome.reason}")
        raise RunError(
            f"the training in {path} failed ({outcome.cause}): {outcome.reason}",
            remedy=f"See the whole log in {run.folder.log}."
            if run.folder.log.exists()
            else "Its output is on the terminal, since executor.type=inline writes no log.",
        )
