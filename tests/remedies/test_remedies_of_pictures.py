"""What errors about sets of pictures advise, followed by hand: the set is mended and then taken."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from follow_remedies import attempt
from tunewright.errors import TunewrightError

ROWS = [(f"{n}.png", "rose" if n % 2 else "lily") for n in range(12)]


def picture(number: int) -> Image.Image:
    """Draw a picture that differs from all others."""
    pixels = np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def table(rows=ROWS, header="file,label", name="index.csv", pictures="d") -> None:
    """Write a table of pictures and, once, the pictures."""
    folder = Path("d")
    folder.mkdir(exist_ok=True)
    for at, (file, _) in enumerate(ROWS):
        if not (Path(pictures) / file).exists():
            Path(pictures).mkdir(exist_ok=True)
            picture(at).save(Path(pictures) / file)
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def folders(*names: str, each: int = 6, start: int = 0) -> None:
    """Write a set of class folders, or of splits with class folders."""
    for at, name in enumerate(names):
        folder = Path("d") / name
        folder.mkdir(parents=True, exist_ok=True)
        for n in range(each):
            picture(start + each * at + n).save(folder / f"{n}.png")


def manifest(change: Callable[[dict], object] = lambda record: None, name="manifest.jsonl") -> None:
    """Write a manifest; `change` is made to its fourth record."""
    table()
    Path("d/index.csv").unlink()
    records = [{"id": str(n), "image_path": file, "label": f"{label}"} for n, (file, label) in
               enumerate(ROWS)]  # fmt: skip
    change(records[3])
    text = "".join(json.dumps(record) + "\n" for record in records)
    Path("d", name).write_text(text, encoding="utf-8")


def rows(at: int, *cells: str) -> list[tuple[str, ...]]:
    """Return the usual rows with one replaced."""
    return [cells if n == at else row for n, row in enumerate(ROWS)]


def grouped(last: str = "g5") -> list[tuple[str, ...]]:
    """Return rows with a third column."""
    found = [(*row, f"g{n // 2}") for n, row in enumerate(ROWS)]
    return [*found[:-1], (*ROWS[-1], last)]


def zipped(cut: int = 0, into: str = "d.zip") -> None:
    """Write class folders as a zip, of which `cut` bytes are lost."""
    folders("lily", "rose")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in sorted(Path("d").rglob("*.png")):
            archive.write(file, file.relative_to("d"))
    shutil.rmtree("d")
    Path(into).write_bytes(content.getvalue()[: len(content.getvalue()) - cut])


def packed_twice() -> None:
    """Write a zip in which one file was packed a second time."""
    zipped()
    with (
        zipfile.ZipFile("d.zip", "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("rose/3.png", archive.read("rose/3.png"))


def unpack() -> None:
    """Do what `unzip -d d d.zip` does."""
    with zipfile.ZipFile("d.zip") as archive:
        archive.extractall("d")


def both(*steps: Callable[[], object]) -> Callable[[], None]:
    return lambda: [step() for step in steps] and None


class Case(NamedTuple):
    """before: makes what is refused. said: part of the remedy. mend: does what it says.

    words: settings typed at first; instead: what is typed in their place, where the remedy says so.
    """

    before: Callable[[], object]
    said: str
    mend: Callable[[], object] = lambda: None
    words: str = ""
    instead: str | None = None


CASES = {
    "no such folder": Case(table, "Check the path", words="data.dir=e", instead=""),
    "a column of another name": Case(
        lambda: table(header="filname,label"), "Rename the column 'filname'", table
    ),
    "a column of another name, named": Case(
        lambda: table(header="what,label"), "'data.columns={image: COLUMN}'",
        instead="data.columns={image: what}",
    ),
    "a line for a spreadsheet": Case(
        lambda: table([("file", "label"), *ROWS], "sep=,"), "Remove the first line", table
    ),
    "a named column that is missing": Case(
        lambda: table(header="file,kind"), "Did you mean 'kind'?",
        words="data.columns={image: file, label: kin}",
        instead="data.columns={image: file, label: kind}",
    ),
    "two columns of one name": Case(
        lambda: table(grouped(), "Image ID,label,image-id"), "Rename one of them",
        lambda: table(grouped(), "Image ID,label,other"),
    ),
    "not UTF-8": Case(
        lambda: (table(), Path("d/index.csv").write_bytes("file,label\n0.png,é".encode("latin1"))),
        "Save it again as 'CSV UTF-8'", lambda: table(rows(0, "0.png", "é")),
    ),
    "a cell too few": Case(lambda: table(rows(3, "3.png")), "", table),
    "an open quote": Case(
        lambda: table(rows(3, '"3.png', "rose")), "Remove the quote", table
    ),
    "no label": Case(
        lambda: table(rows(3, "3.png", "")), "Add the labels", table
    ),
    "no label, row removed": Case(
        lambda: table(rows(3, "3.png", "")), "remove these rows",
        lambda: table([row for row in ROWS if row[0] != "3.png"]),
    ),
    "not a number among numbers": Case(
        lambda: table([(f, "nan" if f == "3.png" else str(len(y))) for f, y in ROWS]),
        "Complete them", lambda: table([(f, str(n % 2)) for n, (f, _) in enumerate(ROWS)]),
    ),
    "an id twice": Case(
        lambda: table([*ROWS, ROWS[0]]), "Remove one of the rows", table
    ),
    "an id with two labels": Case(
        lambda: table([*ROWS, ("0.png", "rose")]), "Remove the wrong row", table
    ),
    "a split": Case(
        lambda: table([(*row, "tran" if n < 9 else "valid") for n, row in enumerate(ROWS)],
                      "file,label,split"), "Did you mean 'train'?",
        lambda: table([(*row, "train" if n < 9 else "valid") for n, row in enumerate(ROWS)],
                      "file,label,split"),
    ),
    "a group missing": Case(
        lambda: table(grouped(last=""), "file,label,group"), "Complete the column",
        lambda: table(grouped(), "file,label,group"),
    ),
    "a group missing, ignored": Case(
        lambda: table(grouped(last=""), "file,label,group"), "data.group_by=null ignores it",
        instead="data.group_by=null",
    ),
    "a column of groups": Case(
        lambda: table(grouped(), "file,label,patient"), "Did you mean 'patient'?",
        words="data.group_by=patien", instead="data.group_by=patient",
    ),
    "groups of class folders": Case(
        lambda: folders("lily", "rose"), "index.csv with such a column",
        lambda: table(grouped(), "file,label,patient"), words="data.group_by=patient",
        instead="data.group_by=patient",
    ),
    "a picture that is missing": Case(
        lambda: table(rows(3, "zzzzzz.png", "rose")), "Copy the missing files",
        lambda: picture(99).save("d/zzzzzz.png"),
    ),
    "a picture misspelt": Case(
        lambda: table(rows(3, "3.pgn", "rose")), "Did you mean '3.png'?", table
    ),
    "a picture of another number": Case(
        lambda: table(rows(3, "30.png", "rose")), "Copy the missing files",
        lambda: picture(99).save("d/30.png"),
    ),
    "a name of two pictures": Case(
        lambda: (table([(f.removesuffix(".png"), y) for f, y in ROWS]), picture(9).save("d/3.jpg")),
        "Write the suffix in the table", table,
    ),
    "two tables of one split": Case(
        lambda: (table(ROWS[1:], "image_id,label", "train.csv", "d/train"),
                 *(table([("0.png", "rose")], "image_id,label", name) for name in
                   ("valid.csv", "val_labels.csv"))),
        "Move or rename the other", lambda: Path("d/val_labels.csv").unlink(),
    ),
    "a label with two names": Case(
        lambda: table([(f, y, y.upper() if n else "x") for n, (f, y) in enumerate(ROWS)],
                      "image_id,label,class", "train.csv", "d/train"),
        "Correct the label or the class",
        lambda: table([(*row, row[1].upper()) for row in ROWS], "image_id,label,class", "train.csv",
                      "d/train"),
    ),
    "a mapping that is incomplete": Case(
        lambda: (table(name="train.csv", header="image_id,label", pictures="d/train"),
                 Path("d/category_mapping.csv").write_text("label,category_id\nrose,1\n")),
        "Complete the mapping",
        lambda: Path("d/category_mapping.csv").write_text("label,category_id\nrose,1\nlily,2\n"),
    ),
    "a mapping that is removed": Case(
        lambda: (table(name="train.csv", header="image_id,label", pictures="d/train"),
                 Path("d/category_mapping.csv").write_text("label,category_id\nrose,1\n")),
        "or remove it", lambda: Path("d/category_mapping.csv").unlink(),
    ),
    "another table in the folder": Case(
        lambda: table(name="mine.csv"), "Name the table: data.dir=", instead="data.dir=d/mine.csv"
    ),
    "columns of class folders": Case(
        lambda: (table(name="mine.csv"), table(name="yours.csv"), folders("lily", "rose")),
        "Name the table: data.dir=",
        words="data.columns={label: label}", instead="data.dir=d/mine.csv",
    ),
    "one class": Case(
        lambda: folders("lily"), "Add pictures of a second class",
        lambda: folders("rose", start=90),
    ),
    "splits without classes": Case(
        lambda: folders("train", "valid"), "Sort the pictures into class folders",
        lambda: (shutil.rmtree("d"), folders("train/a", "train/b", "valid/a", "valid/b")),
    ),
    "splits below": Case(
        lambda: folders("x/train/a", "x/train/b", "x/valid/a", "x/valid/b", "y/train/a",
                        "y/train/b", "y/valid/a", "y/valid/b"),
        "Name one of them: data.dir=", instead="data.dir=d/x",
    ),
    "parts of one set": Case(
        lambda: folders("fold1/a", "fold1/b", "fold2/a", "fold2/b"), "train",
        lambda: (Path("d/fold1").rename("d/train"), Path("d/fold2").rename("d/valid")),
    ),
    "a broken link": Case(
        lambda: (folders("train/a", "train/b"), Path("d/valid").symlink_to("gone")),
        "Repair the link, or remove it", lambda: Path("d/valid").unlink(),
    ),
    "a class that is not UTF-8": Case(
        lambda: folders("lily", "ros\udce9"), "Rename the folder",
        lambda: Path("d/ros\udce9").rename("d/rosé"),
    ),
    "a zip cut short": Case(
        lambda: zipped(30), "Copy or download it again", zipped, words="data.dir=d.zip",
        instead="data.dir=d.zip",
    ),
    "a file twice in a zip": Case(
        packed_twice, "Unpack the zip, and name the folder", unpack, words="data.dir=d.zip",
        instead="data.dir=d",
    ),
    "copies in two splits": Case(
        lambda: (folders("train/a", "train/b", "valid/a", "valid/b"),
                 shutil.copy("d/train/a/0.png", "d/valid/a/9.png")),
        "Move them to one side", lambda: Path("d/valid/a/9.png").unlink(),
    ),
    "copies in two splits, warned": Case(
        lambda: (folders("train/a", "train/b", "valid/a", "valid/b"),
                 shutil.copy("d/train/a/0.png", "d/valid/a/9.png")),
        "data.leaks=warn goes on", instead="data.leaks=warn",
    ),
    "a single group": Case(
        lambda: table([(*row, "g0") for row in ROWS], "file,label,group"),
        "Add pictures of other groups", lambda: table(grouped(), "file,label,group"),
    ),
    "a single group, split": Case(
        lambda: table([(*row, "g0") for row in ROWS], "file,label,group"),
        "or set data.group_by=null", instead="data.group_by=null",
    ),
    "a picture a class": Case(
        lambda: table([(f, f"c{n}") for n, (f, _) in enumerate(ROWS)]), "Add pictures: a class",
        lambda: table([(f, f"c{n // 2}") for n, (f, _) in enumerate(ROWS)]),
    ),
    "a picture a class, grouped": Case(
        lambda: table([(f, f"c{n}", "g0") for n, (f, _) in enumerate(ROWS)], "file,label,group"),
        "Add pictures: a class", lambda: table(grouped(), "file,label,group"),
    ),
    "nothing to train on": Case(
        lambda: table([(*row, "valid") for row in ROWS], "file,label,split"),
        "Put pictures of each class into train",
        lambda: table([(*row, "train" if n < 8 else "valid") for n, row in enumerate(ROWS)],
                      "file,label,split"),
    ),
    "two manifests": Case(
        lambda: (manifest(name="manifest_a.jsonl"),
                 shutil.copy("d/manifest_a.jsonl", "d/manifest_b.jsonl")),
        "Name one of them: data.dir=", instead="data.dir=d/manifest_a.jsonl",
    ),
    "a line that is no JSON": Case(
        lambda: manifest(put("label", float("nan"))), "Write null", manifest
    ),
    "a value of another type": Case(
        lambda: manifest(put("image_path", 3)), "Correct the line", manifest
    ),
    "no picture in a line": Case(
        lambda: manifest(rename("image_path", "image_pth")), "Did you mean 'image_path'?", manifest
    ),
    "a box by width": Case(
        lambda: manifest(put("bbox_xyxy", [5, 5, 3, 3])), "Convert boxes",
        lambda: manifest(put("bbox_xyxy", [5, 5, 8, 8])),
    ),
    "a picture of a line": Case(
        lambda: manifest(put("image_path", "gone.png")), "take their lines out", manifest
    ),
    "pictures elsewhere": Case(
        lambda: (manifest(), [f.rename(f.name) for f in Path("d").glob("*.png")],
                 Path("deep/e/f/g").mkdir(parents=True), Path("d").rename("deep/e/f/g/d"),
                 [f.rename(Path("deep") / f.name) for f in Path().glob("*.png")]),
        "write their full paths",
        lambda: [f.rename(Path("deep/e/f/g/d") / f.name) for f in Path("deep").glob("*.png")],
        words="data.dir=deep/e/f/g/d", instead="data.dir=deep/e/f/g/d",
    ),
    "a key of groups": Case(
        lambda: manifest(put("camera", "c")), "null", words="data.group_by=camera",
        instead="data.group_by=null",
    ),
    "two marks between labels": Case(
        lambda: table([(f, "a|b;c" if n % 3 else "a|c") for n, (f, _) in enumerate(ROWS)]),
        "'data.label_separator=", words="data.multi_label=true",
        instead='data.multi_label=true data.label_separator="|"',
    ),
    "no table of several labels": Case(
        lambda: folders("lily", "rose"), "Leave out data.multi_label",
        words="data.multi_label=true", instead="",
    ),
    "a column of a class": Case(
        lambda: table([(f, n % 2, 1 - n % 2) for n, (f, _) in enumerate(ROWS)], "file,rose,lily"),
        "Did you mean 'rose'?", words="data.multi_label=true data.columns={classes: [rse,lily]}",
        instead="data.multi_label=true data.columns={classes: [rose,lily]}",
    ),
    "an uncertain label": Case(
        lambda: table([(f, n % 2, 1 - n % 2 if n else -1) for n, (f, _) in enumerate(ROWS)],
                      "file,rose,lily"),
        "leave these rows out",
        lambda: table([(f, n % 2, 1 - n % 2) for n, (f, _) in enumerate(ROWS) if n],
                      "file,rose,lily"),
        words="data.multi_label=true data.columns={classes: [rose,lily]}",
        instead="data.multi_label=true data.columns={classes: [rose,lily]}",
    ),
}  # fmt: skip


def put(key: str, value: object) -> Callable[[dict], None]:
    return lambda record: record.update({key: value})


def rename(key: str, other: str) -> Callable[[dict], None]:
    return lambda record: record.update({other: record.pop(key)})


def study(words: str) -> list[str]:
    found = [word for word in words.replace(" data.", "\ndata.").split("\n") if word]
    dirs = [] if any(word.startswith("data.dir=") for word in found) else ["data.dir=d"]
    return ["flowers", "model=small", *dirs, *found]


@pytest.mark.parametrize("case", CASES)
def test_a_set_of_pictures_mended_as_advised_is_taken(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = CASES[case]
    one.before()
    with pytest.raises(TunewrightError) as refused:
        attempt(study(one.words), tmp_path / "runs")
    assert one.said in str(refused.value)
    one.mend()
    attempt(study(one.words if one.instead is None else one.instead), tmp_path / "runs")
