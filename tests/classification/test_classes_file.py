"""What a run folder says of its classes."""

import json
from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set

from tunewright.classification.classes_file import (
    FILE,
    ClassIndex,
    check_same,
    classes_of_run,
    data_dir_of,
    read_classes,
    write_classes,
)
from tunewright.errors import DataError
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import ImageSets, open_sets
from tunewright.runs.folder import RunFolder


@pytest.fixture
def sets(tmp_path: Path) -> ImageSets:
    folder = draw_set(tmp_path / "data", (6, 5, 4))
    return open_sets(ImagesConfig(dir=str(folder), val_split=0.3))


def test_the_first_time_they_come_from_the_sets_and_stay(sets, tmp_path):
    folder = RunFolder(tmp_path / "run")
    first = classes_of_run(folder, lambda: sets, "data")
    assert first.classes == ("blue", "green", "red")
    assert sum(first.counts) == len(sets.train)

    def gone() -> ImageSets:
        raise DataError("the data is gone")

    assert classes_of_run(folder, gone, "data") == first
    with pytest.raises(DataError, match="gone"):
        classes_of_run(RunFolder(tmp_path / "other"), gone, "data")


def test_everything_is_read_back(tmp_path):
    known = ClassIndex(("164", "165"), (3, 0), {"164": "rose"}, {"164": "1"}, "/data")
    folder = RunFolder(tmp_path / "run")
    write_classes(folder, known)
    assert read_classes(folder) == known


@pytest.mark.parametrize(
    "stored", [{}, {"classes": ["a"]}, {"classes": ["a"], "class_counts": [1, 2]}]
)
def test_half_a_file_is_refused(tmp_path, stored):
    (tmp_path / FILE).write_text(json.dumps(stored))
    with pytest.raises(DataError, match="does not list the classes"):
        read_classes(RunFolder(tmp_path))


def test_data_that_has_other_classes_now_is_refused(sets, tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert check_same(folder, sets.classes, sets) is sets
    with pytest.raises(DataError, match="other classes than in its training: 3 now, 2 then"):
        check_same(folder, ("blue", "green"), sets)


def test_relative_data_is_found_from_anywhere(sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = ClassIndex.of(sets, "data")
    assert known.data_dir == str(tmp_path / "data")
    assert data_dir_of(known, "data") == str(tmp_path / "data")
    assert data_dir_of(known, "/elsewhere") == "/elsewhere"
    assert data_dir_of(ClassIndex.of(sets, None), None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"classes": "ab"},
        {"classes": None},
        {"class_counts": [1, "x"]},
        {"names": ["a"]},
        {"category_ids": 3},
        {"data_dir": 5},
    ],
)
def test_a_class_file_of_another_form(tmp_path, change):
    whole = {"classes": ["a", "b", "c"], "class_counts": [1, 2, 3], "names": {}, "category_ids": {}}
    (tmp_path / FILE).write_text(json.dumps(whole | change))
    with pytest.raises(DataError, match=r"classes\.json does not list the classes"):
        read_classes(RunFolder(tmp_path))


def test_classes_in_another_unicode_form(tmp_path):
    stored = {"classes": ["cafe\u0301"], "class_counts": [1], "names": {"cafe\u0301": "x"}}
    (tmp_path / FILE).write_text(json.dumps(stored))
    known = read_classes(RunFolder(tmp_path))
    assert known is not None
    assert (known.classes, known.names) == (("caf\u00e9",), {"caf\u00e9": "x"})
