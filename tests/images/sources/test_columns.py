"""Columns of tables: by their usual names, by the names that are given, and what separates them."""

import pytest
from drawn_pictures import class_folders, draw, write_csv, write_jsonl

from tunewright.errors import ConfigError, DataError
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import open_sets
from tunewright.images.sources.columns import Columns
from tunewright.images.sources.csv_rows import delimiter_of, read_csv
from tunewright.images.sources.open_source import open_table


def drawn(folder, suffix=".png"):
    for number in range(4):
        draw(folder / "train" / f"p{number}{suffix}", number)
    return folder


def labelled(folder, header, *, mark=",", name="labels.csv", suffix=""):
    lines = [mark.join(header)] + [mark.join((f"p{n}{suffix}", "ab"[n % 2])) for n in range(4)]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    "header",
    [
        ("id", "label"),
        ("Id", "Category"),
        ("image_id", "label"),
        ("filename", "class"),
        ("ImageId", "Label"),
        ("File Name", "class_name"),
        ("FILEPATH", "CLASS_ID"),
        ("image-path", "category id"),
    ],
)
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_usual_names_are_found_by_themselves(tmp_path, header, mark):
    table = open_table(labelled(drawn(tmp_path), header, mark=mark))
    assert table.ids == ("p0", "p1", "p2", "p3")
    assert table.classes == ("a", "b")
    assert table.class_names == {}


@pytest.mark.parametrize("name", ["labels.csv", "index.csv", "train.csv"])
def test_a_second_column_of_labels_is_told(tmp_path, name):
    folder = "train/" if name == "index.csv" else ""
    rows = [(f"{folder}p{n}.png", n % 2, "xyz"[n % 3]) for n in range(4)]
    write_csv(drawn(tmp_path) / name, [("file", "label", "category"), *rows])
    place = tmp_path / name if name == "labels.csv" else tmp_path
    table = open_table(place)
    assert table.classes == ("0", "1")
    [said] = [notice for notice in table.notices if "'category'" in notice]
    assert "labels are read from the column 'label'" in said
    assert "data.columns={label: category}" in said
    other = open_table(place, columns=Columns({"label": "category"}))
    assert other.classes == ("x", "y", "z")
    assert not any("are read from" in notice for notice in other.notices)


def test_names_of_classes_are_no_second_column(tmp_path):
    rows = [("file", "label", "class"), *((f"p{n}.png", n % 2, "xy"[n % 2]) for n in range(4))]
    table = open_table(write_csv(drawn(tmp_path) / "labels.csv", rows))
    assert table.class_names == {"0": "x", "1": "y"}
    assert not any("are read from" in notice for notice in table.notices)


def test_columns_of_any_name_are_named(tmp_path):
    draw(tmp_path / "more" / "p9.png", 9)
    rows = [("path", "breed", "label", "part")]
    rows += [(f"p{n}.png", "xy"[n % 2], "one", "train" if n else "val") for n in range(4)]
    write_csv(drawn(tmp_path) / "dogs.tsv", rows)
    named = Columns({"image": "Path", "label": "breed", "split": "part"})
    table = open_table(tmp_path / "dogs.tsv", columns=named)
    assert table.classes == ("x", "y")
    assert table.splits == ("valid", "train", "train", "train")
    data = ImagesConfig.model_validate(
        {"dir": str(tmp_path / "dogs.tsv"), "columns": dict(named.names)}, strict=False
    )
    assert len(open_sets(data).train) == 3


def test_a_column_that_is_named_and_missing(tmp_path):
    file = labelled(drawn(tmp_path), ("path", "breed"))
    with pytest.raises(
        ConfigError, match=r"data\.columns\.label = 'bred', and .*labels\.csv.*bree"
    ):
        open_table(file, columns=Columns({"label": "bred"}))
    with pytest.raises(
        DataError, match=r"no column with labels.*'data\.columns=\{label: COLUMN\}'"
    ):
        open_table(file)
    other = Columns({"image": "photo"}, required=False)
    (tmp_path / "train").rename(tmp_path / "labels")
    assert len(open_table(file, labelled=False, columns=other)) == 4


def test_columns_of_what_is_no_table(tmp_path):
    named = Columns({"label": "breed"})
    class_folders(tmp_path / "set", {"a": 1, "b": 1})
    with pytest.raises(ConfigError, match=r"data\.columns names label, and .* is no table"):
        open_table(tmp_path / "set", columns=named)
    write_jsonl(tmp_path / "m.jsonl", [{"image_path": "a.png", "label": "a"}])
    with pytest.raises(ConfigError, match="is no table"):
        open_table(tmp_path / "m.jsonl", columns=named)


