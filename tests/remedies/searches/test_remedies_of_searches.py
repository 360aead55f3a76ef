"""What errors in the middle of a search or a training advise, and about damaged storages."""

import shlex
import shutil
import sqlite3
import sys
import warnings
from collections.abc import Callable
from contextlib import chdir, closing
from pathlib import Path

import optuna
import optuna.cli
import pytest
import yaml

from before_training import no_training  # noqa: F401
from follow_remedies import Case, follow, run
from tunewright.errors import RunError
from tunewright.search.loop.lease import FolderLock

pytestmark = pytest.mark.slow  # each is quick, and they are many
INLINE = "executor.type=inline study.report=false study.final=false"
TUNE = f"tune quadratic {INLINE} --trials 2"
SQL = Path(__file__).parents[2] / "fixtures/optuna_2.10.1.sql"


def put(name: str, text: str) -> Callable[[], object]:
    def write() -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)

    return write


def execute(statement: str) -> Callable[[], None]:
    """Execute a statement in the study's database."""

    def change() -> None:
        with closing(sqlite3.connect("runs/study/study.db")) as connection, connection:
            connection.execute(statement)

    return change


def stored(key: str, value: object) -> Callable[[], None]:
    """Change a setting in the file of the study."""

    def change() -> None:
        file = Path("runs/study/study.yaml")
        tree = yaml.safe_load(file.read_text())
        *path, last = key.split(".")
        inner = tree
        for name in path:
            inner = inner.setdefault(name, {}) or {}
        inner[last] = value
        file.write_text(yaml.safe_dump(tree))

    return change


def old_database() -> None:
    with closing(sqlite3.connect("old.db")) as connection:
        connection.executescript(SQL.read_text())


def upgrade() -> None:
    """Run the command of Optuna that the remedy names."""
    url = f"sqlite:///{Path('old.db').absolute()}"
    words = sys.argv
    sys.argv = ["optuna", "storage", "upgrade", "--storage", url]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Optuna, on the old names in its file
            optuna.cli.main()
    finally:
        sys.argv = words
        optuna.logging.set_verbosity(optuna.logging.ERROR)


def two_goals() -> None:
    put("runs/other/space.yaml", "")()


CASES = {
    # Studies that exist.
    "other seeds": Case(
        f"{TUNE} --name study --seeds 2", "Choose another --name", f"{TUNE} --name new --seeds 2"
    ),
    "a value in a database": Case(
        "analyze study", "tunewright repair runs/study", "",
        execute("UPDATE trial_params SET distribution_json = '{'"),
        lambda: run("repair", "runs/study"),
    ),
    "a lost table": Case(
        f"{TUNE} --name study --trials 3", "tunewright repair runs/study", "",
        execute("DROP TABLE trial_values"), lambda: run("repair", "runs/study"),
    ),
    "tables of an older Optuna": Case(
        f"{TUNE} --name new --storage sqlite:///old.db",
        "optuna storage upgrade --storage sqlite:///old.db",
        "",
        old_database, upgrade,
    ),
    "neither settings nor database": Case(
        "repair runs/study", "another --name", f"{TUNE} --name new",
        lambda: (put("runs/study/study.yaml", "")(), Path("runs/study/study.db").unlink()),
    ),
    "a server that a file names": Case(
        "analyze study", "--storage runs/study/study.db, and pass that --storage",
        "analyze study --storage runs/study/study.db",
        stored("storage", "postgresql://localhost:1/x"),
        lambda: run("repair", "runs/study", "--storage", "runs/study/study.db"),
    ),
    "a study without its folder": Case(
        "analyze runs/study/study.db --save-configs", "analyze runs/STUDY --save-configs",
        "analyze runs/study --save-configs",
    ),
    "no trial that fits": Case(
        f"{TUNE} --name new --import trials.csv", "tunewright space quadratic", "space quadratic",
        put("trials.csv", "point.x,value\n99,1\n"),
    ),
    # Folders that cannot be used.
    "a lock that cannot be made": Case(
        f"{TUNE} --name new", "another place with --runs-dir",
        f"{TUNE} --name new --runs-dir there",
        lambda: (Path("runs/new").mkdir(), Path("runs/new/lease").touch()),
    ),
    "a lock that cannot be written": Case(
        f"{TUNE} --name new", "the same command then resumes", "",
        lambda: (Path("runs/new").mkdir(), Path("runs/new/lease").symlink_to("/proc/self/fd")),
        Path("runs/new/lease").unlink,
    ),
    "a database behind a link to itself": Case(
        f"{TUNE} --name new --storage sqlite:///loop/study.db", "Name another place",
        f"{TUNE} --name new --storage sqlite:///place/study.db",
        lambda: Path("loop").symlink_to("loop"),
    ),
    # Trials and runs that fail.
    "trials that all fail": Case(
        f"{TUNE} --name new faults.kind=error", "tunewright analyze", "analyze new"
    ),
    "a plan that does not train": Case(
        f"plan quadratic faults.kind=error {INLINE}", "tunewright train with the same arguments",
        f"plan quadratic faults.kind=none {INLINE}",
        mend=lambda: refused(f"train quadratic faults.kind=error {INLINE}", "on the terminal"),
    ),
    "a plan that lacks memory": Case(
        f"plan quadratic 'faults.kind=out of device memory' {INLINE}", "fewer --jobs",
        f"plan quadratic faults.kind=none {INLINE} --jobs 1",
    ),
    "a training without a learning rate to find": Case(
        "lr-find quadratic", "tunewright tune", f"{TUNE} --name new"
    ),
    "a run that kept no state": Case(
        "train --resume bare training.epochs=2", "training.epochs=2 training.keep_last=1",
        "train runs/bare/config.yaml training.epochs=2 training.keep_last=1",
    ),
    "a run that ended early": Case(
        "train --resume early training.epochs=60", "Add training.patience=2",
        "train --resume early training.epochs=60 training.patience=2",
    ),
    "a run that ended early, without an early end": Case(
        "train --resume early training.epochs=60", "training.patience=null",
        "train --resume early training.epochs=60 training.patience=null",
    ),
    "a checkpoint of something else": Case(
        "train --resume kept training.epochs=2", "Remove it", "",
        lambda: spoil_checkpoint("kept"),
        lambda: [f.unlink() for f in Path("runs/kept/checkpoints").glob("last*")],
    ),
}  # fmt: skip


def spoil_checkpoint(name: str) -> None:
    import torch

    [file] = Path("runs", name, "checkpoints").glob("last.pt")
    torch.save({"epoch": 1, "model": {}}, file)


def refused(line: str, said: str) -> None:
    """Type a training that fails; it tells where its output is."""
    with pytest.raises(RunError, match=said):
        run(*shlex.split(line))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with a study of two trials and three runs of a small network."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        run(*TUNE.split(), "--name", "study")
        train = "train blobs executor.type=inline training.epochs=1"
        run(*train.split(), "training.keep_last=0", "--name", "bare")
        run(*train.split(), "--name", "kept")
        early = "training.epochs=50 training.patience=1 optim.lr=1e-9 training.min_delta=9"
        run(*train.split()[:-1], *early.split(), "--name", "early")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_search_helps(name, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    follow(CASES[name])


@pytest.mark.parametrize("instead", ["", f"{TUNE} --name new"])
def test_a_study_that_another_process_holds(instead, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    lock = FolderLock(Path("runs/study"))
    said = "choose another --name" if instead else "Wait for it"
    follow(Case(f"{TUNE} --name study", said, instead, mend=lambda: instead or lock.release()))
    if instead:
        lock.release()
