"""What errors about trained classifiers advise, followed by hand: predictions, contests, exports.

The runs are untrained: what they predict does not matter.
"""

import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from practice.pictures.drawn import CLASSES, draw, draw_set, draw_test
from practice.pictures.made import made_run

from follow_remedies import Case, follow, run
from tunewright.runs.folder import RunFolder
from untrained_runs import untrained_run

pytestmark = pytest.mark.slow  # each is quick, and they are many
TEST = "--data test"
IDS = [f"img_{number}.png" for number in range(6)]


def put(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text, encoding="utf-8", newline="")


def template(name: str, header: str, cell: str = "", rows: tuple[str, ...] = tuple(IDS)):
    """Write a sample submission of these ids."""
    cells = "," + ",".join([cell] * header.count(","))
    return put(name, f"{header}\n" + "".join(f"{row}{cells}\n" for row in rows))


def typed(*lines: str) -> Callable[[], object]:
    return lambda: [run(*line.split()) for line in lines]


def both(*steps: Callable[[], object]) -> Callable[[], object]:
    return lambda: [step() for step in steps]


def delete(name: str) -> Callable[[], object]:
    return lambda: Path(name).unlink()


def edited(name: str, change: Callable[[dict], object]) -> Callable[[], object]:
    """Change the configuration of a run."""

    def edit() -> None:
        file = RunFolder(Path("runs", name)).config
        tree = yaml.safe_load(file.read_text())
        change(tree)
        file.write_text(yaml.safe_dump(tree))

    return edit


def moved(tree: dict) -> None:
    tree["data"]["dir"] = str(Path("pictures").absolute())


def without(*names: str) -> Callable[[], object]:
    """Pack a submission, and take files out of it."""

    def pack() -> None:
        typed(f"predict one {TEST}", "submit one")()
        with zipfile.ZipFile("submission.zip") as whole:
            kept = {n: whole.read(n) for n in whole.namelist() if n not in names}
        with zipfile.ZipFile("submission.zip", "w") as archive:
            for name, content in kept.items():
                archive.writestr(name, content)

    return pack


def undecodable() -> None:
    shutil.copy("test/img_0.png", "test/p\udcff.png")


def decodable() -> None:
    Path("test/p\udcff.png").rename("test/p.png")


