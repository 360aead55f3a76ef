"""From a configuration to train, valid and test: given, made, folded, checked, told."""

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import class_folders, draw, encoded, write_csv, write_jsonl

from tunewright.config.check import validate
from tunewright.errors import ConfigError, DataError
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import facts, fingerprints, open_sets
from tunewright.images.sources.open_source import open_table

SHARED = Path(__file__).parents[4] / "shared" / "data"


def opened(folder, **settings):
    return open_sets(ImagesConfig(dir=str(folder), **settings))


def indexed(folder, rows, header=("file", "label", "split")):
    """rows: (file, number of the picture, further cells)."""
    for name, number, *_ in rows:
        draw(folder / name, number)
    write_csv(folder / "index.csv", [header, *((name, *cells) for name, _, *cells in rows)])
    return folder


def notice(sets, word):
    found = [text for text in sets.notices if word in text]
    assert len(found) == 1, sets.notices
    return found[0]


class TestSplits:
    def test_valid_is_made_from_train(self, tmp_path):
        class_folders(tmp_path, {"a": 20, "b": 10})
        sets = opened(tmp_path, val_split=0.2)
        assert sets.train.counts.tolist() == [16, 8]
        assert sets.valid.counts.tolist() == [4, 2]
        assert sets.class_counts.tolist() == [16, 8]
        assert sets.classes == ("a", "b")
        assert sets.test is None
        assert notice(sets, "no test set")
        assert set(sets.train.ids).isdisjoint(sets.valid.ids)
        assert opened(tmp_path, val_split=0.2).valid.ids == sets.valid.ids
        assert opened(tmp_path, val_split=0.2, split_seed=1).valid.ids != sets.valid.ids

    def test_given_splits_are_used_as_they_are(self, tmp_path):
        class_folders(tmp_path, {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 2, "test/a": 4})
        sets = opened(tmp_path, val_split=0.5, test_split=0.3)
        assert [len(s) for s in (sets.train, sets.valid, sets.test)] == [6, 3, 4]
        assert sets.notices == ()

    def test_valid_is_never_taken_from_test(self, tmp_path):
        class_folders(tmp_path, {"train/a": 10, "train/b": 10, "test/a": 50, "test/b": 50})
        sets = opened(tmp_path, val_split=0.2)
        assert [len(s) for s in (sets.train, sets.valid, sets.test)] == [16, 4, 100]

    @pytest.mark.parametrize(("target", "link"), [("val", "test"), ("test", "val")])
    def test_one_folder_by_two_names_is_both(self, tmp_path, target, link):
        class_folders(tmp_path, {f"{top}/{c}": 4 for top in ("train", target) for c in "ab"})
        (tmp_path / link).symlink_to(target)
        with pytest.raises(DataError, match="8 pictures stand in several splits"):
            opened(tmp_path)
        sets = opened(tmp_path, leaks="warn")
        assert [len(s) for s in (sets.train, sets.valid, sets.test)] == [8, 8, 8]
        assert notice(sets, "leaks")

    @pytest.mark.parametrize("how", ["symlink_to", "hardlink_to"])
    def test_files_by_two_names_are_both(self, tmp_path, how):
        class_folders(tmp_path, {"train/a": 4, "train/b": 4, "val/a": 2, "val/b": 2})
        (tmp_path / "test" / "a").mkdir(parents=True)
        for n in range(2):
            getattr(tmp_path / "test" / "a" / f"{n}.png", how)(tmp_path / "val" / "a" / f"{n}.png")
        with pytest.raises(DataError, match="2 pictures stand in several splits"):
            opened(tmp_path)

    def test_test_only_when_asked_for(self, tmp_path):
        class_folders(tmp_path, {"a": 20, "b": 20})
        sets = opened(tmp_path, val_split=0.2, test_split=0.25)
        assert [len(s) for s in (sets.train, sets.valid, sets.test)] == [22, 8, 10]

    def test_both_shares_are_of_all_pictures(self, tmp_path):
        """As the guide's .70/.15/.15; .15 / .85 of 340 is a little more than 60 in floats."""
        class_folders(tmp_path, dict.fromkeys("abcd", 100))
        sets = opened(tmp_path, val_split=0.15, test_split=0.15)
        assert [len(s) for s in (sets.train, sets.valid, sets.test)] == [280, 60, 60]
        assert sets.valid.counts.tolist() == [15] * 4

    def test_a_given_test_set_is_no_part_of_the_whole(self, tmp_path):
        class_folders(tmp_path, {"train/a": 10, "train/b": 10, "test/a": 50, "test/b": 50})
        sets = opened(tmp_path, val_split=0.2, test_split=0.5)
        assert [len(s) for s in (sets.train, sets.valid, sets.test)] == [16, 4, 100]

    def test_folds(self, tmp_path):
        class_folders(tmp_path, {"a": 12, "b": 8})
        runs = [opened(tmp_path, folds=4, fold=fold) for fold in range(4)]
        assert [run.valid.counts.tolist() for run in runs] == [[3, 2]] * 4
        assert sorted(name for run in runs for name in run.valid.ids) == sorted(
            open_table(tmp_path).ids
        )
        for run in runs:
            assert set(run.train.ids).isdisjoint(run.valid.ids)
            assert len(run.train) == 15

    def test_folds_take_a_given_valid_in(self, tmp_path):
        class_folders(tmp_path, {"train/a": 6, "train/b": 6, "val/a": 2, "val/b": 2, "test/a": 3})
        sets = opened(tmp_path, folds=4)
        assert [len(s) for s in (sets.train, sets.valid, sets.test)] == [12, 4, 3]
        assert notice(sets, "join the folds")

    @pytest.mark.parametrize("settings", [{"val_split": 0.3}, {"folds": 3}])
    def test_groups_and_copies_stay_together(self, tmp_path, settings):
        rows = [(f"{n}.png", n, "ab"[n % 2], f"g{n // 3}") for n in range(30)]
        rows.append(("copy.png", 0, "a", "other"))
        indexed(tmp_path, rows, ("file", "label", "plant"))
        sets = opened(tmp_path, group_by="plant", **settings)
        sides = {name: side for side, s in enumerate([sets.train, sets.valid]) for name in s.ids}
        assert len(sides) == 31
        assert all(len({sides[f"{n}.png"] for n in range(g, g + 3)}) == 1 for g in range(0, 30, 3))
        assert sides["copy.png"] == sides["0.png"]
        assert "0.png and copy.png" in notice(sets, "byte for byte")

    def test_impossible_shares(self, tmp_path):
        class_folders(tmp_path, {"a": 4, "b": 4})
        with pytest.raises(ConfigError, match="sum below 1"):
            opened(tmp_path, val_split=0.5, test_split=0.5)
        with pytest.raises(ConfigError, match=r"data\.fold = 3 with data\.folds = 3.*0 to 2"):
            opened(tmp_path, folds=3, fold=3)
        with pytest.raises(ConfigError, match=r"data\.val_split = 0, and the source has no valid"):
            opened(tmp_path, val_split=0.0)

    def test_one_group_cannot_be_split(self, tmp_path):
        rows = [(f"{n}.png", n, "ab"[n % 2], "one") for n in range(6)]
        indexed(tmp_path, rows, ("file", "label", "group"))
        with pytest.raises(DataError, match=r"leaves 6 pictures to train on and 0 to validate"):
            opened(tmp_path)

    def test_nothing_to_train_on(self, tmp_path):
        indexed(tmp_path, [(f"{n}.png", n, "ab"[n], "val") for n in range(2)])
        with pytest.raises(DataError, match="leaves 0 pictures to train on"):
            opened(tmp_path)


