"""Each source is recognised by what is there; each way in which it is wrong is told."""

import json
import math
import os
import zipfile
from pathlib import Path

import pytest
from drawn_pictures import class_folders, draw, encoded, write_csv, write_jsonl, write_zip

from tunewright.errors import DataError
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.open_source import open_table
from tunewright.images.sources.reader import PictureReader

SHARED = Path(__file__).parents[4] / "shared" / "data"


def real(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"../shared/data/{name} is not there")
    return SHARED / name


def labels(table):
    return [table.classes[label] for label in table.labels]


class TestClassFolders:
    def test_without_splits(self, tmp_path):
        table = open_table(class_folders(tmp_path, {"rose": 2, "lily": 1}))
        assert table.ids == ("lily/0.png", "rose/0.png", "rose/1.png")
        assert table.classes == ("lily", "rose")
        assert labels(table) == ["lily", "rose", "rose"]
        assert table.splits is None
        assert table.groups is None
        assert table.places[1] == PicturePlace(tmp_path / "rose/0.png")
        assert table.counts.tolist() == [1, 2]

    @pytest.mark.parametrize("valid", ["valid", "val", "Validation"])
    def test_with_splits(self, tmp_path, valid):
        counts = {"train/a": 2, "train/b": 1, f"{valid}/a": 1, "test/b": 1}
        table = open_table(class_folders(tmp_path, counts))
        assert sorted(zip(labels(table), table.splits, strict=True)) == [
            ("a", "train"),
            ("a", "train"),
            ("a", "valid"),
            ("b", "test"),
            ("b", "train"),
        ]

    def test_classes_that_are_numbers_are_sorted_as_such(self, tmp_path):
        table = open_table(class_folders(tmp_path, {"10": 1, "9": 1, "100": 1}))
        assert table.classes == ("9", "10", "100")

    def test_an_empty_folder_is_a_class(self, tmp_path):
        class_folders(tmp_path, {"a": 2, "b": 2, "c": 0})
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "read.txt").write_text("no class")
        table = open_table(tmp_path)
        assert table.classes == ("a", "b", "c")
        assert table.counts.tolist() == [2, 2, 0]

    def test_a_class_called_train(self, tmp_path):
        table = open_table(class_folders(tmp_path, {"bus": 1, "car": 1, "train": 1}))
        assert table.classes == ("bus", "car", "train")

    def test_folders_in_classes_and_pictures_outside(self, tmp_path):
        class_folders(tmp_path, {"a/x": 1, "a/y": 1, "b": 1})
        draw(tmp_path / "cover.png", 50)
        (tmp_path / "b" / "raw.cr2").write_bytes(b"?")
        (tmp_path / "b" / ".DS_Store").write_bytes(b"?")
        table = open_table(tmp_path)
        assert table.ids == ("a/x/0.png", "a/y/0.png", "b/0.png")
        assert "cover.png" in table.notices[1]
        assert "b/raw.cr2" in table.notices[0]
        assert len(table.notices) == 2

    def test_a_competition_like_test_folder_is_left_out(self, tmp_path):
        class_folders(tmp_path, {"train/a": 2, "train/b": 2})
        draw(tmp_path / "test" / "0.png", 50)
        table = open_table(tmp_path)
        assert len(table) == 4
        assert "test/0.png" in table.notices[0]

    def test_one_class_points_below(self, tmp_path):
        class_folders(tmp_path, {"flowers/a": 1, "flowers/b": 1})
        with pytest.raises(DataError, match=r"one class only.*data\.dir=.*flowers"):
            open_table(tmp_path)

    def test_one_class_of_a_table_has_no_folder_below(self, tmp_path):
        draw(tmp_path / "train" / "a.png", 0)
        write_csv(tmp_path / "train.csv", [("image_id", "label"), ("a", 7)])
        with pytest.raises(DataError, match=r"one class only.*second class") as refused:
            open_table(tmp_path)
        assert "7." not in refused.value.remedy

    def test_a_zip_with_a_readme_beside_its_folder(self, tmp_path):
        class_folders(tmp_path / "top", {"a": 1, "b": 1})
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            archive.writestr("LICENSE", "free")
            for file in (tmp_path / "top").rglob("*.*"):
                archive.write(file, file.relative_to(tmp_path))
        assert open_table(tmp_path / "data.zip").classes == ("a", "b")

    def test_circles_of_links_end(self, tmp_path):
        class_folders(tmp_path / "set", {"a": 1, "b": 1})
        (tmp_path / "set" / "b" / "again").symlink_to(tmp_path / "set", target_is_directory=True)
        (tmp_path / "set" / "a" / "up").symlink_to("..")
        (tmp_path / "set" / "c").symlink_to("..")
        class_folders(tmp_path, {"other": 2}, start=5)
        table = open_table(tmp_path / "set")
        assert table.ids == ("a/0.png", "b/0.png")
        assert "a/up, b/again, c" in table.notices[0]

    def test_a_split_that_is_a_link_to_nothing(self, tmp_path):
        class_folders(tmp_path, {"train/a": 2, "train/b": 2})
        (tmp_path / "valid").symlink_to("elsewhere")
        with pytest.raises(DataError, match=r"valid is not a folder, or is a broken link"):
            open_table(tmp_path)

    def test_linked_classes(self, tmp_path):
        class_folders(tmp_path / "all", {"a": 1, "b": 2})
        (tmp_path / "some").mkdir()
        for name in "ab":
            (tmp_path / "some" / name).symlink_to(tmp_path / "all" / name)
        assert labels(open_table(tmp_path / "some")) == ["a", "b", "b"]

    @pytest.mark.parametrize(("target", "link"), [("val", "test"), ("test", "val"), ("a", "z")])
    def test_two_names_of_a_folder_are_both_used(self, tmp_path, target, link, monkeypatch):
        if target == "a":
            class_folders(tmp_path, {"a": 2, "b": 2})
        else:
            class_folders(tmp_path, {f"{top}/{c}": 2 for top in ("train", target) for c in "ab"})
        (tmp_path / link).symlink_to(target)
        table = open_table(tmp_path)
        copies = {name.replace(target, link, 1) for name in table.ids if name.startswith(target)}
        assert copies <= set(table.ids)
        assert len(table) == (6 if target == "a" else 12)
        real_scan = os.scandir
        monkeypatch.setattr(os, "scandir", lambda place: Backwards(real_scan(place)))
        assert open_table(tmp_path).ids == table.ids

    def test_a_class_linked_into_another(self, tmp_path):
        """By both names, whichever the directory lists first; copies are told elsewhere."""
        class_folders(tmp_path, {"a": 1, "b": 1})
        (tmp_path / "a" / "more").symlink_to(tmp_path / "b")
        (tmp_path / "b" / "more").symlink_to(tmp_path / "a")
        assert open_table(tmp_path).ids == ("a/0.png", "a/more/0.png", "b/0.png", "b/more/0.png")

    def test_groups_cannot_be_asked_for(self, tmp_path):
        class_folders(tmp_path, {"a": 1, "b": 2})
        with pytest.raises(DataError, match=r"data\.group_by = 'plant'.*index\.csv"):
            open_table(tmp_path, group_by="plant")

    def test_a_zip_of_class_folders(self, tmp_path):
        for prefix in ("", "flowers/"):
            members = {f"{prefix}train/{c}/{n}.png": n for c in "ab" for n in range(2)}
            place = write_zip(tmp_path / f"x{len(prefix)}.zip", members)
            table = open_table(place)
            assert labels(table) == ["a", "a", "b", "b"]
            assert table.ids[0] == "train/a/0.png"
            assert table.places[0] == PicturePlace(place, f"{prefix}train/a/0.png")
            assert PictureReader().content(table.places[1]) == encoded(1)


