"""Tables in which a picture has several labels, or none."""

import numpy as np
import pytest
from drawn_pictures import class_folders, draw, write_csv, write_jsonl

from tunewright.errors import ConfigError, DataError
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import open_sets, table_hash
from tunewright.images.image_table import UNLABELLED
from tunewright.images.sources.columns import Columns
from tunewright.images.sources.open_source import open_table

LABELS = (("cat", "dog"), (), ("dog",), ("cat", "owl", "dog"))
SEVERAL = Columns({}, multi_label=True)


def opened(place, columns=SEVERAL, **options):
    return open_table(place, columns=columns, fewest_classes=1, **options)


def named(table):
    return [tuple(np.array(table.classes)[row].tolist()) for row in table.targets]


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        draw(tmp_path / "train" / f"p{number}.png", number)
    return tmp_path


def in_cells(folder, mark, labels=LABELS, name="train.csv"):
    rows = [("image_id", "label")]
    rows += [(f"p{number}", mark.join(each)) for number, each in enumerate(labels)]
    write_csv(folder / name, rows)
    return folder


@pytest.mark.parametrize("mark", ["|", ";", ",", "，", " ", "; ", " | "])
def test_what_separates_labels_is_found(folder, mark):
    table = opened(in_cells(folder, mark))
    assert table.classes == ("cat", "dog", "owl")
    assert named(table) == [("cat", "dog"), (), ("dog",), ("cat", "dog", "owl")]
    assert table.label_separator == (mark.strip() or " ")
    assert table.counts.tolist() == [2, 3, 1]
    assert set(table.labels.tolist()) == {UNLABELLED}
    assert "1 have none" in table.notices[0]
    assert "1.50 of 3 labels on average, at most 3" in table.notices[0]


def test_labels_with_blanks_are_kept_where_a_mark_separates(folder):
    table = opened(in_cells(folder, ";", [("a b", "c"), ("c",), ("a b",), ("d",)]))
    assert table.classes == ("a b", "c", "d")


def test_one_label_in_each_cell_is_told(folder):
    table = opened(in_cells(folder, ";", [("a",), ("b",), ("a",), ("b",)]))
    assert table.label_separator == ""
    assert "data.multi_label=false" in table.notices[0]


def test_two_marks_are_refused_and_the_remedy_decides(folder):
    in_cells(folder, ";", [("a", "b,c"), ("a",), ("b,c",), ("a",)])
    with pytest.raises(DataError, match=r"hold ';' and ','.*data\.label_separator=\";\""):
        opened(folder)
    table = opened(folder, Columns({}, multi_label=True, separator=";"))
    assert table.classes == ("a", "b,c")


def columns_of(folder, cells, header=("image_id", "owl", "cat", "dog")):
    write_csv(folder / "train.csv", [header, *cells])
    return folder


ZERO_ONE = [("p0", 0, 1, 1), ("p1", 0, 0, 0), ("p2", 0, 0, 1), ("p3", 1, 1, 1)]


@pytest.mark.parametrize("classes", [(), ("owl", "cat", "dog"), ("cat", "owl", "dog")])
def test_a_column_of_zero_and_one_for_each_class(folder, classes):
    table = opened(columns_of(folder, ZERO_ONE), Columns({}, multi_label=True, classes=classes))
    assert table.classes == (classes or ("owl", "cat", "dog"))  # in the order of the columns
    assert [set(each) for each in named(table)] == [set(each) for each in LABELS]
    assert table.label_separator == ""


def test_columns_that_hold_something_else_are_no_classes(folder):
    cells = [(*row, "train" if row[1] else "val", row[3]) for row in ZERO_ONE]
    header = ("image_id", "owl", "cat", "dog", "split", "group")
    table = opened(columns_of(folder, cells, header))
    assert table.classes == ("owl", "cat", "dog")
    assert table.groups == ("1", "0", "1", "1")


@pytest.mark.parametrize("cell", ["", "-1", "2", "maybe"])
def test_a_cell_that_is_neither_zero_nor_one_is_named(folder, cell):
    cells = [*ZERO_ONE[:2], ("p2", 0, cell, 1), ZERO_ONE[3]]
    named = Columns({}, multi_label=True, classes=("owl", "cat", "dog"))
    with pytest.raises(DataError, match=rf"line 4 of .*has '{cell}' in the column 'cat'"):
        opened(columns_of(folder, cells), named)


