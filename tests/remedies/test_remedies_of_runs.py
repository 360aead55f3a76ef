"""What errors of `predict`, `submit`, `evaluate`, `ensemble` and `export` advise, followed by hand.

A case types a command, is refused, does what the remedy says and types the command, or the one that
the remedy names.
"""

import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set, draw_test
from practice.pictures.made import made_run
from practice.pictures.recipe import PicturesModel

from follow_remedies import Case, follow, run

TEST = "--data test"


def spoil(name: str) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(b"<html>")


def put(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text, encoding="utf-8", newline="")


def predicted(*more: str) -> Callable[[], object]:
    return lambda: run("predict", "one", "--data", "test", *more)


def altered(change: Callable[[str], str], name: str = "predictions.csv") -> Callable[[], object]:
    """Predict, then change the file."""

    def alter() -> None:
        predicted()()
        text = Path(name).read_text(encoding="utf-8")
        Path(name).write_text(change(text), encoding="utf-8", newline="")

    return alter


def joined(*words: str) -> Callable[[], object]:
    return lambda: run("ensemble", "one", "two", *words)


def no_images(text: str) -> str:
    return "\n".join(text.split("\n")[:-2]) + "\n"


IDS = [f"img_{number}.png" for number in range(6)]
CASES = {
    "a run misspelt": Case(f"predict oen {TEST}", "Did you mean 'one'?", f"predict one {TEST}"),
    "no test set": Case("predict one", "--data DIR", f"predict one {TEST}"),
    "a folder beside the run": Case(
        "predict one test", "predicted with --data test", f"predict one {TEST}"
    ),
    "two outputs in one file": Case(
        f"predict one {TEST} --output p.csv --probabilities p.csv", "Choose another name",
        f"predict one {TEST} --output p.csv --probabilities q.csv",
    ),
    "several labels in a row": Case(
        f"predict one {TEST} --top 2", "Add --form top-k",
        f"predict one {TEST} --top 2 --form top-k",
    ),
    "a threshold": Case(
        f"predict one {TEST} --threshold .5", "Leave it out", f"predict one {TEST}"
    ),
    "a threshold, as shares": Case(
        f"predict one {TEST} --form zero-one", "--form probabilities",
        f"predict one {TEST} --form probabilities",
    ),
    "a picture that is not there": Case(
        "predict one photo.png", "Check the path", "predict one test/img_0.png"
    ),
    "a broken picture": Case(
        f"predict one {TEST}", "use --skip-bad", f"predict one {TEST} --skip-bad",
        spoil("test/img_1.png"),
    ),
    "a broken picture, replaced": Case(
        f"predict one {TEST}", "Replace the files", "", spoil("test/img_1.png"),
        lambda: shutil.copy("test/img_0.png", "test/img_1.png"),
    ),
    "a view misspelt": Case(
        f"predict one {TEST} --views hflpi --force", "Did you mean 'hflip'?",
        f"predict one {TEST} --views hflip --force",
    ),
    "a view": Case(
        f"predict one {TEST} --views mirrored --force", "--views hflip,vflip,rotate=5",
        f"predict one {TEST} --views hflip,vflip,rotate=5 --force",
    ),
    "another setting": Case(
        f"predict one training.epochs=3 {TEST}", "come from its training", f"predict one {TEST}"
    ),
    "ids of categories": Case(
        f"predict one {TEST} --category-ids", "Leave out --category-ids", f"predict one {TEST}"
    ),
    "what a template asks for": Case(
        f"predict one {TEST} --like form.csv", "--form labels",
        f"predict one {TEST} --like form.csv --form labels",
        put("form.csv", "id,answer\n" + "".join(f"{name},what ever\n" for name in IDS)),
    ),
    "a template of another set": Case(
        f"predict one {TEST} --like form.csv", "--data DIR",
        "predict one --data few --like form.csv",
        lambda: (put("form.csv", "id,label\nimg_0.png,red\n")(), Path("few").mkdir(),
                 shutil.copy("test/img_0.png", "few")),
    ),
    "a template without the classes": Case(
        f"predict one {TEST} --like form.csv --form probabilities", "--form labels",
        f"predict one {TEST} --like form.csv --form labels",
        put("form.csv", "id,label\n" + "".join(f"{name},red\n" for name in IDS)),
    ),
    "nothing to submit": Case(
        "submit one", "tunewright predict runs/one --data DIR --output predictions.csv", "",
        mend=lambda: run("predict", "runs/one", "--data", "test", "--output", "predictions.csv"),
    ),
    "a byte order mark": Case(
        "submit one", "Write it with tunewright predict", "", altered(lambda text: f"\ufeff{text}"),
        predicted(),
    ),
    "a row too few": Case(
        f"submit one {TEST}", "tunewright predict RUN --data DIR --output", "", altered(no_images),
        predicted("--output", "predictions.csv"),
    ),
    "another header": Case(
        f"submit one {TEST} --predictions shares.csv", "name its sample submission with --like",
        f"submit one {TEST} --predictions shares.csv --like form.csv",
        lambda: (put("form.csv", "id,blue,green,red\n" + "".join(f"{i},,,\n" for i in IDS))(),
                 predicted("--like", "form.csv", "--output", "shares.csv")(), predicted()()),
    ),
    "rows of another form": Case(
        f"submit one {TEST} --predictions shares.csv --like form.csv", "redict again",
        "", lambda: (put("form.csv", "id,label\n" + "".join(f"{i},red\n" for i in IDS))(),
                     put("shares.csv", "id,label\n" + "".join(f"{i},mauve\n" for i in IDS))()),
        lambda: run("predict", "one", "--data", "test", "--like", "form.csv", "--output",
                    "shares.csv"),
    ),
    "a damaged archive": Case(
        "submit one --verify-only", "Pack it again: tunewright submit RUN", "",
        lambda: (predicted()(), spoil("submission.zip")()), lambda: run("submit", "one"),
    ),
    "a format misspelt": Case(
        "export one --to safetensor", "Did you mean 'safetensors'?", "export one --to safetensors"
    ),
    "an ensemble as weights": Case(
        "export ensemble", "or name one of them: runs/one", "export runs/one", joined()
    ),
    "one run is no ensemble": Case(
        "ensemble one", "and name their folders here", "ensemble runs/one runs/two"
    ),
    "a method misspelt": Case(
        "ensemble one two --method gredy", "Did you mean 'greedy'?",
        "ensemble one two --method greedy",
    ),
    "weights of two architectures": Case(
        "ensemble one wide --method soup", "--method mean", "ensemble one wide --method mean"
    ),
    "an ensemble measured": Case(
        "evaluate ensemble", "evaluate its runs one by one", "evaluate one", joined()
    ),
    "a run named twice": Case(
        "evaluate one --checkpoint runs/two", "Leave one out", "evaluate --checkpoint runs/two"
    ),
    "a recipe and another run": Case(
        "evaluate flowers --checkpoint runs/two", "Leave flowers out",
        "evaluate --checkpoint runs/two",
    ),
    "another checkpoint": Case(
        "evaluate runs/one/checkpoints/last.pt", "or the run folder", "evaluate runs/one",
        spoil("runs/one/checkpoints/last.pt"),
    ),
    "a checkpoint that is not there": Case(
        "evaluate best.safetensors", "Leave the name out to use the newest run", "evaluate"
    ),
    "weights of another program": Case(
        "evaluate mine.safetensors", "model.weights=FILE", "evaluate one", spoil("mine.safetensors")
    ),
    "another folder of runs": Case(
        f"predict {TEST} --runs-dir there", "set the folder of runs with --runs-dir",
        f"predict {TEST} --runs-dir runs",
    ),
    "unknown classes": Case(
        "evaluate one --data other", "Name the folders", "",
        lambda: (shutil.copytree("data/red", "other/rouge"),
                 shutil.copytree("data/blue", "other/bleu")),
        lambda: (Path("other/rouge").rename("other/red"), Path("other/bleu").rename("other/blue")),
    ),
    "pictures that moved": Case(
        "evaluate one", "Check the path", "", lambda: Path("data").rename("elsewhere"),
        lambda: Path("elsewhere").rename("data"),
    ),
    "a class that was added": Case(
        "evaluate one", "Check that data and model have the same classes", "",
        lambda: shutil.copytree("data/red", "data/pink"), lambda: shutil.rmtree("data/pink"),
    ),
    "a model misspelt": Case(
        "models resnt18", "Did you mean resnet18", "models resnet18"
    ),
    "a model unknown": Case("models xyzzy", "tunewright models lists some", "models"),
    "a level misspelt": Case(
        "augment flowers data.dir=data --level medum", "Did you mean 'medium'?",
        "augment flowers data.dir=data --level medium",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with three runs, one of them of another width, their data, and a test set."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        make_sandbox()
    return folder


def make_sandbox() -> None:
    draw_set(Path("data"), (10, 9, 8))
    draw_test(Path("test"), 6)
    for seed, name in enumerate(("one", "two")):
        made_run(Path("runs", name), Path("data"), seed=seed, steps=2)
    made_run(Path("runs/wide"), Path("data"), steps=2, model=PicturesModel(width=12))


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_run_helps(name, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    for config in (tmp_path / "here/runs").glob("*/config.yaml"):
        config.write_text(config.read_text().replace(str(sandbox), str(tmp_path / "here")))
    monkeypatch.chdir(tmp_path / "here")
    follow(CASES[name])
