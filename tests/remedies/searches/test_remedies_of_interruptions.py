"""What is advised when something is stopped, or when the machine stands in the way."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from practice.quadratic import recipe as quadratic

import tunewright
from follow_remedies import Case, follow, run
from tunewright.errors import DataError, NotWritten, RunError, StudyError, TunewrightError
from tunewright.executors import forkserver
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import read_json, write_text
from tunewright.runs.cache import cache_folder
from tunewright.runs.folder import RunFolder
from tunewright.search import evaluate_run as evaluation
from tunewright.search.callbacks import StudyCallback
from tunewright.search.storage.database import stored_settings
from tunewright.search.transfer.publish import publish
from tunewright.training import checkpoint
from tunewright.training.checkpoint import load_weights

QUICK = ("executor.type=inline", "training.epochs=4")
TUNE = ("study.report=false", "study.final=false")


class Stop(StudyCallback):
    """Stops what runs at its first event."""

    def __init__(self, how: Callable[[], None]) -> None:
        self.how = how

    def on_trial_end(self, *_: object) -> None:
        self.how()

    def on_epoch(self, *_: object) -> None:
        self.how()


def ask() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", [ask, interrupt])
def test_a_stopped_training_resumes(how, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TunewrightError, match="Run the same command again to resume"):
        tunewright.train("quadratic", *QUICK, watch=Stop(how))
    [trained] = tunewright.train("quadratic", *QUICK).folders
    assert trained.path == tmp_path / "runs/train-quadratic"
    assert trained.read_outcome().state == "done"


def test_a_stopped_search_resumes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("quadratic", *QUICK, *TUNE)
    with pytest.raises(TunewrightError, match="the total stays 3 trials"):
        tunewright.tune(*words, trials=3, watch=Stop(ask))
    assert len(tunewright.tune(*words, trials=3).record.own) == 3


def test_a_study_that_another_process_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tuned = tunewright.tune("quadratic", *QUICK, *TUNE, trials=1, name="study")
    url = f"sqlite:///{tuned.folder.database}"
    settings = stored_settings(url, "study")
    with pytest.raises(StudyError, match="Run the same command again"):
        publish(url, "lost", settings, [], {}, former="older")  # gone since it was looked up
    publish(url, "lost", settings, [], {})


def test_an_evaluation_that_fails_is_repeated(tmp_path, monkeypatch):
    """The training is not repeated with it."""
    folder, config = RunFolder(tmp_path / "a run"), quadratic.QuadraticConfig()
    failed = RunError("no memory")

    def fail(*_: object, **__: object) -> None:
        raise failed

    monkeypatch.setattr(evaluation, "call", fail)
    known = find_recipe("pictures")
    with pytest.raises(RunError) as refused:
        evaluation.evaluate_run(known, folder, config, "test")
    assert f"tunewright evaluate '{folder.path}' --split test" in refused.value.remedy
    with pytest.raises(RunError) as refused:
        evaluation.evaluate_run_on(known, folder, config, tmp_path, lambda *_: None)
    assert f"tunewright evaluate '{folder.path}' --data {tmp_path}" in refused.value.remedy


CASES = {
    "an outcome of a run that is a folder": Case(
        "report run", "move it away", "", lambda: turn_into_folder("runs/run/outcome.json"),
        lambda: Path("runs/run/outcome.json").rename("away"),
    ),
    "progress that is a folder": Case(
        "report run", "move it away", "", lambda: turn_into_folder("runs/run/progress.jsonl"),
        lambda: Path("runs/run/progress.jsonl").rename("away"),
    ),
    "a report that is a folder": Case(
        "report run", "Move away what is in its place", "",
        lambda: Path("runs/run/report.html").mkdir(), Path("runs/run/report.html").rmdir,
    ),
    "a configuration in another encoding": Case(
        "report run", "Save it again with this encoding", "",
        lambda: save_configuration("latin-1"), lambda: save_configuration("utf-8"),
    ),
    "a tracker that fails": Case(
        "replay run --to notebook file=notes/copy.json", "Run the same command again", "",
        mend=lambda: Path("runs/run/notes").mkdir(),
    ),
    "nothing that finished": Case(
        "tune quadratic executor.type=inline --trials 9 --timeout 1e-9 --name new",
        "tunewright analyze", "analyze new",
    ),
}  # fmt: skip


def save_configuration(encoding: str) -> None:
    """Save the configuration of the run with a comment that is not ASCII."""
    lines = Path("runs/run/config.yaml").read_bytes().splitlines(keepends=True)
    comment = "# le réseau\n".encode(encoding)
    kept = [line for line in lines if not line.startswith(b"# le ")]
    Path("runs/run/config.yaml").write_bytes(b"".join([comment, *kept]))


def turn_into_folder(name: str) -> None:
    Path(name).unlink()
    Path(name).mkdir()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with a study and a run."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        run("tune", "quadratic", *QUICK, *TUNE, "--trials", "2", "--name", "study")
        run("train", "quadratic", *QUICK, "--name", "run")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_file_of_a_run_helps(name, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    follow(CASES[name])


def test_an_outcome_that_is_a_folder_is_repaired(sandbox, tmp_path):
    shutil.copytree(sandbox / "runs/study", tmp_path / "study")
    outcome = tmp_path / "study/trials/00000/outcome.json"
    outcome.unlink()
    outcome.mkdir()
    with pytest.raises(DataError, match="tunewright repair STUDY"):
        read_json(outcome)
    run("repair", str(tmp_path / "study"))
    read_json(outcome)


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "there").touch()
    with pytest.raises(NotWritten, match="Move away what is in its place"):
        write_text(tmp_path / "there" / "file", "text")
    (tmp_path / "there").rename(tmp_path / "away")
    write_text(tmp_path / "there" / "file", "text")


def test_weights_that_were_not_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("blobs", "executor.type=inline", "training.epochs=1")
    [bare] = tunewright.train(*words, "training.keep_best=0", name="bare").folders
    with pytest.raises(DataError, match="tunewright train CONFIG"):
        load_weights(bare.checkpoints / "best.safetensors")
    [kept] = tunewright.train(str(bare.config), "training.keep_best=1", name="kept").folders
    assert load_weights(kept.checkpoints / "best.safetensors")


def test_weights_on_a_full_disk(tmp_path):
    """Torch says it in its own way."""

    def full(_place: Path) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    with pytest.raises(DataError, match="Check whether the disk is full"):
        checkpoint._write(tmp_path / "best.safetensors", full)
    checkpoint._write(tmp_path / "best.safetensors", lambda place: place.write_text("weights"))


def test_a_cache_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "file"))
    with pytest.raises(NotWritten, match="a folder that you may write, or unset it"):
        cache_folder()
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("TUNEWRIGHT_CACHE")
    assert cache_folder().is_dir()


def test_a_cache_in_a_folder_that_others_write(tmp_path, monkeypatch):
    monkeypatch.delenv("TUNEWRIGHT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null/home")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shared = tmp_path / f"tunewright-{os.geteuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(NotWritten, match="set HOME, TUNEWRIGHT_CACHE or TMPDIR"):
        cache_folder()
    for variable in ("HOME", "TUNEWRIGHT_CACHE"):
        with monkeypatch.context() as patched:
            patched.setenv(variable, str(tmp_path / "own"))
            assert cache_folder().is_relative_to(tmp_path / "own")
    shared.rmdir()
    assert cache_folder() == shared


def test_a_worker_that_cannot_be_started(tmp_path, monkeypatch):
    """Sockets lie in the temporary folder, and their paths may have 107 bytes."""
    faults: list[type[Exception]] = [EOFError] * forkserver.ATTEMPTS

    def start(*_: object) -> str:
        if len(tempfile.gettempdir()) > 90:
            raise OSError("AF_UNIX path too long")
        if faults:
            raise faults.pop()
        return "started"

    monkeypatch.setattr(forkserver, "_start", start)
    monkeypatch.setattr(forkserver, "PAUSE_SECONDS", 0.0)
    with pytest.raises(RunError, match="the same command resumes"):
        forkserver.start_process(print, name="one")
    assert forkserver.start_process(print, name="one") == "started"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    with pytest.raises(RunError, match="Set TMPDIR to a shorter one, such as /tmp"):
        forkserver.start_process(print, name="one")
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    assert forkserver.start_process(print, name="one") == "started"