def splits(table):
    return dict(zip(table.ids, table.splits or (), strict=True))


class TestNamesOfSplits:
    """Folders that are splits by what they are called and hold, never the classes of a model."""

    @pytest.mark.parametrize(
        ("train", "valid", "test"),
        [
            ("training_set", "validation_set", "test_set"),
            ("seg_train", "seg_valid", "seg_test"),
            ("Train", "Val", "Test"),
            ("train_data", "validation_images", "testing"),
            ("TrainSet", "DevSet", "TestSet"),
            ("flowers-train-2017", "flowers-val-2017", "flowers-test-2018"),
            ("trainset", "valset", "testset"),
            ("train", "val2017", "test_images"),
        ],
    )
    @pytest.mark.parametrize("inside", ["", "archive/", "a/b/", "train/"])
    def test_are_read(self, tmp_path, train, valid, test, inside):
        if (train, inside) == ("train", "train/"):
            pytest.skip("train/train/ is train")
        tops = {train: "train", valid: "valid", test: "test"}
        class_folders(tmp_path, {f"{inside}{top}/{c}": 2 for top in tops for c in ("cat", "dog")})
        table = open_table(tmp_path)
        assert table.classes == ("cat", "dog")
        assert splits(table) == {
            f"{inside}{top}/{c}/{n}.png": split
            for top, split in tops.items()
            for c in ("cat", "dog")
            for n in range(2)
        }

    def test_folders_inside_folders_of_their_name(self, tmp_path):
        """As archives of several well-known sets unpack; what is to predict has no classes."""
        tops = ("seg_train", "seg_test")
        class_folders(tmp_path, {f"{top}/{top}/{c}": 1 for top in tops for c in ("sea", "street")})
        class_folders(tmp_path, {"seg_pred/seg_pred": 2}, start=10)
        table = open_table(tmp_path)
        assert table.classes == ("sea", "street")
        assert list(table.splits) == ["test", "test", "train", "train"]
        assert "2 pictures lie outside" in table.notices[1]

    def test_splits_inside_the_classes(self, tmp_path):
        class_folders(tmp_path, {"cat/train": 2, "cat/test": 1, "dog/train": 1, "dog/val": 1})
        table = open_table(tmp_path)
        assert table.classes == ("cat", "dog")
        assert splits(table)["dog/val/0.png"] == "valid"
        assert sorted(table.splits) == ["test", "train", "train", "train", "valid"]

    def test_in_a_zip(self, tmp_path):
        tops = ("training_set", "test_set")
        members = {f"{top}/{c}/{n}.png": n for top in tops for c in "ab" for n in range(2)}
        table = open_table(write_zip(tmp_path / "x.zip", members))
        assert table.classes == ("a", "b")
        assert sorted(table.splits) == ["test"] * 4 + ["train"] * 4

    @pytest.mark.parametrize(
        "counts",
        [
            {f"fold{n}/{c}": 1 for n in (1, 2, 3) for c in "ab"},
            {f"{top}/{c}": 1 for top in ("part-01", "part-02") for c in "ab"},
            {f"{top}/{c}": 1 for top in ("training_set", "holdout") for c in "ab"},
            {f"{top}/{c}": 1 for top in ("train_old", "train_new", "test_new") for c in "ab"},
            {f"{top}/{c}": 1 for top in ("trainval", "test") for c in "ab"},
            {"my_train/a": 1, "my_train/b": 1, "my_test/c": 1, "extra/a": 1},
            {"train1/a": 1, "train2/b": 1, "test1/a": 1},
        ],
    )
    def test_are_asked_for(self, tmp_path, counts):
        with pytest.raises(DataError, match=r"look like splits.*Name the splits train, valid"):
            open_table(class_folders(tmp_path, counts))

    @pytest.mark.parametrize("tops", [("train", "test"), ("training_set", "validation_set")])
    def test_without_classes(self, tmp_path, tops):
        with pytest.raises(DataError, match="are splits, and hold pictures without class folders"):
            open_table(class_folders(tmp_path, dict.fromkeys(tops, 3)))

    def test_of_several_sets(self, tmp_path):
        counts = {f"{name}/{top}/{c}": 1 for name in "xy" for top in ("train", "val") for c in "ab"}
        with pytest.raises(DataError, match=r"splits inside x/, y/.*data\.dir=.*/x"):
            open_table(class_folders(tmp_path, counts))

    def test_classes_with_equal_folders_are_told(self, tmp_path):
        table = open_table(class_folders(tmp_path, {f"{c}/{v}": 1 for c in "ab" for v in "lr"}))
        assert table.classes == ("a", "b")
        assert "the top folders are read as the classes; if they are splits" in table.notices[0]

    @pytest.mark.parametrize(
        "counts",
        [
            {"test_tube/x": 1, "bullet_train/x": 1, "car/x": 1},
            {"test_tube": 1, "bullet_train": 1},
            {"trained": 1, "tested": 1},
            {"fold": 1, "crease": 1},
            {"cat/images": 1, "dog/images": 1},
            {"bus": 1, "car/old": 1, "train": 1},
        ],
    )
    def test_of_classes_are_no_splits(self, tmp_path, counts):
        table = open_table(class_folders(tmp_path, counts))
        assert set(table.classes) == {name.partition("/")[0] for name in counts}
        assert table.splits is None
        assert table.notices == ()

    @pytest.mark.parametrize("empty", ["valid", "val/a"])
    def test_of_empty_folders_are_told(self, tmp_path, empty):
        class_folders(tmp_path, {"train/a": 2, "train/b": 2, empty: 0})
        assert "no pictures in class folders: val" in open_table(tmp_path).notices[0]


