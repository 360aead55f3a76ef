"""What errors of `tune`, `train`, `analyze` and `repair` advise, followed by hand."""

import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import chdir, closing
from pathlib import Path

import optuna
import pytest

from follow_remedies import Case, follow, run
from tunewright.errors import TunewrightError

INLINE = "executor.type=inline training.epochs=4"
TUNE = f"tune quadratic {INLINE} study.final=false --trials 3"
GO_ON = f"{TUNE} --name study"
TRAIN = f"train quadratic {INLINE}"


def remove(name: str) -> Callable[[], object]:
    return lambda: Path(name).unlink()


def spoil(name: str) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(b"<html>" * 900)


def move(name: str, other: str) -> Callable[[], object]:
    return lambda: Path(name).rename(other)


def repair() -> None:
    run("repair", "runs/study")


def write(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text, encoding="utf-8")


def optunas(direction: str = "maximize", name: str = "theirs") -> Callable[[], object]:
    """Write a study of Optuna's, with one trial, into theirs.db."""

    def make() -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = optuna.storages.RDBStorage("sqlite:///theirs.db")
        study = optuna.create_study(storage=storage, study_name=name, direction=direction)
        study.add_trial(
            optuna.trial.create_trial(
                params={"x": 0.5},
                distributions={"x": optuna.distributions.FloatDistribution(-1, 1)},
                value=1.0,
            )
        )
        storage.remove_session()
        storage.engine.dispose()

    return make


def drop_table(table: str) -> Callable[[], object]:
    def drop() -> None:
        with closing(sqlite3.connect("runs/study/study.db")) as connection, connection:
            connection.execute(f"DROP TABLE {table}")

    return drop


