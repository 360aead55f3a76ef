"""A training in full goes through the coordinator's loop: reports, pauses, and what is retried."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

import tunewright
from tunewright.config.compose import compose
from tunewright.errors import RunError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest
from tunewright.search.callbacks import StudyCallback
from tunewright.search.signals import Interrupted
from tunewright.search.stages import train
from tunewright.search.training_run import TrainResult
from tunewright.training.reporter import Reporter

WORKERS = ("executor.type=local", "executor.threads=1", "study.jobs=2")


class Recorder(StudyCallback):
    """Keeps the notices, and the epochs with how many lines their run had reported by then."""

    def __init__(self, run: Path) -> None:
        self.run = RunFolder(run)
        self.notices: list[str] = []
        self.epochs: list[tuple[int, int]] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def on_epoch(
        self, epoch: int, epochs: int, metrics: Mapping[str, float], seconds: float
    ) -> None:
        self.epochs.append((epoch, len(read_progress(self.run.progress))))


def trained(runs: Path, *overrides: str, watch: StudyCallback | None = None) -> TrainResult:
    recipe = find_recipe("quadratic")
    return train(recipe, compose(recipe, list(overrides)), name="run", runs=runs, watch=watch)


def test_a_training_in_this_process_shows_each_epoch_when_it_ends(tmp_path: Path) -> None:
    watch = Recorder(tmp_path / "run")
    trained(tmp_path, "executor.type=inline", watch=watch)
    assert watch.epochs == [(epoch, epoch) for epoch in range(1, 9)]


def test_a_signal_pauses_every_seed_and_the_same_command_resumes_them(tmp_path: Path) -> None:
    class Signals(Recorder):
        sent = False

        def on_epoch(self, *_arguments: object) -> None:
            if not self.sent:
                self.sent = True
                os.kill(os.getpid(), signal.SIGTERM)

    words = [*WORKERS, "seeds=[1,2]", "epoch_seconds=0.2"]
    watch = Signals(tmp_path / "run")
    with pytest.raises(Interrupted, match="resume from its last checkpoint"):
        trained(tmp_path, *words, watch=watch)
    assert [text for text in watch.notices if text.startswith("stopping: saving")]
    folders = [RunFolder(tmp_path / "run" / f"seed-{seed}") for seed in (1, 2)]
    for folder in folders:
        outcome = folder.read_outcome()
        assert outcome is not None
        assert outcome.state == "paused"
    assert not (tmp_path / "run/seeds.json").exists()
    found = trained(tmp_path, *words)
    assert [folder.attempt for folder in found.folders] == [2, 2]
    assert (tmp_path / "run/seeds.json").exists()


def test_a_worker_that_dies_once_is_announced_and_resumed(tmp_path: Path) -> None:
    watch = Recorder(tmp_path / "run")
    found = trained(
        tmp_path, *WORKERS, "faults.kind='signal 9'", "faults.epoch=3", "faults.first_attempts=1",
        watch=watch,
    )  # fmt: skip
    assert "killed by signal 9; resuming from its last checkpoint" in watch.notices
    assert found.folders[0].attempt == 2


def test_a_seed_that_fails_ends_the_training_and_leaves_the_others_to_the_next_call(
    tmp_path: Path,
) -> None:
    words = [*WORKERS, "seeds=[1,2]", "faults.kind=error", "faults.first_attempts=1"]
    with pytest.raises(RunError, match=r"seed-[12] failed \(error\): .*a bug in the recipe"):
        trained(tmp_path, *words)
    assert len(trained(tmp_path, *words).scores) == 2


def test_the_notices_of_a_final_training_are_shown_as_those_of_trials_are(tmp_path: Path) -> None:
    def describes(params: Mapping[str, float], report: object) -> dict[str, object]:
        return {"value": params["x"], "name": "a text"}

    watch = Recorder(tmp_path / "texts")
    tunewright.tune(
        describes, {"x": {"type": "float", "low": 0.0, "high": 1.0}}, "executor.type=inline",
        "study.final=true", trials=1, name="texts", runs_dir=tmp_path, watch=watch,
    )  # fmt: skip
    shown = [text for text in watch.notices if "not a number" in text]
    assert shown == [f"trial 0: {shown[-1]}", shown[-1]]


def test_a_signal_in_the_middle_of_an_epoch_in_this_process_saves_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Reporter.request

    def request(self: Reporter) -> EndRequest | None:
        if len(read_progress(self.folder.progress)) == 1:  # in the second epoch
            os.kill(os.getpid(), signal.SIGUSR1)
            self._polled = 0.0
        return asked(self)

    monkeypatch.setattr(Reporter, "request", request)
    recipe = find_recipe("blobs")
    words = ["executor.type=inline", "training.epochs=9", "training.checkpoint_seconds=0.0"]
    with pytest.raises(Interrupted):
        train(recipe, compose(recipe, words), name="run", runs=tmp_path)
    folder = RunFolder(tmp_path / "run")
    assert [report.step for report in read_progress(folder.progress)] == [1]
    assert (folder.checkpoints / "last.pt").exists()