class Backwards(list):
    """A directory that lists its entries the other way round."""

    def __init__(self, entries):
        with entries:
            super().__init__(reversed(list(entries)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class TestCompetition:
    def rows(self, suffix=""):
        return [("image_id", "label"), *((f"p{n}{suffix}", n % 2) for n in range(4))]

    @pytest.mark.parametrize("suffix", ["", ".png"])
    def test_train_csv(self, tmp_path, suffix):
        for n in range(4):
            draw(tmp_path / "train" / f"p{n}.png", n)
        write_csv(tmp_path / "train.csv", self.rows(suffix))
        for place in (tmp_path, tmp_path / "train.csv"):
            table = open_table(place)
            assert table.ids == tuple(f"p{n}{suffix}" for n in range(4))
            assert table.classes == ("0", "1")
            assert table.labels.tolist() == [0, 1, 0, 1]
            assert table.places[3] == PicturePlace(tmp_path / "train" / "p3.png")
            assert table.splits is None

    @pytest.mark.parametrize("name", ["valid", "val_labels", "validation", "dev"])
    def test_tables_of_other_splits(self, tmp_path, name):
        for n in range(4):
            draw(tmp_path / "images" / f"p{n}.png", n)
        write_csv(tmp_path / "train.csv", self.rows()[:3])
        write_csv(tmp_path / f"{name}.csv", [self.rows()[0], *self.rows()[3:]])
        assert open_table(tmp_path).splits == ("train", "train", "valid", "valid")
        write_csv(tmp_path / "val.csv", self.rows())
        with pytest.raises(DataError, match=rf"val\.csv.*{name}|{name}.*val\.csv"):
            open_table(tmp_path)

    @pytest.mark.parametrize("bom", [False, True])
    def test_raw_labels_and_mapping(self, tmp_path, bom):
        for n in range(3):
            draw(tmp_path / "train" / f"p{n}.jpg", n)
        rows = [("filename", "category_id"), ("p0.jpg", 170), ("p1.jpg", 164), ("p2.jpg", 1000)]
        write_csv(tmp_path / "train_labels.csv", rows, bom)
        mapping = [
            ("label", "category_id", "chinese_name", "english_name"),
            *((0, 164, "玫瑰", "rose"), (1, 165, "", "iris"), (2, 170, "", ""), (3, 1000, "", "")),
        ]
        write_csv(tmp_path / "category_mapping.csv", mapping, bom)
        table = open_table(tmp_path)
        assert table.classes == ("164", "165", "170", "1000")  # iris has no picture
        assert labels(table) == ["170", "164", "1000"]
        assert table.names == ("rose", "iris", "170", "1000")
        assert table.category_ids == {}
        rows = [("image_id", "label"), ("p0", 2), ("p1", 0), ("p2", 3)]
        write_csv(tmp_path / "train.csv", rows, bom)
        table = open_table(tmp_path)
        assert table.classes == ("0", "1", "2", "3")
        assert table.class_names == {"0": "rose", "1": "iris"}
        assert table.category_ids == {"0": "164", "1": "165", "2": "170", "3": "1000"}

    def test_a_label_without_mapping(self, tmp_path):
        draw(tmp_path / "train" / "a.png", 0)
        write_csv(tmp_path / "train.csv", [("image_id", "label"), ("a", 7)])
        write_csv(tmp_path / "category_mapping.csv", [("label", "category_id"), (0, 164)])
        with pytest.raises(DataError, match="has no entry for the label '7'"):
            open_table(tmp_path)

    def test_given_splits(self, tmp_path):
        for n, split in enumerate(["train", "train", "val", "test"]):
            draw(tmp_path / split / f"{n}.png", n)
        write_csv(tmp_path / "train.csv", [("image_id", "label"), (0, "a"), (1, "b")])
        write_csv(tmp_path / "val.csv", [("image_id", "label"), (2, "a")])
        write_csv(tmp_path / "test.csv", [("image_id",), (3,)])
        table = open_table(tmp_path)
        assert table.splits == ("train", "train", "valid")

    def test_pictures_in_a_zip_beside(self, tmp_path):
        write_zip(tmp_path / "other.zip", {"z.png": 9})
        write_zip(tmp_path / "train.zip", {f"train/p{n}.png": n for n in range(4)})
        write_csv(tmp_path / "train.csv", self.rows())
        table = open_table(tmp_path)
        assert table.places[2] == PicturePlace(tmp_path / "train.zip", "train/p2.png")

    def test_wrong_columns(self, tmp_path):
        draw(tmp_path / "train" / "a.png", 0)
        write_csv(tmp_path / "train.csv", [("image_id", "lable"), ("a", 7)])
        message = r"no column with labels, but image_id, lable.*'lable' to 'label'"
        with pytest.raises(DataError, match=message):
            open_table(tmp_path)
        write_csv(tmp_path / "train.csv", [("photograph", "label"), ("a", 7)])
        with pytest.raises(DataError, match=r"no column with images.*'data.columns=\{image: COL"):
            open_table(tmp_path)

    @pytest.mark.parametrize(
        ("text", "remedy"),
        [
            ("Image_Idd,Label\na,7\n", "'Image_Idd' to 'image_id'"),
            ("sep=,\nimage_id,label\na,7\n", "Remove the first line"),
            ("image_id,label\na,7\n\0\0\n", "NUL bytes"),
            ("image_id,label\na,7,8\n", "double quotes"),
            ("image_id,label\na\n", "Complete the line"),
        ],
    )
    def test_a_table_is_mended_as_the_error_says(self, text, remedy, tmp_path):
        draw(tmp_path / "train" / "a.png", 0)
        (tmp_path / "train.csv").write_text(text)
        with pytest.raises(DataError, match=remedy):
            open_table(tmp_path)

    def test_a_line_of_spaces_is_a_blank_line(self, tmp_path):
        draw(tmp_path / "train" / "a.png", 0)
        draw(tmp_path / "train" / "b.png", 1)
        (tmp_path / "train.csv").write_text("image_id,label\na,7\nb,8\n   \n")
        assert len(open_table(tmp_path)) == 2

    def test_full_paths_to_another_folder_are_told(self, tmp_path):
        draw(tmp_path / "set" / "train" / "a.png", 0)
        draw(tmp_path / "other" / "a.png", 0)
        rows = [("image_id", "label"), (tmp_path / "other" / "a.png", 7)]
        write_csv(tmp_path / "set" / "train.csv", rows)
        with pytest.raises(DataError, match=r"Copy the pictures into .*/set"):
            open_table(tmp_path / "set")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "has no columns"),
            ("image_id,label\n", "has no rows"),
            ("image_id,label\na,0\nb\n", r"line 3 of .*train\.csv has another number of cells, 1"),
            ("image_id,label\na,0\n ,1\n", r"1 rows .* name no picture \(lines 3\)"),
            ("image_id,label\na,0\nb,\n", r"1 of 2 .* have no label \(line 3 of .*train\.csv\)"),
            ("image_id,label\na,0\nc,1\n", r"1 of 2 pictures .* not in .*train.* \(c\)"),
            ("label,label\na,0\n", "column 'label' twice"),
            ('image_id,label\na,"0\nb,1\n', r"line 2 of .*train\.csv has a quote"),
            ('image_id,label\na,"0\nb,1"\n', r"line 2 of .*train\.csv has a quote"),
        ],
    )
    def test_wrong_rows(self, tmp_path, text, message):
        for name in "ab":
            draw(tmp_path / "train" / f"{name}.png", 1)
        (tmp_path / "train.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            open_table(tmp_path)

    def labelled(self, folder, *labels):
        for n in range(len(labels)):
            draw(folder / "train" / f"p{n}.png", n)
        rows = [("image_id", "label"), *((f"p{n}", label) for n, label in enumerate(labels))]
        write_csv(folder / "train.csv", rows)
        return open_table(folder)

    @pytest.mark.parametrize("word", ["nan", "NaN", "inf", "-Infinity"])
    def test_no_number_among_numbers(self, tmp_path, word):
        with pytest.raises(DataError, match=rf"1 of 4 .* the label {word} among .*line 4 of"):
            self.labelled(tmp_path, 0, "1.0", word, "2")

    @pytest.mark.parametrize("word", ["nan", "None", "NULL", "<NA>", "NA"])
    def test_words_for_nothing_are_text_and_told(self, tmp_path, word):
        table = self.labelled(tmp_path, "rose", word, "lily", word)
        assert set(table.classes) == {"rose", word, "lily"}
        assert (
            f"{word!r} is taken for a label (2 pictures, the first in line 3 of"
            in (table.notices[0])
        )

    def test_one_number_by_two_forms_is_told(self, tmp_path):
        table = self.labelled(tmp_path, "1", "1.0", "2")
        assert table.classes == ("1", "1.0", "2")
        assert "the form of a number: '1' and '1.0'" in table.notices[0]

    def test_not_utf8(self, tmp_path):
        (tmp_path / "train.csv").write_bytes("image_id,label\na,Gänse".encode("latin-1"))
        with pytest.raises(DataError, match=r"not UTF-8.*CSV UTF-8"):
            open_table(tmp_path)

    def test_ids_stand_once(self, tmp_path):
        draw(tmp_path / "train" / "a.png", 0)
        for second, message in (("a,1", "wrong row"), ("a,0", r"\(equal rows\)")):
            (tmp_path / "train.csv").write_text(f"image_id,label\na,0\n{second}\n")
            with pytest.raises(DataError, match=message) as kept:
                open_table(tmp_path)
            assert "line 2 of " in str(kept.value)
            assert "line 3 of " in str(kept.value)

    def test_two_files_of_one_stem(self, tmp_path):
        for name in ("a.png", "a.jpg", "b.png"):
            draw(tmp_path / "train" / name, 0)
        write_csv(tmp_path / "train.csv", [("image_id", "label"), ("a", 0), ("b", 1)])
        with pytest.raises(DataError, match=r"'a' of .*train\.csv may be a\.jpg or a\.png"):
            open_table(tmp_path)


class TestIndex:
    def index(self, folder, *, split=True):
        rows = [
            ("file", "label", "class", "split"),
            *(
                (f"{n}.png", n % 2, "rose" if n % 2 else "lily", "val" if n > 2 else "train")
                for n in range(4)
            ),
        ]
        return write_csv(folder / "index.csv", [row if split else row[:3] for row in rows])

    def check(self, table):
        assert table.ids == ("0.png", "1.png", "2.png", "3.png")
        assert table.classes == ("0", "1")
        assert table.names == ("lily", "rose")
        assert table.splits == ("train", "train", "train", "valid")
        assert [PictureReader().content(place) for place in table.places] == [
            encoded(n) for n in range(4)
        ]

    def test_folder(self, tmp_path):
        self.index(tmp_path)
        for n in range(4):
            draw(tmp_path / f"{n}.png", n)
        self.check(open_table(tmp_path))
        self.check(open_table(tmp_path / "index.csv"))

    @pytest.mark.parametrize("prefix", ["", "flowers/"])
    def test_zip_beside(self, tmp_path, prefix):
        self.index(tmp_path)
        place = write_zip(tmp_path / "x.zip", {f"{prefix}{n}.png": n for n in range(4)})
        self.check(open_table(tmp_path))
        if not prefix:
            self.check(open_table(place))

    @pytest.mark.parametrize("prefix", ["", "flowers/"])
    def test_in_the_zip(self, tmp_path, prefix):
        members = {f"{prefix}{n}.png": n for n in range(4)}
        index = self.index(tmp_path).read_bytes()
        (tmp_path / "index.csv").unlink()
        place = write_zip(tmp_path / "x.zip", {**members, f"{prefix}index.csv": index})
        self.check(open_table(place))
        self.check(open_table(tmp_path))

    def test_split_words(self, tmp_path):
        draw(tmp_path / "a.png", 0)
        write_csv(tmp_path / "index.csv", [("file", "label", "split"), ("a.png", 0, "trian")])
        with pytest.raises(DataError, match=r"the split 'trian' in line 2.*Did you mean 'train'"):
            open_table(tmp_path)
        draw(tmp_path / "b.png", 0)
        rows = [("file", "label", "split"), ("a.png", 0, "train"), ("b.png", 0, "")]
        write_csv(tmp_path / "index.csv", rows)
        with pytest.raises(DataError, match=r"1 of 2 pictures .* no split \(line 3"):
            open_table(tmp_path)

    def test_one_name_a_label(self, tmp_path):
        for name in "ab":
            draw(tmp_path / f"{name}.png", 0)
        rows = [("file", "label", "class"), ("a.png", 0, "rose"), ("b.png", 0, "lily")]
        write_csv(tmp_path / "index.csv", rows)
        with pytest.raises(DataError, match=r"line 3 .* calls the label '0' 'lily'.*'rose'"):
            open_table(tmp_path)

    def test_groups(self, tmp_path):
        for name in "ab":
            draw(tmp_path / f"{name}.png", 0)
        rows = [("file", "label", "group", "plant"), ("a.png", 0, "x", "p"), ("b.png", 1, "y", "p")]
        write_csv(tmp_path / "index.csv", rows)
        assert open_table(tmp_path).groups == ("x", "y")
        assert open_table(tmp_path, group_by="plant").groups == ("p", "p")
        assert open_table(tmp_path, group_by=None).groups is None
        with pytest.raises(DataError, match=r"'plnt'.*no such column.*Did you mean 'plant'"):
            open_table(tmp_path, group_by="plnt")

    def test_classes_that_look_alike_are_told(self, tmp_path):
        for name in "ab":
            draw(tmp_path / f"{name}.png", 0)
        rows = [("file", "label"), ("a.png", "Rose"), ("b.png", "rose")]
        write_csv(tmp_path / "index.csv", rows)
        assert "'Rose' and 'rose'" in open_table(tmp_path).notices[0]

    def test_cifar10_lt(self):
        table = open_table(real("cifar10_lt"))
        counts = [2500, 1618, 1048, 678, 439, 284, 184, 119, 77, 50]
        assert table.take([split == "train" for split in table.splits]).counts.tolist() == counts
        assert table.names[9] == "truck"

    def test_flowers17(self):
        table = open_table(real("flowers17"))
        assert len(table.classes) == 17
        assert table.classes[10] == "10"
        assert {s: table.splits.count(s) for s in set(table.splits)} == {
            "train": 510,
            "valid": 170,
            "test": 170,
        }


FRAME = {"crop_path": None, "image_path": "crops/0.png"}


class TestManifest:
    def records(self, folder, n=4, **more):
        for at in range(n):
            draw(folder / "crops" / f"{at}.png", at)
        return [
            {
                "id": f"veh_{at // 2}_{at}",
                "image_path": "frames/none.png",
                "crop_path": f"crops/{at}.png",
                "bbox_xyxy": [0, 0, 5, 5],
                "label": "ba"[at % 2],
                "split": "val" if at == 3 else "train",
                "meta": {"camera_id": at // 2, "track_id": None, "source_dataset": "x"},
            }
            | more
            for at in range(n)
        ]

    def test_crops_win(self, tmp_path):
        """The paths are those of the project, whose folder data/manifests is."""
        place = tmp_path / "data" / "manifests" / "manifest_ready.jsonl"
        write_jsonl(place, self.records(tmp_path))
        (place.parent / "manifest_old.jsonl").write_text("{}")
        for at in (place, place.parent):
            table = open_table(at)
            assert table.ids == ("veh_0_0", "veh_0_1", "veh_1_2", "veh_1_3")
            assert table.places[0] == PicturePlace(tmp_path / "crops" / "0.png")
            assert table.classes == ("a", "b")
            assert labels(table) == ["b", "a", "b", "a"]
            assert table.splits == ("train", "train", "train", "valid")
            assert table.groups == ("camera_id 0", "camera_id 0", "camera_id 1", "camera_id 1")

    def test_frames_are_cut(self, tmp_path):
        records = self.records(tmp_path, crop_path=None, image_path="crops/1.png")
        table = open_table(write_jsonl(tmp_path / "manifest.jsonl", records))
        assert table.places[0] == PicturePlace(
            tmp_path / "crops" / "1.png", box=(0.0, 0.0, 5.0, 5.0)
        )
        assert PictureReader().picture(table.places[0]).size == (5, 5)

    @pytest.mark.parametrize(
        ("meta", "split", "groups"),
        [
            ({"track_id": 7}, "train", ("track_id 7",) * 4),
            ({}, None, ("id field 0", "id field 0", "id field 1", "id field 1")),
            ({}, "train", None),
        ],
    )
    def test_groups_as_in_the_guide(self, tmp_path, meta, split, groups):
        records = self.records(tmp_path, meta=meta, split=split)
        assert open_table(write_jsonl(tmp_path / "manifest.jsonl", records)).groups == groups

    def test_groups_by_name(self, tmp_path):
        place = write_jsonl(tmp_path / "manifest.jsonl", self.records(tmp_path))
        assert open_table(place, group_by="source_dataset").groups == ("x",) * 4
        assert open_table(place, group_by=None).groups is None
        with pytest.raises(DataError, match=r"'camera'.*line 1.*Did you mean 'camera_id'"):
            open_table(place, group_by="camera")

    def test_order_of_classes(self, tmp_path):
        records = self.records(tmp_path)
        numbered = [r | {"label_idx": {"a": 1, "b": 0}[r["label"]]} for r in records]
        place = write_jsonl(tmp_path / "manifest.jsonl", numbered)
        assert open_table(place).classes == ("b", "a")
        (tmp_path / "class_to_idx.json").write_text(json.dumps({"b": 0, "a": 1, "c": 2}))
        assert open_table(place).classes == ("b", "a", "c")
        (tmp_path / "class_to_idx.json").write_text(json.dumps({"a": 0, "b": 1}))
        with pytest.raises(DataError, match=r"line 1 .* gives 'b' the label_idx 0.*expected 1"):
            open_table(place)
        (tmp_path / "class_to_idx.json").write_text(json.dumps({"a": 0, "x": 1}))
        write_jsonl(place, records)
        with pytest.raises(DataError, match=r"the label 'b' in line 1.*one of a, x"):
            open_table(place)
        (tmp_path / "class_to_idx.json").write_text(json.dumps({"a": 0, "b": 2}))
        with pytest.raises(DataError, match=r"numbered a: 0, b: 2"):
            open_table(place)

    def test_numbers_for_labels(self, tmp_path):
        records = [
            r | {"label": None, "label_idx": n % 2} for n, r in enumerate(self.records(tmp_path))
        ]
        place = write_jsonl(tmp_path / "manifest.jsonl", records)
        assert open_table(place).classes == ("0", "1")
        (tmp_path / "class_to_idx.json").write_text(json.dumps({"red": 1, "blue": 0}))
        assert labels(open_table(place)) == ["blue", "red", "blue", "red"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"crop_path": None, "image_path": None}, "line 1 .* names no picture"),
            ({"crop_path": "crops/9.png"}, r"crops/9\.png of .* does not exist"),
            ({"crop_path": None, "image_path": "crops/0.png", "bbox_xyxy": [5, 5, 2, 9]}, "bbox_"),
            ({"crop_path": None, "image_path": "crops/0.png", "bbox_xyxy": "all"}, "bbox_xyxy"),
            (FRAME | {"bbox_xyxy": [0, 0, math.inf, 9]}, r"line 1 of .*Infinity .*bbox_xyxy"),
            (FRAME | {"bbox_xyxy": [0, 0, 10**400, 9]}, "line 1 of .*a number of 401 digits"),
            (FRAME | {"bbox_xyxy": [0, math.nan, 5, 9]}, r"line 1 of .*NaN .*bbox_xyxy"),
            ({"label": None}, r"1 of 4 .* have no label \(line 1 of"),
            ({"label": ""}, r"1 of 4 .* have no label \(line 1 of"),
            ({"label": math.nan}, r"line 1 of .* not JSON \(NaN .*label.*null"),
            ({"label": -math.inf}, r"line 1 of .* not JSON \(-Infinity .*label"),
            ({"meta": {"camera_id": math.nan}}, r"line 1 of .* not JSON \(NaN .*camera_id"),
            ({"label": True}, r"label = True in line 1 of .*expected text or a number"),
            ({"id": False}, r"id = False in line 1 of .*expected text or a number"),
            ({"split": 1}, r"split = 1 in line 1 of .*expected text"),
            ({"meta": "x"}, r"meta = 'x' in line 1 of .*expected an object"),
            ({"label": ["a"]}, r"label = \['a'\] in line 1 of .*expected text or a number"),
            ({"label_idx": [0]}, r"label_idx = \[0\] in line 1 of .*expected a whole number"),
            ({"label_idx": "0"}, r"label_idx = '0' in line 1 of .*expected a whole number"),
            ({"label_idx": 0.5}, r"label_idx = 0\.5 in line 1 of .*expected a whole number"),
            ({"label_idx": True}, r"label_idx = True in line 1 of .*expected a whole number"),
            ({"crop_path": 7}, r"crop_path = 7 in line 1 of .*expected text"),
            ({"id": {"n": 1}}, r"id = \{'n': 1\} in line 1 of .*expected text or a number"),
            ({"id": "veh_1_2"}, "'veh_1_2' occurs twice, in line 1 of .* line 3 of"),
        ],
    )
    def test_wrong_records(self, tmp_path, change, message):
        records = self.records(tmp_path)
        records[0] |= change
        with pytest.raises(DataError, match=message):
            open_table(write_jsonl(tmp_path / "manifest.jsonl", records))

    def test_whole_numbers_may_be_floats(self, tmp_path):
        """As pandas writes a column of which some rows have none."""
        records = [r | {"label_idx": float("ba".index(r["label"]))} for r in self.records(tmp_path)]
        assert open_table(write_jsonl(tmp_path / "manifest.jsonl", records)).classes == ("b", "a")
        bare = [r | {"label": None} for r in records]
        assert open_table(write_jsonl(tmp_path / "manifest.jsonl", bare)).classes == ("0", "1")

    def test_one_label_or_camera_by_two_forms_of_a_number(self, tmp_path):
        records = self.records(tmp_path, label=1, meta={"camera_id": 3})
        records[1] |= {"label": 1.0, "meta": {"camera_id": 3.0}}
        records[2] |= {"label": 0.5}
        table = open_table(write_jsonl(tmp_path / "manifest.jsonl", records))
        assert table.classes == ("0.5", "1")
        assert table.groups == ("camera_id 3",) * 4

    def test_names_of_classes_hold_no_nan(self, tmp_path):
        place = write_jsonl(tmp_path / "manifest.jsonl", self.records(tmp_path))
        (tmp_path / "class_to_idx.json").write_text('{\n"a": 0,\n"b": NaN}')
        with pytest.raises(DataError, match=r"class_to_idx\.json cannot be read \(NaN.*line 3"):
            open_table(place)

    def test_what_is_not_read_may_be_odd(self, tmp_path):
        records = self.records(tmp_path, label_idx="", split=0)
        place = write_jsonl(tmp_path / "manifest.jsonl", records)
        assert len(open_table(place, labelled=False)) == 4

    def test_missing_pictures_are_named(self, tmp_path):
        records = self.records(tmp_path)
        (tmp_path / "crops" / "2.png").unlink()
        with pytest.raises(DataError, match=r"1 pictures .* do not exist \(.*2\.png\)"):
            open_table(write_jsonl(tmp_path / "manifest.jsonl", records))

    def test_not_json(self, tmp_path):
        place = write_jsonl(tmp_path / "manifest.jsonl", self.records(tmp_path))
        place.write_text(place.read_text() + '{"id": "cut o')
        with pytest.raises(DataError, match=r"line 5 of .* is not JSON"):
            open_table(place)

    def test_several(self, tmp_path):
        for name in ("manifest_a.jsonl", "manifest_b.jsonl"):
            write_jsonl(tmp_path / name, self.records(tmp_path))
        with pytest.raises(DataError, match=r"2 manifests \(manifest_a\.jsonl, manifest_b"):
            open_table(tmp_path)