def test_a_column_that_is_not_there(folder):
    named = Columns({}, multi_label=True, classes=("owl", "cats"))
    with pytest.raises(ConfigError, match=r"names 'cats'.*Did you mean 'cat'"):
        opened(columns_of(folder, ZERO_ONE), named)


def test_a_table_without_labels_says_what_could_be_named(folder):
    write_csv(folder / "train.csv", [("image_id", "breed"), *((f"p{n}", "x") for n in range(4))])
    with pytest.raises(DataError, match=r"data\.columns=\{label: COLUMN\}.*classes: \[A, B, C\]"):
        opened(folder)


def test_a_row_for_each_label_is_joined(folder):
    rows = [("image_id", "label")]
    rows += [(f"p{n}", one) for n, each in enumerate(LABELS) for one in each or [""]]
    write_csv(folder / "train.csv", rows)
    table = opened(folder)
    assert table.ids == ("p0", "p1", "p2", "p3")
    assert [set(each) for each in named(table)] == [set(each) for each in LABELS]
    assert "3 rows add labels" in table.notices[0]


def test_rows_of_one_picture_in_two_splits_are_refused(folder):
    rows = [("image_id", "label", "split"), ("p0", "a", "train"), ("p0", "b", "val")]
    write_csv(folder / "train.csv", [*rows, ("p1", "a", "val")])
    with pytest.raises(DataError, match="'p0' occurs twice"):
        opened(folder)


def test_a_manifest_lists_labels(folder):
    write_jsonl(
        folder / "manifest.jsonl",
        [
            {"id": f"p{n}", "image_path": f"train/p{n}.png", "label": list(each)}
            for n, each in enumerate(LABELS)
        ],
    )
    assert [set(each) for each in named(opened(folder))] == [set(each) for each in LABELS]


def test_a_manifest_with_other_labels_names_the_line(folder):
    write_jsonl(
        folder / "manifest.jsonl",
        [{"id": "p0", "image_path": "train/p0.png", "label": {"cat": 1}}],
    )
    with pytest.raises(DataError, match=r"line 1 of .*a list of labels"):
        opened(folder)


def test_the_only_table_of_a_folder_is_read_without_its_name(folder):
    in_cells(folder, ";", name="what_is_where.csv")
    assert opened(folder).classes == ("cat", "dog", "owl")


def test_class_folders_give_one_label(tmp_path):
    class_folders(tmp_path, {"a": 2, "b": 2})
    with pytest.raises(DataError, match=r"has no table of labels.*Leave out data\.multi_label"):
        opened(tmp_path)


def test_a_test_table_with_labels_is_the_test_set(folder):
    in_cells(folder, ";")
    draw(folder / "test" / "q0.png", 10)
    write_csv(folder / "test.csv", [("image_id", "label"), ("q0", "owl;cat")])
    table = opened(folder)
    assert table.splits == ("train", "train", "train", "train", "test")
    assert named(table)[-1] == ("cat", "owl")


def test_a_label_that_may_stand_for_nothing_is_told(folder):
    table = opened(in_cells(folder, ";", [("a", "nan"), ("b",), ("a",), ("b",)]))
    assert any("'nan' is taken for a label" in notice for notice in table.notices)


def config(folder, **options):
    options = {"dir": str(folder), "multi_label": True, "val_split": 0.5, **options}
    return ImagesConfig.model_validate(options)


def test_the_sets_and_their_fingerprint_follow_the_labels(folder):
    sets = open_sets(config(in_cells(folder, ";", [("a", "b"), ("b",), ("a",), ("a", "b")])))
    assert len(sets.train) == len(sets.valid) == 2
    assert sets.train.targets.shape == (2, 2)
    before = table_hash(sets.train.whole)
    in_cells(folder, ";", [("a", "b"), ("b",), ("a",), ("b",)])
    assert table_hash(open_sets(config(folder)).train.whole) != before


def test_copies_with_other_labels_are_told(folder):
    (folder / "train" / "p3.png").write_bytes((folder / "train" / "p0.png").read_bytes())
    sets = open_sets(config(in_cells(folder, ";", [("a", "b"), ("b",), ("a",), ("a",)])))
    assert any("p0 is a, b, p3 is a" in notice for notice in sets.notices)