class TestLeaks:
    def leaking(self, folder):
        rows = [(f"{n}.png", n, "ab"[n % 2], "train") for n in range(4)]
        rows += [("same.png", 1, "b", "test"), ("new.png", 9, "a", "val")]
        return indexed(folder, rows)

    def test_same_bytes(self, tmp_path):
        self.leaking(tmp_path)
        message = (
            r"leaks: 1 pictures stand in several splits, byte for byte "
            r"\(same\.png in test and 1\.png in train\).*data\.leaks=warn"
        )
        with pytest.raises(DataError, match=message):
            opened(tmp_path)
        sets = opened(tmp_path, leaks="warn")
        assert len(sets.test) == 1
        assert notice(sets, "too good")

    def test_same_group(self, tmp_path):
        cameras, splits = [0, 3, 0, 3, 0, 0], ["train", "train", "train", "test", "train", "val"]
        records = [
            {"id": f"p{n}", "image_path": f"{n}.png", "label": "ab"[n % 2], "split": splits[n]}
            | {"meta": {"camera_id": cameras[n]}}
            for n in range(6)
        ]
        for n in range(6):
            draw(tmp_path / f"{n}.png", n)
        write_jsonl(tmp_path / "manifest.jsonl", records)
        message = r"2 groups stand .*'camera_id 0': p0 in train and p5 in valid"
        with pytest.raises(DataError, match=message):
            opened(tmp_path)
        assert len(opened(tmp_path, group_by=None).valid) == 1

    def test_other_boxes_of_one_frame_are_other_pictures(self, tmp_path):
        draw(tmp_path / "frame.png", 1)
        records = [
            {"id": f"p{n}", "image_path": "frame.png", "bbox_xyxy": [n, 0, n + 4, 5]}
            | {"label": "ab"[n % 2], "split": "val" if n > 3 else "train"}
            for n in range(6)
        ]
        write_jsonl(tmp_path / "manifest.jsonl", records)
        assert len(opened(tmp_path).valid) == 2
        records[5]["bbox_xyxy"] = records[1]["bbox_xyxy"]
        write_jsonl(tmp_path / "manifest.jsonl", records)
        with pytest.raises(DataError, match="p1 in train and p5 in valid"):
            opened(tmp_path)

    def test_copies_of_other_labels_are_told(self, tmp_path):
        rows = [(f"{n}.png", n, "ab"[n % 2]) for n in range(10)] + [("c.png", 0, "b")]
        sets = opened(indexed(tmp_path, rows, ("file", "label")))
        assert "0.png is a, c.png is b" in notice(sets, "another label")