CASES = {
    # Runs and their files.
    "a file of classes": Case(
        f"predict one {TEST}", "Delete the file", "",
        put("runs/one/classes.json", '{"classes": []}'),
        delete("runs/one/classes.json"),
    ),
    "a file of thresholds": Case(
        f"predict several {TEST}", "Delete the file on a machine with the training data", "",
        both(put("runs/several/thresholds.json", '{"thresholds": {}}'),
             lambda: Path("labels").rename("away")),
        both(delete("runs/several/thresholds.json"), lambda: Path("away").rename("labels")),
    ),
    "pictures of another training": Case(
        "evaluate one", "restore the old data", "",
        lambda: shutil.copytree("data/red", "data/pink"),
        lambda: shutil.rmtree("data/pink"),
    ),
    "pictures that are gone": Case(
        "evaluate one", "Restore them", "", lambda: Path("data").rename("pictures"),
        lambda: Path("pictures").rename("data"),
    ),
    "pictures elsewhere": Case(
        "evaluate one", "set data.dir to their new place", "",
        lambda: Path("data").rename("pictures"), edited("one", moved),
    ),
    "weights that are gone": Case(
        f"predict one {TEST}", "Other runs have other names", f"predict train-one {TEST}",
        both(lambda: shutil.copytree("runs/one", "runs/train-one"),
             lambda: shutil.rmtree("runs/one/checkpoints")),
    ),
    "a training that ended early": Case(
        f"predict fresh {TEST}", "Run the command that started it again", "",
        lambda: untrained_weights("fresh", gone=True),
        lambda: untrained_weights("fresh", gone=False),
    ),
    # Several runs.
    "runs of other pictures": Case(
        "ensemble one fold", "the same data, val_split, split_seed and fold", "ensemble one two"
    ),
    "runs of one label and of several": Case(
        "ensemble one several", "models of one kind", "ensemble one two"
    ),
    "runs of other classes": Case(
        "ensemble one sides", "trained on the same labels", "ensemble one two"
    ),
    "runs of other windows": Case(
        "ensemble one window", "trained with one window", "ensemble one two"
    ),
    "views that cannot be judged": Case(
        f"predict one {TEST} --views hflip", "Use --force",
        f"predict one {TEST} --views hflip --force",
        lambda: shutil.rmtree("data"),
    ),
    "views that harm": Case(
        "predict mirrored --data sides/left --tta", "or --force",
        "predict mirrored --data sides/left --tta --force",
    ),
    "views that harm, left out": Case(
        "predict mirrored --data sides/left --tta", "Leave them out",
        "predict mirrored --data sides/left"
    ),
    # Forms of predictions.
    "an adjustment of several labels": Case(
        f"predict several {TEST} --logit-adjustment 1", "--threshold",
        f"predict several {TEST} --threshold .4",
    ),
    "blanks in a row of labels": Case(
        f"predict spaced {TEST} --form top-k", "--form probabilities",
        f"predict spaced {TEST} --form probabilities",
    ),
    "blanks in a row of labels, one a picture": Case(
        f"predict spaced {TEST} --form top-k", "--form labels",
        f"predict spaced {TEST} --form labels"
    ),
    "a separator in a class": Case(
        f"predict marked {TEST}", "--form zero-one", f"predict marked {TEST} --form zero-one"
    ),
    "a separator in a class, as shares": Case(
        f"predict marked {TEST}", "--form probabilities",
        f"predict marked {TEST} --form probabilities"
    ),
    "a template of another run": Case(
        f"predict one {TEST} --like form.csv", "Check that the template belongs to this run",
        f"predict one {TEST} --like mine.csv",
        both(template("form.csv", "id,mauve,pink"), template("mine.csv", "id,blue,green,red")),
    ),
    "names that are not UTF-8": Case(
        f"predict one {TEST}", "Rename these files", "", undecodable, decodable
    ),
    "predictions in a file": Case(
        f"predict one {TEST} --output file/p.csv", "choose another path",
        f"predict one {TEST} --output folder/p.csv", put("file", ""),
    ),
    # Submissions.
    "predictions in a pipe": Case(
        f"submit one {TEST} --predictions p.csv", "tunewright predict RUN --data DIR --output", "",
        lambda: os.mkfifo("p.csv"), typed(f"predict one {TEST} --output p.csv"),
    ),
    "predictions with another header": Case(
        f"submit one {TEST} --like form.csv", "predict RUN --data DIR --like", "",
        both(template("form.csv", "id,answer"), typed(f"predict one {TEST}")),
        typed(f"predict one {TEST} --like form.csv --output predictions.csv"),
    ),
    "predictions in another order": Case(
        f"submit one {TEST} --like form.csv", "predict RUN --data DIR --like", "",
        both(template("form.csv", "image_id,label", rows=tuple(sorted(IDS, reverse=True))),
             typed(f"predict one {TEST}")),
        typed(f"predict one {TEST} --like form.csv --output predictions.csv"),
    ),
    "predictions of another form": Case(
        f"submit one {TEST} --form probabilities", "--form probabilities --output", "",
        typed(f"predict one {TEST}"),
        typed(f"predict one {TEST} --form probabilities --output predictions.csv"),
    ),
    "labels in a row": Case(
        f"submit one {TEST} --form top-k", "--form top-k --top 3 --output", "",
        both(typed(f"predict one {TEST} --form top-k"),
             put("predictions.csv", "image_id,label\n" + "".join(f"{i},a b c d\n" for i in IDS))),
        typed(f"predict one {TEST} --form top-k --top 3 --output predictions.csv"),
    ),
    "labels as category ids": Case(
        f"submit ids {TEST} --category-ids", "--labels", f"submit ids {TEST} --labels",
        typed(f"predict ids {TEST}"),
    ),
    "category ids as labels": Case(
        f"submit ids {TEST} --labels", "--category-ids", f"submit ids {TEST} --category-ids",
        typed(f"predict ids {TEST} --category-ids"),
    ),
    "a submission that lacks a file": Case(
        "submit one --verify-only", "tunewright submit RUN", "", without("code/train.py"),
        typed("submit one"),
    ),
    "other predictions than packed": Case(
        "submit one --verify-only", "tunewright submit RUN", "",
        both(typed(f"predict one {TEST}", "submit one"),
             put("predictions.csv",
             "image_id,label\n" + "".join(f"{i},{CLASSES[n % 3]}\n" for n, i in enumerate(IDS)))),
        typed("submit one"),
    ),
    "a submission in a file": Case(
        "submit one --output file/s.zip", "choose another path", "submit one --output folder/s.zip",
        both(put("file", ""), typed(f"predict one {TEST}")),
    ),
    # Exports.
    "weights in a file": Case(
        "export one --to safetensors --output file/m.safetensors", "choose another path",
        "export one --to safetensors --output folder/m.safetensors", put("file", ""),
    ),
    "a program in a file": Case(
        "export one --to torch-export --output file/m.pt2", "choose another path",
        "export one --to torch-export --output folder/m.pt2", put("file", ""),
    ),
    "no package for ONNX": Case(
        "export one --to onnx", "--to safetensors", "export one --to safetensors"
    ),
}  # fmt: skip


