"""Weights & Biases: one W&B run per run folder, local until you run `wandb sync`."""

import os
import secrets
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.record import Outcome, Progress
from tunewright.training.trackers.tracker import TRACKERS, RunInfo, Tracker, logged_values

if TYPE_CHECKING:
    from wandb import Run


@TRACKERS
def wandb(
    *,
    mode: Literal["offline", "online"] = "offline",
    project: str = "tunewright",
    entity: str | None = None,
) -> Tracker:
    """Log metrics by epoch, the configuration, and the best metrics in the summary as `best/...`.

    mode: offline writes `wandb/offline-run-*` in the run folder; online sends, with the login of
    `wandb login`. The W&B run's id is kept in the run folder, in `wandb.json`.
    """
    return _WandB(mode, project, entity)


class _WandB:
    _run: "Run"

    def __init__(
        self, mode: Literal["offline", "online"], project: str, entity: str | None
    ) -> None:
        self._mode, self._project, self._entity = mode, project, entity

    def start(self, run: RunInfo) -> None:
        """Continue the W&B run of this folder, by its id.

        Online, W&B says at which step to continue. Offline the local copy is written again, since
        the whole history follows.
        """
        if self._mode == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # offline means no call home
        from wandb import Settings, init

        memory = run.folder.path / "wandb.json"
        known = read_json(memory) or {"id": secrets.token_hex(4)}
        write_json(memory, known)
        if self._mode == "offline":
            for old in run.folder.path.glob(f"wandb/offline-run-*-{known['id']}"):
                shutil.rmtree(old, ignore_errors=True)
        self._run = init(
            id=known["id"],
            entity=self._entity,
            project=self._project,
            group=run.study,
            name=run.name,
            config=dict(run.config),
            dir=str(run.folder.path),
            mode=self._mode,
            resume="allow",
            reinit="create_new",  # this process may hold other runs
            # console: W&B would otherwise take over the streams that go to the run's log.
            settings=Settings(silent=True, console="off"),
        )

    def log(self, reports: Sequence[Progress]) -> None:
        """Log what comes after the last step that W&B has."""
        for report in reports:
            if report.step >= self._run.step:
                self._run.log(logged_values(report), step=report.step)

    def finish(self, outcome: Outcome) -> None:
        """Put the outcome into the summary and close."""
        self._run.summary.update(
            {
                "state": outcome.state,
                "cause": outcome.cause,
                "reason": outcome.reason,
                **{f"best/{name}": value for name, value in outcome.metrics.items()},
            }
        )
        self._run.finish(exit_code=1 if outcome.state == "failed" else 0)
