"""Each shipped tracker keeps the contract, read back with the tool's own reader.

Needs the packages: pip install "tunewright[tensorboard,mlflow,wandb]"
"""

import json
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tunewright.runs.sqlite_url import sqlite_file, sqlite_url
from tunewright.testing.trackers import TrackerContract
from tunewright.training.trackers.mlflow import mlflow, tracking_uri
from tunewright.training.trackers.tensorboard import tensorboard
from tunewright.training.trackers.tracker import RunInfo, Tracker
from tunewright.training.trackers.wandb import wandb

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # these packages warn about each other
]
REASON = "an optional package: pip install 'tunewright[{}]'"


class TestTensorBoard(TrackerContract):
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("tensorboard", reason=REASON.format("tensorboard"))

    def make(self) -> Tracker:
        return tensorboard()

    def points(self, run: RunInfo, metric: str) -> list[tuple[int, float]]:
        events = loaded(run.folder.path)
        if metric not in events.Tags()["scalars"]:
            return []
        return [(event.step, event.value) for event in events.Scalars(metric)]

    def copies(self, run: RunInfo) -> int:
        files = {file.parent for file in run.runs.rglob("events.out.tfevents.*")}
        return len([path for path in files if path.is_relative_to(run.folder.path)])

    def settings(self, run: RunInfo) -> Mapping[str, str]:
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        content = loaded(run.folder.path).PluginTagToContent("hparams")
        start = HParamsPluginData.FromString(content["_hparams_/session_start_info"])
        hparams = start.session_start_info.hparams
        return {
            path: str(value.number_value if value.HasField("number_value") else value.string_value)
            for path, value in hparams.items()
        }


class TestMLflow(TrackerContract):
    @pytest.fixture(autouse=True)
    def installed(self, migrated, tmp_path):
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "mlflow.db").write_bytes(migrated)

    @pytest.fixture(scope="class")
    def migrated(self, tmp_path_factory) -> bytes:
        """A new MLflow file: its migrations take seconds."""
        client = pytest.importorskip("mlflow.tracking", reason=REASON.format("mlflow"))
        file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
        client.MlflowClient(f"sqlite:///{file}").search_experiments()
        return file.read_bytes()

    def make(self) -> Tracker:
        return mlflow()

    def points(self, run: RunInfo, metric: str) -> list[tuple[int, float]]:
        [stored] = self.stored(run)
        history = self.client(run).get_metric_history(stored.info.run_id, metric)
        return sorted((point.step, point.value) for point in history)

    def copies(self, run: RunInfo) -> int:
        return len(self.stored(run))

    def settings(self, run: RunInfo) -> Mapping[str, str]:
        return self.stored(run)[0].data.params

    def client(self, run: RunInfo):
        from mlflow.tracking import MlflowClient

        return MlflowClient(f"sqlite:///{run.runs / 'mlflow.db'}")

    def stored(self, run: RunInfo):
        experiment = self.client(run).get_experiment_by_name(run.study)
        found = self.client(run).search_runs([experiment.experiment_id])
        return [r for r in found if r.data.tags["tunewright.folder"] == str(run.folder.path)]

    def test_how_it_ended_and_the_best_metrics_are_there(self, folder):
        from tunewright.testing.trackers import DONE

        [stored] = self.stored(self._copy(folder, DONE))
        assert (stored.info.status, stored.info.run_name) == ("FINISHED", "00007")
        assert stored.data.metrics["best_val_score"] == 3.0
        assert stored.data.tags["tunewright.state"] == "done"
        assert stored.info.end_time - stored.info.start_time == 4000

    def test_a_run_that_was_deleted_there_is_made_anew(self, folder):
        from tunewright.testing.trackers import DONE

        run = self._copy(folder, DONE)
        [stored] = self.stored(run)
        self.client(run).delete_run(stored.info.run_id)
        self._copy(folder, DONE)
        assert len(self.points(run, "val_score")) == 4


class TestWandB(TrackerContract):
    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch):
        pytest.importorskip("wandb", reason=REASON.format("wandb"))
        # A child would share the service of this process, and its death would go unnoticed.
        monkeypatch.delenv("WANDB_SERVICE", raising=False)

    def make(self) -> Tracker:
        return wandb()

    def points(self, run: RunInfo, metric: str) -> list[tuple[int, float]]:
        rows = [
            {(item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in r}
            for r in (record.history.item for record in records(run) if record.HasField("history"))
        ]
        return [(row["_step"], row[metric]) for row in rows if metric in row]

    def copies(self, run: RunInfo) -> int:
        return len(list(run.folder.path.glob("wandb/offline-run-*")))

    def settings(self, run: RunInfo) -> Mapping[str, str]:
        [started] = [record.run for record in records(run) if record.HasField("run")]
        return {
            item.key: str(json.loads(item.value_json))
            for item in started.config.update
            if item.key != "_wandb"
        }


def loaded(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), {"scalars": 0})
    events.Reload()
    return events


def records(run: RunInfo):
    """What the offline file of W&B holds, as `wandb sync` would read it."""
    from wandb.proto.wandb_internal_pb2 import Record

    [file] = run.folder.path.glob("wandb/offline-run-*/*.wandb")
    for _ in range(100):  # its service writes the last bytes a moment after `finish`
        found = [Record.FromString(data) for data in leveldb_log(file.read_bytes()[7:], start=7)]
        if found and found[-1].HasField("exit"):
            break
        time.sleep(0.1)
    return found


def leveldb_log(data: bytes, *, start: int) -> Iterator[bytes]:
    """The records of a LevelDB log: blocks of 32 KiB, pieces headed by CRC, length and type.

    start: bytes of the first block that stand before `data`. Types: 1 whole, 2 first, 3 middle,
    4 last. Source: github.com/google/leveldb, doc/log_format.md.
    """
    position, record = 0, b""
    while position + 7 <= len(data):
        left = 32768 - (position + start) % 32768
        if left < 7:
            position += left
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def test_mlflows_file_lies_in_the_folder_of_all_runs_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("50%25", "what?", "r#1", "ü @:", "mlflow"):
        file = tmp_path / name / "mlflow.db"
        assert sqlite_file(tracking_uri(None, file.parent)) == file
        assert sqlite_file(tracking_uri(sqlite_url(file), tmp_path)) == file
    assert tracking_uri("http://host:5000", tmp_path) == "http://host:5000"
