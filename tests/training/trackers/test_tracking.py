"""Trackers beside a training: what is asked for, what is missing, and that nothing holds it up.

The shipped trackers, which need their packages, are in `test_trackers.py`.
"""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

import tunewright
from tunewright import job
from tunewright.config.compose import compose
from tunewright.config.schema import TrackersConfig
from tunewright.errors import ConfigError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressWriter, read_progress
from tunewright.runs.record import Outcome, Progress
from tunewright.search.callbacks import StudyCallback
from tunewright.testing.trackers import TrackerContract
from tunewright.training.trackers.tracker import TRACKERS, RunInfo, Tracker, require, run_info
from tunewright.training.trackers.tracking import Tracking, make_trackers, trackers_off


class FileTracker:
    """A copy in one JSON file, beside the runs."""

    def start(self, run: RunInfo) -> None:
        self.file = copy_of(run)
        self.copy = read_json(self.file) or {"points": {}}
        self.copy["config"] = {path: str(value) for path, value in run.config.items()}

    def log(self, reports: Sequence[Progress]) -> None:
        self.copy["points"] |= {str(report.step): dict(report.metrics) for report in reports}
        write_json(self.file, self.copy)

    def finish(self, outcome: Outcome) -> None:
        write_json(self.file, {**self.copy, "state": outcome.state, "reason": outcome.reason})


