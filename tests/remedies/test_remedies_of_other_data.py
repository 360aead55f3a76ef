"""What errors about data advise that a study, a run or a space does not fit, followed by hand."""

import shutil
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path

import pytest
from practice.pictures.drawn import CLASSES, draw, draw_set

import tunewright
from before_training import no_training  # noqa: F401
from follow_remedies import Case, follow, run
from mend_as_advised import Advice, obey
from tunewright.request import parse_request
from tunewright.runs.folder import RunFolder
from tunewright.search.prepare import run_part
from untrained_runs import untrained_run

pytestmark = pytest.mark.slow  # each is quick, and they are many
PICTURES = (
    "tune flowers data.image_size=16 model=small --space rates.yaml executor.type=inline "
    "training.epochs=1 study.final=false study.report=false"
)
GO_ON = f"{PICTURES} --trials 2 --name study"
FLOWERS = "tune flowers data.dir=data data.image_size=16 model=small --space space.yaml"
RETINA = "tune retina data.image_size=32 model.embed_dim=16 model.text_width=16 --space space.yaml"
SERVER = "http://localhost:1"


def space(text: str) -> Callable[[], object]:
    return lambda: Path("space.yaml").write_text(f"parameters: {{{text}}}\n")


def begun(folder: str) -> Callable[[], object]:
    return lambda: run(*f"{PICTURES} data.dir={folder} --trials 1 --name study".split())


def change() -> None:
    draw(0, 99).save(Path("data", CLASSES[0], "99.png"))


def restore() -> None:
    Path("data", CLASSES[0], "99.png").unlink()


def several(folder: str) -> None:
    """Write a table of pictures of which some have two labels."""
    Path(folder).mkdir()
    rows = ["file,labels,split"]
    for number in range(18):
        draw(number % 3, number).save(Path(folder, f"{number}.png"))
        labels = CLASSES[number % 3] + (f"|{CLASSES[(number + 1) % 3]}" if number % 2 else "")
        rows.append(f"{number}.png,{labels},{'valid' if number % 4 == 3 else 'train'}")
    Path(folder, "index.csv").write_text("\n".join(rows) + "\n")


def labels_run() -> None:
    """Write a run that gives a picture several labels: it has no accuracy."""
    several("several")
    words = ("data.multi_label=true", "loss.type=asymmetric", "mixing.cutmix_alpha=0")
    untrained_run(Path("runs/labels"), "data.dir=several", *words)


def name_server() -> None:
    """Let the configuration of a run name a server of MLflow's."""
    words = ["quadratic", "executor.type=inline", f"trackers.mlflow.uri={SERVER}"]
    composed = parse_request(words, command="train").composed
    folder = RunFolder(Path("runs/run"))
    folder.write_config(run_part(composed.tree))
    folder.checkpoints.mkdir()


def train_pairs() -> None:
    run("train", "pairs", "training.epochs=1", "executor.type=inline", "--name", "pairs")


TUNED = {
    "steps of as many as the run has": Case(
        f"{RETINA} fidelity=quick warmup=2000", "Set warmup=0.1",
        f"{RETINA} fidelity=quick warmup=0.1",
        space("lr: {low: 1e-5}"),
    ),
    "steps in a space": Case(
        f"{RETINA} fidelity=quick", "Give fractions below 1", "",
        space("warmup: {choices: [300, 500]}"), space("warmup: {choices: [0.1, 0.2]}"),
    ),
    "a range that does not fit": Case(
        RETINA, "Begin lower", "", space("warmup: {type: int, low: 100, high: 2000}"),
        space("warmup: {type: int, low: 5, high: 2000}"),
    ),
    "a range that does not fit, by hand": Case(
        RETINA, "or set warmup by hand", f"{RETINA} warmup=8",
        space("warmup: {type: int, low: 100, high: 2000}"),
    ),
    "choices that do not fit": Case(
        FLOWERS, "Add a choice that fits", "", space("batch_size: {choices: [2048]}"),
        space("batch_size: {choices: [2048, 4]}"),
    ),
    "choices that do not fit, by hand": Case(
        FLOWERS, "or set training.batch_size by hand", f"{FLOWERS} training.batch_size=4",
        space("batch_size: {choices: [2048]}"),
    ),
    "a value that no trial can use": Case(
        f"{FLOWERS} loss.gamma=2", "Leave it out", FLOWERS,
        space("loss.type: {choices: [cross_entropy]}"),
    ),
    "a value that no trial can use, a choice for it": Case(
        f"{FLOWERS} loss.gamma=2", "or choose loss.type", f"{FLOWERS} loss.gamma=2",
        space("loss.type: {choices: [cross_entropy]}"),
        space("loss.type: {choices: [cross_entropy, focal]}"),
    ),
}  # fmt: skip

CASES = {
    "other data": Case(
        f"{GO_ON} data.dir=elsewhere", "Type data.dir=", f"{GO_ON} data.dir=data", begun("data")
    ),
    "other data, another name": Case(
        f"{GO_ON} data.dir=elsewhere", "or choose another --name",
        f"{PICTURES} --trials 1 data.dir=elsewhere --name new", begun("data"),
    ),
    "data that changed": Case(
        f"{GO_ON} data.dir=data", "or restore the original data", "",
        lambda: (begun("data")(), change()), restore,
    ),
    "data that changed, another name": Case(
        f"{GO_ON} data.dir=data", "Choose another --name",
        f"{PICTURES} --trials 1 data.dir=data --name new", lambda: (begun("data")(), change()),
    ),
    "an evaluation on other data": Case(
        "evaluate pairs --data data", "--split train, valid or test",
        "evaluate pairs --split valid",
        train_pairs,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sets of pictures."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        draw_set(Path("data"), (8, 8, 8))
        draw_set(Path("elsewhere"), (7, 8, 9))
        rates = "inherit: false\nparameters: {optim.lr: {type: float, low: 0.001, high: 0.1}}\n"
        Path("rates.yaml").write_text(rates)
    return folder


@pytest.fixture
def here(sandbox, tmp_path, monkeypatch):
    """A copy of it, as the working folder."""
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", TUNED)
def test_the_advice_about_a_space_and_its_data_helps(name, here):
    follow(TUNED[name])


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_other_data_helps(name, here):
    follow(CASES[name])


def test_the_accuracy_of_several_labels(here):
    obey(
        Advice(
            partial(tunewright.evaluate_checkpoint, "labels", "several"),
            "tunewright evaluate RUN --data TESTSET", "evaluate labels --data several", labels_run,
        )
    )  # fmt: skip


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("exported", [True, False])
def test_a_tracker_s_server_that_a_run_names(exported, tmp_path, monkeypatch):
    """Nothing is sent: the training ends before it begins, and the package is empty."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/mlflow.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    again = "train runs/run/config.yaml --name again"
    typed = f"{again} trackers.mlflow.uri={SERVER}"
    obey(
        Advice(
            again, f"export MLFLOW_TRACKING_URI={SERVER}", again if exported else typed,
            name_server,
            lambda: exported and monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER),
        )
    )  # fmt: skip
