"""Read what a script logs to Weights & Biases: by a stand-in for it, or from its offline file."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tunewright.stand_ins
from tunewright.errors import DataError
from tunewright.recipes.command.metrics.reader import (
    METRIC_READERS,
    MetricReader,
    ReaderContext,
    ScriptReport,
)
from tunewright.runs.atomic import write_yaml
from tunewright.runs.wandb.offline_run import find_offline_runs, read_offline_run

LOOK_SECONDS = 1.0
"""How often the file of an offline run is read at most, each time from its beginning."""


class StandInReader(MetricReader):
    """Puts the stand-in before all packages of the script; it reports through the client."""

    def __init__(self) -> None:
        super().__init__()
        places = [str(Path(tunewright.stand_ins.__file__).parent)]
        if before := os.environ.get("PYTHONPATH"):
            places.append(before)
        self.environment = {"PYTHONPATH": os.pathsep.join(places)}


class OfflineReader(MetricReader):
    """Follows the file that the real package writes while the script runs."""

    def __init__(self, folder: Path, params: Mapping[str, Any]) -> None:
        super().__init__()
        self._folder, self._looked, self._size = folder, 0.0, -1
        self._taken: dict[Path, int] = {}
        given = folder / "wandb-params.yaml"
        write_yaml(given, {"wandb_version": 1, **{k: {"value": v} for k, v in params.items()}})
        self.environment = {
            "WANDB_MODE": "offline",
            "WANDB_DIR": str(folder),
            "WANDB_SILENT": "true",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_SWEEP_ID": "tunewright",
            "WANDB_SWEEP_PARAM_PATH": str(given),
        }

    def poll(self, *, ended: bool) -> Iterable[ScriptReport]:
        """Yield what was logged since the last call; at the end also the summary."""
        now = time.monotonic()
        if not ended and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        runs = find_offline_runs(self._folder)
        size = sum(file.stat().st_size for run in runs for file in run.glob("*.wandb"))
        if size == self._size and not ended:
            return
        self._size = size
        for run in runs:
            yield from self._read(run, ended=ended)

    def _read(self, folder: Path, *, ended: bool) -> Iterable[ScriptReport]:
        try:
            run = read_offline_run(folder)
        except DataError:
            return  # nothing whole in it yet
        taken = self._taken.get(folder, 0)
        for step, metrics in run.history[taken:]:
            yield ScriptReport(step, metrics)
        self._taken[folder] = len(run.history)
        if ended:
            numbers = {
                name: float(value)
                for name, value in run.summary.items()
                if isinstance(value, int | float) and not name.startswith("_")
            }
            logged = {name for _, metrics in run.history for name in metrics}
            yield ScriptReport(None, {k: v for k, v in numbers.items() if k not in logged})


@METRIC_READERS
def wandb(context: ReaderContext, /) -> MetricReader | None:
    """Read what is logged to W&B."""
    match context.config.wandb:
        case "stand_in":
            return StandInReader()
        case "offline":
            return OfflineReader(context.run_dir, context.params)
        case _:
            return None