def test_a_folder_is_read_by_its_table_that_has_the_columns(tmp_path):
    labelled(drawn(tmp_path), ("path", "breed"))
    write_csv(tmp_path / "sample_submission.csv", [("path", "answer"), ("x", "a")])
    table = open_table(tmp_path, columns=Columns({"image": "path", "label": "breed"}))
    assert (table.ids[0], table.classes) == ("p0", ("a", "b"))
    with pytest.raises(ConfigError, match=r"no table.*data\.dir=.*labels\.csv"):
        open_table(tmp_path, columns=Columns({"label": "race"}))
    (tmp_path / "train").rename(tmp_path / "JPEG")
    (tmp_path / "sample_submission.csv").unlink()
    with pytest.raises(DataError, match=r"one class only.*Name the table: data\.dir=.*labels\.csv"):
        open_table(tmp_path)


def test_the_column_whose_cells_are_files_is_taken(tmp_path):
    drawn(tmp_path)
    rows = [("image_id", "filepath", "label"), *((n, f"train/p{n}.png", n % 2) for n in range(4))]
    table = open_table(write_csv(tmp_path / "t.csv", rows))
    assert table.ids == tuple(f"train/p{n}.png" for n in range(4))
    write_csv(tmp_path / "t.csv", [("image_id", "file", "label"), ("x", "y", "a"), ("z", "w", "b")])
    with pytest.raises(DataError, match=r"2 of 2 pictures.*\(x, z\)"):
        open_table(tmp_path / "t.csv")


def test_two_columns_that_differ_in_case(tmp_path):
    drawn(tmp_path)
    rows = [("id", "Label", "LABEL"), ("p0", "a", "b"), ("p1", "b", "a")]
    with pytest.raises(DataError, match=r"the columns 'Label' and 'LABEL'.*Rename one"):
        open_table(write_csv(tmp_path / "t.csv", rows))
    rows[0] = ("id", "label", "LABEL")
    table = open_table(write_csv(tmp_path / "t.csv", rows))
    assert table.labels.tolist() == [0, 1]


def test_a_suffix_is_added_when_one_file_fits(tmp_path):
    file = labelled(drawn(tmp_path, ".JPG"), ("id", "label"))
    assert open_table(file).places[1].file == tmp_path / "train" / "p1.JPG"
    draw(tmp_path / "train" / "p1.png", 9)
    with pytest.raises(DataError, match=r"'p1' of .* may be p1\.JPG or p1\.png"):
        open_table(file)


def test_the_only_folder_of_pictures_is_searched(tmp_path):
    file = labelled(drawn(tmp_path), ("id", "label"))
    (tmp_path / "train").rename(tmp_path / "JPEG")
    assert open_table(file).places[0].file == tmp_path / "JPEG" / "p0.png"
    draw(tmp_path / "small" / "p0.png", 0)
    with pytest.raises(DataError, match="4 of 4 pictures"):
        open_table(file)
    (tmp_path / "small" / "p0.png").unlink()
    (tmp_path / "JPEG").rename(tmp_path / "val")  # another split may use the same names
    with pytest.raises(DataError, match="4 of 4 pictures"):
        open_table(file)


def test_whole_paths_into_the_folder_of_the_table(tmp_path):
    drawn(tmp_path)
    rows = [("filepath", "label"), *((tmp_path / "train" / f"p{n}.png", n % 2) for n in range(4))]
    table = open_table(write_csv(tmp_path / "t.csv", rows))
    assert table.places[3].file == tmp_path / "train" / "p3.png"
    rows[1] = ("/elsewhere/p0.png", 0)
    with pytest.raises(DataError, match=r"1 of 4 pictures.*\(/elsewhere/p0\.png\)"):
        open_table(write_csv(tmp_path / "t.csv", rows))


def test_what_separates_cells():
    assert delimiter_of("a,b;c,d\n1;2;3") == ","
    assert delimiter_of('"a,b,c";d\n') == ";"
    assert delimiter_of("a\tb, c\td\r1,2,3,4") == "\t"
    assert delimiter_of("id\n1;2;3") == ","


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs"), (",", "commas")])
def test_a_row_of_another_length_names_the_separator(tmp_path, mark, name):
    (tmp_path / "x.csv").write_text(f"a{mark}b\n1{mark}2{mark}3\n")
    with pytest.raises(DataError, match=f"line 2 .*texts that contain {name}"):
        read_csv(tmp_path / "x.csv")


def test_a_competition_with_other_columns(tmp_path):
    """Its tables of other splits have them too, or the usual ones."""
    drawn(tmp_path)
    labelled(tmp_path, ("Id", "Species"), name="train.csv", mark=";")
    draw(tmp_path / "val" / "v.png", 7)
    write_csv(tmp_path / "val.csv", [("Id", "Species"), ("v", "a")])
    table = open_table(tmp_path, columns=Columns({"label": "Species"}))
    assert table.splits == ("train",) * 4 + ("valid",)