CASES = {
    "a recipe misspelt": Case(
        f"tune quadratc {INLINE} --trials 1", "Did you mean 'quadratic'?",
        f"tune quadratic {INLINE} --trials 1 study.final=false",
    ),
    "a study misspelt": Case("analyze stduy", "Did you mean 'study'?", "analyze study"),
    "no study named": Case(
        "analyze", "tunewright analyze STUDY", "analyze study",
        lambda: shutil.copytree("runs/study", "runs/other"),
    ),
    "no study yet": Case(
        "analyze --runs-dir there", "Begin one: tunewright tune", "",
        mend=lambda: run(*TUNE.split(), "--runs-dir", "there"),
    ),
    "a study with options": Case(
        "tune --resume study --name other", "tunewright tune --from study --name NEW",
        f"{TUNE} --from study --name other",
    ),
    "a renamed folder": Case(
        "tune --resume other --trials 3", "Rename the folder back to study",
        "tune --resume study --trials 3", move("runs/study", "runs/other"),
        move("runs/other", "runs/study"),
    ),
    "another recipe": Case(
        f"tune tailed {INLINE} study.final=false --trials 1 --name study", "Choose another --name",
        f"tune tailed {INLINE} study.final=false --trials 1 --name new",
    ),
    "another goal": Case(
        f"{GO_ON} goal=val_loss:max", "Choose another --name",
        f"{TUNE} goal=val_loss:max --name new",
    ),
    "other seeds": Case(
        f"{GO_ON} seeds=[1,2]", "Choose another --name", f"{TUNE} seeds=[1,2] --name new"
    ),
    "other constraints": Case(
        f"{GO_ON} \"study.constraints=['memory_mib <= 9000']\"", "Choose another --name",
        f"{TUNE} \"study.constraints=['memory_mib <= 9000']\" --name new",
    ),
    "another configuration": Case(
        f"{GO_ON} training.epochs=5", "tunewright tune --from study --name NEW",
        f"{TUNE} training.epochs=5 --from study --name new",
    ),
    "trials without their database": Case(
        GO_ON, "tunewright repair runs/study", "", remove("runs/study/study.db"), repair
    ),
    "trials without their database, another name": Case(
        GO_ON, "choose another --name", f"{TUNE} --name new", remove("runs/study/study.db")
    ),
    "trials without their database, removed": Case(
        GO_ON, "or remove the folder", "", remove("runs/study/study.db"),
        lambda: shutil.rmtree("runs/study"),
    ),
    "a lost table": Case(
        "analyze study", "tunewright repair", "", drop_table("trial_values"), repair
    ),
    "a lost table of a study that goes on": Case(
        GO_ON, "tunewright repair runs/study", "", drop_table("trial_values"), repair
    ),
    "a journal as a storage": Case(
        f"{TUNE} --name new --storage journal://theirs.log", "sqlite:///study.db",
        f"{TUNE} --name new --storage sqlite:///study.db", write("theirs.log", ""),
    ),
    "a folder for a database": Case(
        f"{TUNE} --name new", "Move it away", "",
        lambda: Path("runs/new/study.db").mkdir(parents=True), lambda: shutil.rmtree("runs/new"),
    ),
    "a folder for a database, elsewhere": Case(
        f"{TUNE} --name new", "or choose another place with --runs-dir",
        f"{TUNE} --name new --runs-dir there",
        lambda: Path("runs/new/study.db").mkdir(parents=True),
    ),
    "a name that leads out": Case(
        f"{TUNE} --name ../new", "Choose a plain --name", f"{TUNE} --name new"
    ),
    "a name that is too long": Case(
        f"{TUNE} --name {'n' * 300}", "Choose another --name", f"{TUNE} --name new"
    ),
    "a storage in memory": Case(
        f"{TUNE} --name new --storage sqlite://", "sqlite:///study.db",
        f"{TUNE} --name new --storage sqlite:///study.db",
    ),
    "a storage that cannot be made": Case(
        f"{TUNE} --name new --storage sqlite:///file/study.db", "Choose another place",
        f"{TUNE} --name new --storage sqlite:///place/study.db", write("file", ""),
    ),
    "a study of another program": Case(
        f"{TUNE} --name theirs --storage sqlite:///theirs.db", "Choose another --name",
        f"{TUNE} --name new --storage sqlite:///theirs.db", optunas(),
    ),
    "a start from another program": Case(
        f"{TUNE} --from theirs.db --name new", "--import theirs.db",
        f"{TUNE} --import theirs.db --name new", optunas(),
    ),
    "another direction": Case(
        f"{TUNE} --import theirs.db --name new", "goal=", f"{TUNE} --import theirs.db --name new "
        "goal=val_score:min", optunas("minimize"),
    ),
    "a study in a database": Case(
        f"{TUNE} --import theirs.db#thiers --name new", "Did you mean 'theirs'?",
        f"{TUNE} --import theirs.db#theirs --name new", optunas(),
    ),
    "an import that comes too late": Case(
        f"{GO_ON} --import theirs.db", "Choose another --name", f"{TUNE} --import theirs.db "
        "--name new", optunas(),
    ),
    "a start from itself": Case(
        f"{GO_ON} --from study", "Choose another --name for the new one",
        f"{TUNE} --from study --name new",
    ),
    "a study as a run": Case(
        "train --resume study", "tunewright tune --resume runs/study", "tune --resume runs/study"
    ),
    "another configuration of a run": Case(
        "train --resume run optim.lr=.5", "tunewright train runs/run/config.yaml",
        "train runs/run/config.yaml optim.lr=.5",
    ),
    "a file without a recipe": Case(
        "train mine.yaml", "tunewright train RECIPE mine.yaml", "train quadratic mine.yaml",
        write("mine.yaml", "executor: {type: inline}\ntraining: {epochs: 2}\n"),
    ),
    "a file named twice": Case(
        "train runs/run/config.yaml --config runs/run/config.yaml", "Name the file once",
        "train runs/run/config.yaml",
    ),
    "a file that is not there": Case(
        "train runs/run/confg.yaml", "Check the path", "train runs/run/config.yaml"
    ),
    "several values": Case(
        f"{TUNE} --name new optim.lr=.1,.2", "--space FILE", f"{TUNE} --name new --space mine.yaml",
        write("mine.yaml", "parameters: {x: {choices: [0.1, 0.2]}}"),
    ),
    "jobs in one process": Case(
        f"{TUNE} --name new --jobs 2", "Leave out --jobs", f"{TUNE} --name new"
    ),
    "memory of one process": Case(
        f"{TUNE} --name new executor.memory_gib=2", "Use executor.type=local",
        f"{TUNE} --name new executor.memory_gib=2 executor.type=local",
    ),
    "a cost as the first goal": Case(
        f"{TUNE} --name new goal=memory_mib", "study.pruner.type=none",
        f"{TUNE} --name new goal=memory_mib study.pruner.type=none",
    ),
    "a grid over any number": Case(
        f"{TUNE} --name new study.sampler.type=grid", "use another study.sampler.type",
        f"{TUNE} --name new study.sampler.type=random",
    ),
    "a grid over any number, listed": Case(
        f"{TUNE} --name new study.sampler.type=grid", "choices or a step in the space",
        f"{TUNE} --name new study.sampler.type=grid --space mine.yaml",
        write("mine.yaml", "inherit: false\nparameters: {x: {choices: [0.1, 0.2, 0.3]}}"),
    ),
    "a flag misspelt": Case(
        f"{TUNE} --name new --trails 3", "Did you mean '--trials'?", f"{TUNE} --name new"
    ),
    "a key misspelt in a file": Case(
        "train quadratic mine.yaml", "Did you mean 'training.epochs'?", "",
        write("mine.yaml", "executor: {type: inline}\ntraining: {epchs: 2}\n"),
        write("mine.yaml", "executor: {type: inline}\ntraining: {epochs: 2}\n"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with a study of two trials and a run of four epochs."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        make_sandbox()
    return folder


def make_sandbox() -> None:
    run(*TUNE.replace("--trials 3", "--trials 2").split(), "--name", "study")
    run(*TRAIN.split(), "--name", "run")


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_study_helps(name, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    follow(CASES[name])


def test_no_query_of_a_damaged_database_is_shown(sandbox, tmp_path, monkeypatch):
    """Optuna logs each statement that fails before it tries another way."""
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    drop_table("trial_values")()
    shown = Records()
    logger = logging.getLogger("optuna.storages._rdb.storage")
    logger.addHandler(shown)
    try:
        with pytest.raises(TunewrightError, match="tunewright repair"):
            run("analyze", "study")
    finally:
        logger.removeHandler(shown)
    assert shown.texts == []


class Records(logging.Handler):
    """The texts that were logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