class TestClasses:
    def test_one_picture_stays_in_train(self, tmp_path):
        class_folders(tmp_path, {"a": 20, "b": 20, "c": 1})
        for settings in ({}, {"folds": 2, "fold": 0}, {"folds": 2, "fold": 1}):
            sets = opened(tmp_path, **settings)
            assert sets.train.counts[2] == 1
            assert "1 classes have one picture, which is in train (c)" in sets.notices
            assert "2 of 3 classes" in notice(sets, "nothing is measured of c (n = 1 in train)")

    def test_empty_and_unlearnt(self, tmp_path):
        class_folders(tmp_path, {"train/a": 3, "train/b": 3, "train/c": 0, "val/a": 2, "val/d": 1})
        sets = opened(tmp_path)
        assert sets.class_counts.tolist() == [3, 3, 0, 0]
        assert notice(sets, "no picture to train on") == (
            "1 classes have no picture to train on (c)"
        )
        assert "(d)" in notice(sets, "never trained on")
        assert "1 of 2 classes" in notice(sets, "nothing is measured of b (n = 3 in train)")
        assert facts(ImagesConfig(dir=str(tmp_path))) == {
            "rows": 6,
            "valid_rows": 3,
            "classes": 4,
            "smallest_class": 0,
            "largest_class": 3,
            "side": 10.0,
        }