class Witness:
    """Remembers what was called; fails in `fails_in`, and waits for `gate` before each log."""

    def __init__(self, fails_in: str = "", error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self.batches: list[list[int]] = []
        self.gate = Event()
        self.gate.set()
        self.outcome: Outcome | None = None
        self._fails_in, self._error = fails_in, error or OSError("the server is gone")

    def start(self, run: RunInfo) -> None:
        self._call("start")

    def log(self, reports: Sequence[Progress]) -> None:
        self._call("log")
        self.gate.wait()
        self.batches.append([report.step for report in reports])

    def finish(self, outcome: Outcome) -> None:
        self._call("finish")
        self.outcome = outcome

    @property
    def steps(self) -> list[int]:
        return [step for batch in self.batches for step in batch]

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self._fails_in:
            raise self._error


class TestFile(TrackerContract):
    def make(self) -> Tracker:
        return FileTracker()

    def points(self, run: RunInfo, metric: str) -> list[tuple[int, float]]:
        points = json.loads(copy_of(run).read_text())["points"]
        return sorted((int(step), metrics[metric]) for step, metrics in points.items())

    def copies(self, run: RunInfo) -> int:
        return len(list(run.runs.glob(f"{run.study} {run.name}*.json")))

    def settings(self, run: RunInfo) -> Mapping[str, str]:
        settings: Mapping[str, str] = json.loads(copy_of(run).read_text())["config"]
        return settings


def copy_of(run: RunInfo) -> Path:
    return run.runs / f"{run.study} {run.name.replace('/', ' ')}.json"


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.write_config({"recipe": "quadratic"})
    folder.begin_attempt()
    return folder


@pytest.fixture
def use():
    """Put a tracker of the tests in place of a shipped one."""
    with ExitStack() as stack:

        def put(name: str, *trackers: Tracker) -> None:
            made = iter(trackers)
            stack.enter_context(TRACKERS.substitute(name, lambda **options: next(made)))

        yield put


def trained(path: Path, *overrides: str) -> tuple[RunFolder, Outcome]:
    """A run of three epochs in this process."""
    folder = RunFolder(path)
    folder.write_config(compose(find_recipe("quadratic"), ["training.epochs=3", *overrides]).tree)
    folder.begin_attempt()
    return folder, job.run(folder, redirect=False)


def report(step: int) -> Progress:
    return Progress(1, step, {"val_score": float(step)}, float(step))


def test_a_training_is_copied_while_it_runs(tmp_path, use):
    use("mlflow", FileTracker())
    folder, outcome = trained(tmp_path / "run", "trackers.mlflow={}")
    copy = json.loads(copy_of(run_info(folder)).read_text())
    stored = read_progress(folder.progress)
    assert copy["points"] == {str(p.step): dict(p.metrics) for p in stored}
    assert copy["state"] == outcome.state == "done"


def test_a_failed_training_is_copied_with_its_reason(tmp_path, use):
    use("mlflow", witness := Witness())
    faults = ("faults.kind=error", "faults.epoch=2")
    _, outcome = trained(tmp_path / "run", "trackers.mlflow={}", *faults)
    assert witness.outcome == outcome
    assert "a bug in the recipe" in outcome.reason


@pytest.mark.parametrize("where", ["start", "log", "finish"])
@pytest.mark.parametrize("error", [OSError("the server is gone"), SystemExit(3)])
def test_a_tracker_that_raises_is_switched_off_and_the_run_goes_on(tmp_path, use, where, error):
    _, plain = trained(tmp_path / "plain")
    use("mlflow", broken := Witness(where, error))
    use("wandb", sound := Witness())
    folder, outcome = trained(tmp_path / "run", "trackers.mlflow={}", "trackers.wandb={}")
    assert outcome == folder.read_outcome()
    assert outcome == replace(plain, memory_mib=outcome.memory_mib)  # of a process that had grown
    assert broken.calls.count(where) == 1
    assert broken.calls[-1] == where
    assert sound.steps == [1, 2, 3]
    log = folder.log.read_text()
    assert log.count("tracker mlflow is off for the rest of this run") == 1
    assert f"{type(error).__name__}: {error}" in log
    assert f"tunewright replay {folder.path} --to mlflow" in log
    assert "wandb" not in log


def test_a_tracker_that_hangs_holds_nothing_up(folder):
    hanging = Witness()
    hanging.gate.clear()
    tracking = Tracking(folder, {"mlflow": hanging})
    before = time.monotonic()
    tracking.begin()
    for step in range(1, 100):
        tracking.log(report(step))
    tracking.finish(Outcome("done", 1), patience_seconds=0.05)
    assert time.monotonic() - before < 2.0
    assert "tracker mlflow did not keep up" in folder.log.read_text()
    hanging.gate.set()


def test_a_slow_tracker_gets_several_reports_at_once(folder):
    slow = Witness()
    slow.gate.clear()
    tracking = Tracking(folder, {"mlflow": slow})
    tracking.begin()
    tracking.log(report(1))
    while "log" not in slow.calls:
        time.sleep(0.001)
    for step in range(2, 6):
        tracking.log(report(step))
    slow.gate.set()
    tracking.finish(Outcome("done", 1))
    assert slow.batches == [[1], [2, 3, 4, 5]]
    assert not folder.log.exists()


def test_a_resumed_attempt_begins_with_the_history_up_to_its_checkpoint(folder):
    for attempt, resumed_from, last in ((1, 0, 4), (2, 2, 3)):
        writer = ProgressWriter(folder.progress, attempt, resumed_from)
        for step in range(resumed_from + 1, last + 1):
            writer.write(Progress(attempt, step, {}, 0.0))
        writer.close()
    witness = Witness()
    tracking = Tracking(folder, {"mlflow": witness})
    tracking.begin()
    tracking.finish(Outcome("done", 2))
    assert witness.steps == [1, 2, 3]


def test_a_run_that_failed_before_it_began_is_copied(folder):
    witness = Witness()
    Tracking(folder, {"mlflow": witness}).finish(Outcome("failed", 1, "error", "no such file"))
    assert witness.calls == ["start", "finish"]
    assert witness.outcome.reason == "no such file"


def test_an_abandoned_run_is_left_as_paused(folder):
    witness = Witness()
    tracking = Tracking(folder, {"mlflow": witness})
    tracking.begin()
    tracking.log(report(1))
    tracking.close()
    tracking.close()
    while witness.outcome is None:
        time.sleep(0.001)
    assert (witness.outcome.state, witness.batches) == ("paused", [[1]])


def test_a_folder_that_cannot_be_read_starts_no_tracker(folder):
    folder.config.unlink()
    witness = Witness()
    tracking = Tracking(folder, {"mlflow": witness})
    tracking.begin()
    tracking.log(report(1))
    tracking.finish(Outcome("done", 1))
    assert witness.calls == []
    assert "trackers could not be started" in folder.log.read_text()


def test_a_missing_package_is_refused_with_what_to_type(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "tunewright\[mlflow\]"'):
        require(["mlflow"])


def test_a_mere_folder_of_the_same_name_is_not_the_package(monkeypatch, tmp_path):
    (tmp_path / "nowhere_installed").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="not installed"):
        require(["nowhere_installed"])
    require(["json"])
    require([])


def test_no_tracker_is_the_default_and_one_option_asks_for_one():
    quadratic = find_recipe("quadratic")
    assert compose(quadratic).config.trackers.names == []
    assert make_trackers(TrackersConfig()) == {}
    chosen = compose(quadratic, ["trackers.mlflow.uri=http://host", "trackers.wandb={}"]).config
    assert chosen.trackers.names == ["mlflow", "wandb"]
    assert chosen.trackers.mlflow.uri == "http://host"
    assert chosen.trackers.wandb.mode == "offline"
    assert make_trackers(chosen.trackers).keys() == {"mlflow", "wandb"}


def test_an_unknown_option_is_refused():
    with pytest.raises(ConfigError, match=r"trackers\.mlflow\.urii"):
        compose(find_recipe("quadratic"), ["trackers.mlflow.urii=x"])


def test_the_schema_has_the_options_of_the_trackers():
    assert set(TrackersConfig.model_fields) == set(TRACKERS)
    for name in set(TRACKERS) - {"notebook", "broken"}:  # of the practice plug-in
        section = TrackersConfig.model_validate({name: {}})
        assert getattr(section, name).model_dump() == dict(TRACKERS.options(name))


def test_nothing_heavy_is_imported_to_check_what_is_asked_for():
    code = """
import sys
for name in ("torch", "mlflow", "wandb", "tensorboard"):
    sys.modules[name] = None
import tunewright.training.trackers.tracking
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize(
    ("place", "study", "name"),
    [
        ("search/trials/00074", "search", "00074"),
        ("search/final", "search", "final"),
        ("search/final/seed-3", "search", "final/seed-3"),
        ("alone", "alone", "alone"),
        ("alone/seed-3", "alone", "seed-3"),
    ],
)
def test_a_run_is_named_for_its_place(tmp_path, place, study, name):
    write_json(tmp_path / "search" / "study.yaml", {})
    folder = RunFolder(tmp_path / place)
    folder.write_config({"seed": 1, "optim": {"lr": 0.1}, "trackers": {"mlflow": None}})
    run = run_info(folder)
    assert (run.study, run.name, run.runs) == (study, name, tmp_path)
    assert run.config == {"seed": 1, "optim.lr": 0.1}
    assert abs(run.began - time.time()) < 60.0


def test_trackers_that_failed_are_counted_for_the_end_of_a_study(tmp_path, use):
    use("mlflow", Witness("log"), Witness(), Witness("start"))
    folders = [trained(tmp_path / str(n), "trackers.mlflow={}")[0] for n in range(3)]
    assert trackers_off([*folders, RunFolder(tmp_path / "none")]) == {"mlflow": 2}


def test_a_study_names_trackers_that_failed_again_at_its_end(tmp_path, use, monkeypatch):
    monkeypatch.setattr("tunewright.search.prepare.require", lambda _names: None)
    use("mlflow", Witness("log"), Witness(), Witness("finish"))
    notices: list[str] = []

    class Heard(StudyCallback):
        def notice(self, text: str) -> None:
            notices.append(text)

    tunewright.tune(
        *("quadratic", "executor.type=inline", "study.pruner.type=none", "training.epochs=2"),
        *("study.final=false", "trackers.mlflow={}"),
        trials=3,
        name="one",
        runs_dir=tmp_path,
        watch=Heard(),
    )
    [told] = [text for text in notices if "tracker" in text]
    assert told.startswith("the tracker mlflow failed in 2 of 3 trials, see their log.txt")
    assert told.endswith(f"tunewright replay {tmp_path / 'one'} --to mlflow")