class TestUnlabelled:
    def test_folder_in_natural_order(self, tmp_path):
        for name in ("10.png", "9.png", "b/1.jpg", "B2.PNG"):
            draw(tmp_path / name, 1)
        (tmp_path / "notes.txt").write_text("left out without a word")
        table = open_table(tmp_path, labelled=False)
        assert table.ids == ("9.png", "10.png", "B2.PNG", "b/1.jpg")
        assert table.labels.tolist() == [-1] * 4
        assert table.classes == ()
        assert table.notices == ()

    def test_zip(self, tmp_path):
        place = write_zip(
            tmp_path / "p.zip", {"t/10.png": 1, "t/9.png": 2, "__MACOSX/t/._9.png": b""}
        )
        assert open_table(place, labelled=False).ids == ("t/9.png", "t/10.png")

    def test_csv_keeps_ids_and_order(self, tmp_path):
        for name in ("007.jpg", "a b.png", "x.png"):
            draw(tmp_path / "test" / name, 1)
        rows = [("image_id",), ("x.png",), ("007",), ("a b",)]
        for place in (write_csv(tmp_path / "test.csv", rows, bom=True), tmp_path):
            table = open_table(place, labelled=False)
            assert table.ids == ("x.png", "007", "a b")
            assert [p.file.name for p in table.places] == ["x.png", "007.jpg", "a b.png"]

    def test_sample_submission(self, tmp_path):
        draw(tmp_path / "test" / "a.png", 1)
        place = write_csv(tmp_path / "sample.csv", [("image_id", "label"), ("a", 0)])
        table = open_table(place, labelled=False)
        assert table.places[0].file == tmp_path / "test" / "a.png"
        assert table.labels.tolist() == [-1]

    def test_competition_means_its_test_folder(self, tmp_path):
        draw(tmp_path / "train" / "a.png", 1)
        draw(tmp_path / "test" / "b.png", 1)
        write_csv(tmp_path / "train.csv", [("image_id", "label"), ("a", 0)])
        assert open_table(tmp_path, labelled=False).ids == ("b.png",)

    def test_ids_stand_once(self, tmp_path):
        draw(tmp_path / "test" / "a.png", 1)
        place = write_csv(tmp_path / "test.csv", [("image_id",), ("a",), ("a",)])
        with pytest.raises(DataError, match="occurs twice"):
            open_table(place, labelled=False)

    def test_manifest_and_index(self, tmp_path):
        draw(tmp_path / "m" / "a.png", 1)
        write_jsonl(tmp_path / "m" / "manifest.jsonl", [{"id": "q", "image_path": "a.png"}])
        assert open_table(tmp_path / "m", labelled=False).ids == ("q",)
        draw(tmp_path / "i" / "a.png", 1)
        write_csv(tmp_path / "i" / "index.csv", [("file",), ("a.png",)])
        assert open_table(tmp_path / "i", labelled=False).ids == ("a.png",)

    def test_nothing(self, tmp_path):
        (tmp_path / "a.txt").write_text("?")
        with pytest.raises(DataError, match=r"no pictures, but a\.txt"):
            open_table(tmp_path, labelled=False)