class TestSkipBad:
    def broken(self, folder):
        class_folders(folder, {"a": 30, "b": 30})
        (folder / "a" / "3.png").write_bytes(b"")
        content = encoded(77)
        (folder / "b" / "7.png").write_bytes(content[: len(content) // 2])
        return folder

    def test_listed_and_left_out(self, tmp_path):
        self.broken(tmp_path)
        assert len(opened(tmp_path).train) + len(opened(tmp_path).valid) == 60
        sets = opened(tmp_path, skip_bad=True)
        ids = {*sets.train.ids, *sets.valid.ids}
        assert len(ids) == 58
        assert not {"a/3.png", "b/7.png"} & ids
        text = notice(sets, "skipped as unreadable (a/3.png, b/7.png)")
        listed = Path(text.rpartition(" in ")[2]).read_text().splitlines()
        assert listed[0].startswith("a/3.png\t")
        assert listed[0].endswith("is empty")
        assert "not a readable picture" in listed[1]

    def test_the_second_time_nothing_is_decoded(self, tmp_path, monkeypatch):
        self.broken(tmp_path)
        first = opened(tmp_path, skip_bad=True)
        monkeypatch.setattr("tunewright.images.sources.reader.rgb", None)
        assert opened(tmp_path, skip_bad=True).notices == first.notices

    def test_too_many(self, tmp_path):
        class_folders(tmp_path, {"a": 10, "b": 10})
        for n in range(2):
            (tmp_path / "a" / f"{n}.png").write_bytes(b"")
        message = r"2 of 20 pictures .* cannot be used \(.*0\.png is empty.*at most 5%"
        with pytest.raises(DataError, match=message):
            opened(tmp_path, skip_bad=True)


class TestDefault:
    def test_drawn_once(self):
        drawn = []

        def make(folder):
            drawn.append(folder)
            indexed(folder, [(f"{n}.png", 500 + n, "ab"[n % 2], "train") for n in range(20)])

        first = open_sets(ImagesConfig(), make_default=make)
        assert len(first.train) == 17
        assert notice(first, "embedded default set")
        again = open_sets(ImagesConfig(), make_default=make)
        assert len(drawn) == 1
        assert again.train.ids == first.train.ids
        assert [*again.train.origin.parent.glob(".*")] == []

    def test_a_failure_leaves_nothing(self):
        def fail(folder):
            draw(folder / "a.png", 1)
            raise KeyboardInterrupt

        fail.__module__ = "drawn_pictures"  # whose code names the folder
        with pytest.raises(KeyboardInterrupt):
            open_sets(ImagesConfig(), make_default=fail)
        embedded = Path.home() / ".cache/tunewright/images/embedded"
        assert [path for path in embedded.iterdir() if "drawn_pictures" in path.name] == []

    def test_none(self):
        with pytest.raises(ConfigError, match=r"data\.dir = null: expected a folder"):
            open_sets(ImagesConfig())


class TestFingerprints:
    def test_content_and_classes_tell(self, tmp_path):
        one = class_folders(tmp_path / "x", {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1})
        data = ImagesConfig(dir=str(one))
        first = fingerprints(data)
        assert set(first) == {"train", "valid"}
        one.rename(tmp_path / "y")
        assert fingerprints(ImagesConfig(dir=str(tmp_path / "y"))) == first
        draw(tmp_path / "y" / "train" / "a" / "0.png", 99)
        changed = fingerprints(ImagesConfig(dir=str(tmp_path / "y")))
        assert changed["train"] != first["train"]
        assert changed["valid"] == first["valid"]
        (tmp_path / "y/val/b").rename(tmp_path / "y/val/c")
        assert fingerprints(ImagesConfig(dir=str(tmp_path / "y")))["valid"] != first["valid"]


class TestRealData:
    def test_cifar10_lt(self):
        if not (SHARED / "cifar10_lt").is_dir():
            pytest.skip("../shared/data/cifar10_lt is not there")
        sets = opened(SHARED / "cifar10_lt")
        counts = [2500, 1618, 1048, 678, 439, 284, 184, 119, 77, 50]
        assert (sets.train.counts + sets.valid.counts).tolist() == counts
        assert np.abs(sets.valid.counts - 0.15 * np.array(counts)).max() <= 1
        assert sets.test.counts.tolist() == [100] * 10
        assert sets.notices == ()
        assert facts(ImagesConfig(dir=str(SHARED / "cifar10_lt")))["smallest_class"] == 43

    def test_flowers17(self):
        if not (SHARED / "flowers17").is_dir():
            pytest.skip("../shared/data/flowers17 is not there")
        sets = opened(SHARED / "flowers17")
        assert sets.train.counts.tolist() == [30] * 17
        assert sets.valid.counts.tolist() == [10] * 17
        assert sets.test.counts.tolist() == [10] * 17


def test_configuration_is_checked():
    assert validate({"dir": "x", "folds": 5, "fold": 4}, ImagesConfig).fold == 4
    for wrong in ({"folds": 1}, {"leaks": "allow"}, {"store": "disk"}, {"image_sise": 3}):
        with pytest.raises(ConfigError):
            validate(wrong, ImagesConfig)
    assert json.loads(ImagesConfig().model_dump_json())["val_split"] == 0.15
