"""MLflow: one MLflow run per run folder, in a SQLite file or on a server."""

import contextlib
import fcntl
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zlib import crc32

from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.record import Outcome, OutcomeState, Progress
from tunewright.runs.sqlite_url import sqlite_file, sqlite_url
from tunewright.training.trackers.tracker import TRACKERS, RunInfo, Tracker, logged_values

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

STATUS: dict[OutcomeState, str] = {
    "done": "FINISHED",
    "pruned": "KILLED",
    "paused": "SCHEDULED",
    "failed": "FAILED",
}
BATCH_METRICS, BATCH_PARAMS, VALUE_CHARACTERS = 1000, 100, 5000
"""Limits of MLflow, for one call and for one parameter or tag."""
NAME_CHARACTERS = 250
"""Limit of MLflow for the name of a metric or parameter."""


@TRACKERS
def mlflow(*, uri: str | None = None, experiment: str | None = None) -> Tracker:
    """Log metrics by epoch, the configuration as parameters, the best metrics as `best_...`.

    uri: a tracking URI; by default `mlflow.db` in the folder of all runs. experiment: by default
    the study's name. The MLflow run's id is kept in the run folder, in `mlflow.json`.
    """
    return _MLflow(uri, experiment)


class _MLflow:
    _run: RunInfo
    _client: "MlflowClient"
    _id: str

    def __init__(self, uri: str | None, experiment: str | None) -> None:
        self._wanted, self._experiment = uri, experiment
        self._sent: set[tuple[str, int]] = set()
        self._names: dict[str, str] = {}
        self._refused: set[str] = set()

    def start(self, run: RunInfo) -> None:
        """Continue the MLflow run of this folder, or create one."""
        # Read at import: turns off MLflow's telemetry, which also delays offline machines.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        # It logs the creation of its database, which is not about this run.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        self._run, uri = run, tracking_uri(self._wanted, run.runs)
        with _alone(uri):
            self._client = MlflowClient(uri)
            experiment = self._experiment_id(self._experiment or run.study, uri)
            known = self._known_run(uri)
            self._id = known or self._new_run(uri, experiment)
        data = self._client.get_run(self._id).data
        keys = acceptable_names(run.config)
        params = [
            Param(keys[path], str(value)[:VALUE_CHARACTERS])
            for path, value in run.config.items()
            if keys[path] not in data.params  # MLflow refuses to change one
        ]
        for chunk in _chunks(params, BATCH_PARAMS):
            self._log("params", chunk)
        if known is not None:
            self._client.update_run(self._id, status="RUNNING")
            for name in data.metrics:
                history = self._client.get_metric_history(self._id, name)
                self._sent |= {(point.key, point.step) for point in history}

    def log(self, reports: Sequence[Progress]) -> None:
        """Send what MLflow does not have; it can neither replace nor remove a point."""
        names = [name for report in reports for name in logged_values(report)]
        self._names |= acceptable_names(names, self._names)
        self._send(
            [
                (report.step, report.seconds, self._names[name], value)
                for report in reports
                for name, value in logged_values(report).items()
            ]
        )

    def finish(self, outcome: Outcome) -> None:
        """Send the best metrics, the outcome and the status."""
        tags = {"state": outcome.state, "cause": outcome.cause, "reason": outcome.reason}
        for name, text in tags.items():
            self._client.set_tag(self._id, f"tunewright.{name}", text[:VALUE_CHARACTERS])
        if outcome.state != "paused":
            step = outcome.best_step or 0
            best = {f"best_{name}": value for name, value in outcome.metrics.items()}
            keys = acceptable_names(best)
            self._send([(step, outcome.seconds, keys[name], value) for name, value in best.items()])
        self._client.set_terminated(
            self._id, STATUS[outcome.state], self._milliseconds(outcome.seconds)
        )

    def _send(self, points: Sequence[tuple[int, float, str, float]]) -> None:
        from mlflow.entities import Metric

        fresh = [
            Metric(name, value, self._milliseconds(seconds), step)
            for step, seconds, name, value in points
            if (name, step) not in self._sent
        ]
        for chunk in _chunks(fresh, BATCH_METRICS):
            self._log("metrics", chunk)
            self._sent |= {(metric.key, metric.step) for metric in chunk}

    def _log(self, kind: str, entries: Sequence[Any]) -> None:
        """Log metrics or parameters; those that MLflow refuses are left out, and named in the log.

        A server that is away is no refusal: then everything is.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._client.log_batch(self._id, **{kind: entries})
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            if len(entries) > 1:
                for entry in entries:
                    self._log(kind, [entry])
                return
            [entry] = entries
            if entry.key not in self._refused:
                self._refused.add(entry.key)
                with self._run.folder.log.open("a", encoding="utf-8") as log:
                    log.write(f"mlflow refuses {entry.key!r:.300}, which is left out: {error}\n")

    def _milliseconds(self, seconds: float) -> int:
        return int(1000 * (self._run.began + seconds))

    def _experiment_id(self, name: str, uri: str) -> str:
        """Return the id of experiment `name`; on a server, another worker may create it first."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            files = None  # a server chooses its own place
            if (file := sqlite_file(uri)) is not None:
                files = (file.parent / "mlartifacts").as_uri()
            try:
                return str(self._client.create_experiment(name, artifact_location=files))
            except MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _known_run(self, uri: str) -> str | None:
        from mlflow.exceptions import MlflowException

        memory = self._memory()  # an earlier version did not escape the path
        known: str | None = memory.get(uri) or memory.get(unquote(uri))
        if known is None:
            return None
        try:
            info = self._client.get_run(known).info
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return known if info.lifecycle_stage == "active" else None

    def _new_run(self, uri: str, experiment: str) -> str:
        run = self._client.create_run(
            experiment,
            start_time=self._milliseconds(0.0),
            tags={"tunewright.folder": str(self._run.folder.path)},
            run_name=self._run.name,
        )
        created = str(run.info.run_id)
        write_json(self._memory_file, {**self._memory(), uri: created})
        return created

    @property
    def _memory_file(self) -> Path:
        return self._run.folder.path / "mlflow.json"

    def _memory(self) -> dict[str, Any]:
        """Return the MLflow ids of this run, by tracking URI."""
        return read_json(self._memory_file) or {}


def acceptable_names(
    names: Iterable[str], taken: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return names as MLflow takes them, which are different for different names.

    Letters, digits and `_-. /` are allowed, 250 of them, and no path that another spelling names.
    taken: names that were made acceptable before.
    """
    found: dict[str, str] = {}
    used = {key: name for name, key in (taken or {}).items()}
    for name in sorted(set(names), key=lambda name: (_acceptable(name) != name, name)):
        key = (taken or {}).get(name) or _acceptable(name)
        if used.get(key, name) != name:
            key = f"{key[: NAME_CHARACTERS - 9]}_{crc32(name.encode()):08x}"
        found[name], used[key] = key, name
    return found


def _acceptable(name: str) -> str:
    parts = re.sub(r"[^\w.\- /]", "_", name).split("/")
    key = "/".join(part for part in parts if part.strip() not in ("", ".", "..")) or "_"
    if len(key) <= NAME_CHARACTERS:
        return key
    return f"{key[: NAME_CHARACTERS - 9]}_{crc32(name.encode()):08x}"


def tracking_uri(uri: str | None, runs: Path) -> str:
    """Return the tracking URI, with an absolute path if it is a SQLite file."""
    if uri is None:
        return sqlite_url(runs / "mlflow.db")
    file = sqlite_file(uri)
    return uri if file is None else sqlite_url(file.resolve())


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Hold a lock: two processes that create the same SQLite file disturb each other."""
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
