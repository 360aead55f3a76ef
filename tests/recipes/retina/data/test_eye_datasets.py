"""Pairs of eyes from every layout, split by patient."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from eye_files import HEADER, picture, write_patients, write_table
from PIL import Image

from tunewright.errors import DataError
from tunewright.recipes.retina.config import EyesConfig
from tunewright.recipes.retina.data.datasets import EyeSets, open_eye_sets
from tunewright.recipes.retina.data.eye_table import complete_texts
from tunewright.recipes.retina.data.splits import hold_out_groups, sample_rows

ODIR = Path(__file__).parents[5] / "shared" / "data" / "odir_pairs"


def opened(folder: Path, **options: object) -> EyeSets:
    return open_eye_sets(EyesConfig(dir=str(folder), **options))  # type: ignore[arg-type]


def test_a_folder_with_a_table(tmp_path: Path) -> None:
    write_patients(tmp_path)
    sets = opened(tmp_path)
    assert sets.classes == ("a", "b")
    assert len(sets.train) + len(sets.valid) + len(sets.test or ()) == 24
    assert (sets.train.eyes >= 0).all()
    assert not sets.train.per_eye
    for part in (sets.train, sets.valid):
        assert part.counts.min() > 0


def test_photographs_that_are_all_but_black_are_told(tmp_path: Path) -> None:
    write_patients(tmp_path)
    assert not any("all but black" in notice for notice in opened(tmp_path).notices)
    for number, file in enumerate(sorted(tmp_path.glob("*.png"))):
        Image.new("RGB", (24, 24), (number % 3, number // 3 % 3, number // 9 % 3)).save(file)
    assert any("all but black" in notice for notice in opened(tmp_path).notices)


def test_the_validation_set_is_not_the_test_set(tmp_path: Path) -> None:
    write_patients(tmp_path)
    sets = opened(tmp_path)
    assert sets.test is not None
    names = [set(part.patients) for part in (sets.train, sets.valid, sets.test)]
    assert len(set.union(*names)) == sum(map(len, names)) == 24


def test_one_text_an_eye_and_what_stands_in_for_a_missing_one() -> None:
    assert complete_texts(("", "drusen", "normal")) == ("drusen; normal", "drusen", "normal")
    assert complete_texts(("", "same", "same")) == ("same", "same", "same")
    assert complete_texts(("report", "", "drusen")) == ("report", "report", "drusen")
    assert complete_texts((" ", "", "")) == ("", "", "")


def test_one_row_an_eye(tmp_path: Path) -> None:
    rows = []
    for number in range(8):
        for side in ("OS", "right"):
            name = f"{number}-{side}.png"
            (tmp_path / name).write_bytes(picture(len(rows)))
            rows.append((str(number), side, name, f"{side} {number}", "ab"[number % 2]))
    write_table(tmp_path, rows, ("patient_id", "eye", "file", "text", "label"))
    sets = opened(tmp_path, val_split=0.25, test_split=0.0)
    assert len(sets.train) + len(sets.valid) == 8
    assert sets.train.per_eye
    first = sets.train.text_of[0]
    assert sets.train.texts[first[1]].startswith("OS")
    assert sets.train.texts[first[2]].startswith("right")


def test_colour_of_more_than_8_bits_is_told(tmp_path: Path) -> None:
    rows = []
    for number in range(8):
        values = np.random.default_rng(number).integers(0, 65536, (6, 5, 3)).astype(">u2")
        (tmp_path / f"{number}.ppm").write_bytes(b"P6 5 6 65535\n" + values.tobytes())
        rows.append((str(number), "left", f"{number}.ppm", f"text {number}", "ab"[number % 2]))
    write_table(tmp_path, rows, ("patient_id", "eye", "file", "text", "label"))
    sets = opened(tmp_path, val_split=0.25, test_split=0.0)
    assert any("have 16 bits a channel" in notice for notice in sets.notices)


def test_labels_of_both_eyes_count(tmp_path: Path) -> None:
    for name in ("l.png", "r.png"):
        (tmp_path / name).write_bytes(picture(len(name)))
    rows = [("1", "left", "l.png", "x", "a"), ("1", "right", "r.png", "y", "b")]
    write_table(tmp_path, rows, ("patient_id", "eye", "file", "text", "label"))
    from tunewright.recipes.retina.data.open_eyes import open_eyes

    assert open_eyes(tmp_path).labels.tolist() == [[1, 1]]


def test_a_leak_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    (tmp_path / "b.png").write_bytes(picture(2))
    write_table(
        tmp_path,
        [("1", "a.png", "b.png", "x", "a", "train"), ("1", "b.png", "a.png", "y", "a", "test")],
    )
    with pytest.raises(DataError, match="1 patients stand in several splits"):
        opened(tmp_path)
    (tmp_path / "c.png").write_bytes(picture(1))  # the same photograph under another name
    write_table(
        tmp_path,
        [("1", "a.png", "b.png", "x", "a", "train"), ("2", "c.png", "", "y", "a", "valid")],
    )
    with pytest.raises(DataError, match="1 photographs stand in several splits"):
        opened(tmp_path)


def test_a_photograph_in_two_patients_keeps_them_together(tmp_path: Path) -> None:
    write_patients(tmp_path)
    (tmp_path / "p7_left.png").write_bytes((tmp_path / "p3_right.png").read_bytes())
    for seed in range(6):
        sets = opened(tmp_path, split_seed=seed)
        where = [{"p3", "p7"} <= set(p.patients) for p in (sets.train, sets.valid, sets.test) if p]
        assert sum(where) == 1


def test_the_same_photograph_on_both_sides_is_told(tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
        rows.append((str(number), "ab"[number % 2], f"prompt {number % 3}"))
    write_table(tmp_path, rows, ("dataset_index", "label", "prompt"))  # the guide's table
    sets = opened(tmp_path)
    assert sets.one_view
    assert any("degenerate: one view" in notice for notice in sets.notices)
    assert any("loss.branches=patient" in notice for notice in sets.notices)


def test_a_missing_eye_and_an_empty_report(tmp_path: Path) -> None:
    write_patients(tmp_path, 12)
    rows = [(f"p{n}", f"p{n}_left.png", f"p{n}_right.png", "text", "ab"[n % 2]) for n in range(12)]
    rows[0] = ("p0", "", "p0_right.png", "text", "a")
    rows[1] = ("p1", "p1_left.png", "p1_right.png", "", "b")
    write_table(tmp_path, rows, HEADER[:-1])
    sets = opened(tmp_path)
    text = " ".join(sets.notices)
    assert "1 of 12 patients have no photograph of the left eye (p0)" in text
    assert "1 of 12 patients have no report (p1)" in text
    assert "p1" not in sets.train.patients
    rows[2] = ("p2", "", "", "text", "a")
    write_table(tmp_path, rows, HEADER[:-1])
    with pytest.raises(DataError, match="no photograph"):
        opened(tmp_path)


def test_what_is_missing_to_train_or_to_validate_is_said(tmp_path: Path) -> None:
    write_patients(tmp_path, 12)
    with pytest.raises(DataError, match=r"0 to validate on.* Set data\.val_split\."):
        opened(tmp_path, val_split=0.0, test_split=0.0)
    assert len(opened(tmp_path, val_split=0.25, test_split=0.0).valid)
    rows = [(f"p{n}", f"p{n}_left.png", f"p{n}_right.png", "text" * (n > 6), "ab"[n % 2],
             "valid" if n > 6 else "train") for n in range(12)]  # fmt: skip
    write_table(tmp_path, rows)
    with pytest.raises(DataError, match=r"leaves 0 patients.* Add reports of patients in train\."):
        opened(tmp_path)
    write_table(tmp_path, [(*row[:3], "text", *row[4:]) for row in rows])
    assert len(opened(tmp_path).train) == 7


def test_a_picture_that_is_not_there(tmp_path: Path) -> None:
    write_patients(tmp_path, 6)
    (tmp_path / "p3_left.png").unlink()
    with pytest.raises(DataError, match=r"'p3_left.png' of line 5 .* is not there"):
        opened(tmp_path)


def tsv(folder: Path, lines: list[str], texts: list[object], split: str = "train") -> None:
    (folder / f"{split}_imgs.tsv").write_text("\n".join(lines) + "\n")
    (folder / f"{split}_texts.jsonl").write_text("\n".join(map(json.dumps, texts)) + "\n")


def encoded(number: int) -> str:
    return base64.urlsafe_b64encode(picture(number)).decode().rstrip("=")


def test_a_tsv_with_its_texts(tmp_path: Path) -> None:
    for split, start in (("train", 0), ("valid", 10)):
        tsv(
            tmp_path,
            [f"{n}\t{encoded(2 * n)}\t{encoded(2 * n + 1)}" for n in range(start, start + 6)],
            [
                {"text_id": n, "text": f"report {n}", "image_ids": [n]}
                for n in range(start, start + 6)
            ],
            split,
        )
    sets = opened(tmp_path, test_split=0.0)
    assert (len(sets.train), len(sets.valid), sets.test) == (6, 6, None)
    assert sets.train.texts[sets.train.text_of[2, 0]] == "report 2"


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        ("1\t!!!\t", {"text": "x", "image_ids": [1]}, "left picture in line 1 .* is not base64"),
        ("1\tYQ", {"text": "x", "image_ids": [1]}, "line 1 .* has 2 cells"),
        ("1\tYQ\tYQ", {"text": "x", "image_ids": [2]}, "1 texts are of patients without pictures"),
        ("1\tYQ\tYQ", {"text": "x"}, "line 1 of .*jsonl"),
    ],
)
def test_a_damaged_tsv(tmp_path: Path, line: str, text: object, message: str) -> None:
    tsv(tmp_path, [line], [text])
    with pytest.raises(DataError, match=message):
        opened(tmp_path)


def test_texts_that_are_not_utf8(tmp_path: Path) -> None:
    tsv(tmp_path, [f"1\t{encoded(1)}\t"], [])
    (tmp_path / "train_texts.jsonl").write_bytes(b'{"text": "\xff", "image_ids": [1]}\n')
    with pytest.raises(DataError, match="not UTF-8"):
        opened(tmp_path)


def test_every_label_of_two_units_is_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        labels = (rng.random((60, 6)) < [0.5, 0.3, 0.1, 0.06, 0.04, 0.03]).astype(np.int64)
        units = np.arange(60)
        held = hold_out_groups(labels, units, 0.15, seed)
        for label in np.flatnonzero(labels.sum(0) >= 2):
            assert labels[held, label].sum() >= 1 or labels[:, label].sum() < 3
            assert labels[~held, label].sum() >= 1
        assert 4 <= held.sum() <= 20


def test_a_sample_has_every_class() -> None:
    labels = np.zeros((1000, 3), dtype=np.int64)
    labels[:900, 0] = labels[900:990, 1] = labels[990:, 2] = 1
    rows = sample_rows(labels, 50, 0)
    assert len(rows) == 50
    assert labels[rows].sum(0).min() >= 2


@pytest.mark.skipif(
    not ODIR.exists(), reason="the sample of ODIR does not lie beside this checkout"
)
def test_the_sample_of_odir() -> None:
    sets = opened(ODIR)
    assert (len(sets.train), len(sets.valid), len(sets.test or ())) == (634, 135, 137)
    assert len(sets.classes) == 8
    assert not sets.train.single
    assert sets.train.names[2] == "glaucoma"