class TestUnrecognised:
    def test_what_is_recognised_and_what_was_found(self, tmp_path):
        for at in range(7):
            draw(tmp_path / f"{at}.png", at)
        with pytest.raises(DataError, match=r"0\.png, .* and 2 more \(7 \.png\).*class folders"):
            open_table(tmp_path)

    def test_empty(self, tmp_path):
        with pytest.raises(DataError, match="found nothing: expected class folders"):
            open_table(tmp_path)

    def test_absent(self, tmp_path):
        with pytest.raises(DataError, match="does not exist: expected class folders"):
            open_table(tmp_path / "none")

    def test_other_files(self, tmp_path):
        (tmp_path / "x.tar").write_bytes(b"")
        with pytest.raises(DataError, match=r"x\.tar is a \.tar file"):
            open_table(tmp_path / "x.tar")
        (tmp_path / "x.zip").write_bytes(b"PK no zip")
        with pytest.raises(DataError, match="is not a zip file, or is incomplete"):
            open_table(tmp_path / "x.zip")

    def test_relative_places_do_not_hang_on_where_we_are(self, tmp_path, monkeypatch):
        class_folders(tmp_path / "set", {"a": 1, "b": 1})
        monkeypatch.chdir(tmp_path)
        table = open_table(Path("set"))
        monkeypatch.chdir("/")
        assert PictureReader().content(table.places[0]) == encoded(0)