def untrained_weights(name: str, *, gone: bool) -> None:
    """Make a run that was stopped, before or after it had weights."""
    shutil.rmtree(Path("runs", name), ignore_errors=True)
    folder = untrained_run(Path("runs", name), "data.dir=data", outcome="paused")
    if gone:
        (folder.checkpoints / "best.safetensors").unlink()
        (folder.checkpoints / "last.pt").touch()


def labelled(folder: str, names: tuple[str, ...], mark: str = "", *, ids: bool = False) -> None:
    """Write a table of pictures of these classes; with a mark, of several labels."""
    Path(folder, "train").mkdir(parents=True)
    rows = ["image_id,label"]
    for number in range(12):
        draw(number % 3, number).save(Path(folder, "train", f"{number}.png"))
        said = {names[number % len(names)], *([names[0]] if mark and number % 2 else [])}
        rows.append(f"{number},{(mark or '|').join(sorted(said))}")
    Path(folder, "train.csv").write_text("\n".join(rows) + "\n")
    if ids:
        lines = [f"{name},{at + 7}" for at, name in enumerate(names)]
        Path(folder, "category_mapping.csv").write_text(
            "label,category_id\n" + "\n".join(lines) + "\n"
        )


def columns(folder: str, *names: str) -> None:
    """Write a table of pictures with a column for each class."""
    Path(folder).mkdir()
    rows = [",".join(["file", *names])]
    for number in range(12):
        draw(number % 3, number).save(Path(folder, f"{number}.png"))
        rows.append(f"{number}.png," + ",".join(str(int(number % 3 != at)) for at in range(3)))
    Path(folder, "index.csv").write_text("\n".join(rows) + "\n")


def make_sandbox() -> None:
    """Write runs that differ in their data, and the pictures to predict."""
    draw_set(Path("data"), (10, 9, 8))
    draw_set(Path("sides"), (20, 20), sides=True)
    draw_test(Path("test"), 6)
    labelled("ids", CLASSES, ids=True)
    labelled("spaced", ("light red", "dark blue", "green"))
    labelled("labels", CLASSES, ";")
    columns("marked", "a; b", "c d", "e|f")
    of_data = ("data.dir=data", "data.val_split=0.4")
    for name, *words in (
        ("one", *of_data),
        ("two", *of_data, "seed=2"),
        ("fold", "data.dir=data", "data.val_split=0.2"),
        ("window", *of_data, "data.window=[0,200]"),
        ("sides", "data.dir=sides"),
        ("ids", "data.dir=ids"),
        ("spaced", "data.dir=spaced"),
        ("several", "data.dir=labels", "data.multi_label=true", "data.label_separator=';'"),
        ("labels", "data.dir=labels", "data.multi_label=true", "data.label_separator=';'"),
        (
            "marked",
            "data.dir=marked",
            "data.multi_label=true",
            'data.columns={classes: ["a; b", "c d", "e|f"]}',
        ),
    ):
        untrained_run(Path("runs", name), *words)
    made_run(Path("runs/mirrored"), Path("sides"), steps=30)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        make_sandbox()
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_classifier_helps(name, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    for file in (tmp_path / "here/runs").rglob("*.*"):
        if file.name in ("config.yaml", "classes.json"):
            file.write_text(file.read_text().replace(str(sandbox), str(tmp_path / "here")))
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tunewright.deliver.classification.ensemble_report.INPUT", 48)
    follow(CASES[name])
