"""TensorBoard: event files in the run folder, so that `tensorboard --logdir runs` shows all."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunewright.runs.atomic import dump_yaml
from tunewright.runs.record import Outcome, Progress
from tunewright.training.trackers.tracker import TRACKERS, RunInfo, Tracker, logged_values

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@TRACKERS
def tensorboard() -> Tracker:
    """Log scalars by epoch, the configuration as text, and the row of the HPARAMS tab."""
    return _TensorBoard()


class _TensorBoard:
    _run: RunInfo
    _writer: "SummaryWriter"

    def start(self, run: RunInfo) -> None:
        """Start a new event file; the history that follows fills it up to now."""
        from torch.utils.tensorboard import SummaryWriter

        for old in run.folder.path.glob("events.out.tfevents.*"):
            old.unlink()
        self._run = run
        # purge_step: a running TensorBoard drops the old points that it has in memory.
        self._writer = SummaryWriter(str(run.folder.path), purge_step=0)
        settings = dump_yaml(run.config).replace("\n", "\n    ")
        self._writer.add_text("config", f"    {settings}", walltime=run.began)

    def log(self, reports: Sequence[Progress]) -> None:
        """Write the scalars to the disk."""
        for report in reports:
            for name, value in logged_values(report).items():
                moment = self._run.began + report.seconds
                self._writer.add_scalar(name, value, report.step, walltime=moment)
        self._writer.flush()

    def finish(self, outcome: Outcome) -> None:
        """Add the hyperparameters and best metrics, unless the run will continue."""
        self._writer.add_text("outcome", f"{outcome.state} {outcome.cause} {outcome.reason}")
        if outcome.metrics and outcome.state != "paused":
            plain = (bool, int, float, str)
            self._writer.add_hparams(
                {k: v if isinstance(v, plain) else str(v) for k, v in self._run.config.items()},
                {f"best/{name}": value for name, value in outcome.metrics.items()},
                run_name=".",  # else it becomes a separate run, named by the time
                global_step=outcome.best_step,
            )
        self._writer.close()
