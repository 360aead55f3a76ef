"""What a run folder says of its classes."""

import json
from pathlib import Path

import pytest
import torch
from practice.pictures.drawn import draw_set
from safetensors.torch import save_file

from tunewright.config.check import checked
from tunewright.config.compose import compose
from tunewright.errors import DataError
from tunewright.parts.classify.classifier import open_classifier
from tunewright.parts.classify.known_classes import (
    FILE,
    KnownClasses,
    check_same,
    data_dir_of,
    known_classes,
    read_classes,
    write_classes,
)
from tunewright.parts.classify.setup import make_model
from tunewright.parts.images.config import ImagesData
from tunewright.parts.images.sets import ImageSets, open_sets
from tunewright.recipes.find import find_recipe
from tunewright.recipes.longtail.config import LongtailConfig
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import RunFolder

TINY = ("model.name=test_resnet", "model.fusion=none", "data.image_size=16")


@pytest.fixture
def sets(tmp_path: Path) -> ImageSets:
    folder = draw_set(tmp_path / "data", (6, 5, 4))
    return open_sets(ImagesData(dir=str(folder), val_split=0.3))


def test_the_first_time_they_come_from_the_sets_and_stay(sets, tmp_path):
    folder = RunFolder(tmp_path / "run")
    first = known_classes(folder, lambda: sets, "data")
    assert first.classes == ("blue", "green", "red")
    assert first.val_of == "all"
    assert sum(first.counts) == len(sets.train)

    def gone() -> ImageSets:
        raise DataError("the data is gone")

    assert known_classes(folder, gone, "data") == first
    with pytest.raises(DataError, match="gone"):
        known_classes(RunFolder(tmp_path / "other"), gone, "data")


def test_everything_is_read_back(tmp_path):
    known = KnownClasses(("164", "165"), (3, 0), {"164": "rose"}, {"164": "1"}, "/data")
    folder = RunFolder(tmp_path / "run")
    write_classes(folder, known)
    assert read_classes(folder) == known


def test_a_run_of_before_keeps_its_validation_set(tmp_path):
    """It took `val_split` of what the test set left, and says nothing of it."""
    data = draw_set(tmp_path / "data", (20, 20, 20))
    tree = compose(
        find_recipe("longtail"),
        [f"data.dir={data}", "data.test_split=0.25", "data.val_split=0.2", *TINY],
    ).tree
    config = checked(tree, LongtailConfig)
    folder = RunFolder(tmp_path / "run")
    folder.write_config(tree)
    weights = make_model(config, 3).state_dict()
    folder.checkpoints.mkdir(exist_ok=True)
    save_file(weights, folder.checkpoints / "best.safetensors")
    cpu = torch.device("cpu")
    stored = KnownClasses.of(open_sets(config.data, val_of="rest"), config.data.dir).as_json()
    assert stored.pop("val_of") == "rest"
    write_json(folder.path / FILE, stored)
    opened = open_classifier(folder, LongtailConfig, cpu)
    sets = opened.sets
    assert [len(s) for s in (sets.train, sets.valid, sets.test)] == [36, 9, 15]
    assert opened.class_counts.tolist() == sets.class_counts.tolist()
    write_classes(folder, KnownClasses.of(open_sets(config.data), config.data.dir))
    assert len(open_classifier(folder, LongtailConfig, cpu).sets.valid) == 12


@pytest.mark.parametrize(
    "stored", [{}, {"classes": ["a"]}, {"classes": ["a"], "class_counts": [1, 2]}]
)
def test_half_a_file_is_refused(tmp_path, stored):
    (tmp_path / FILE).write_text(json.dumps(stored))
    with pytest.raises(DataError, match="does not say which classes"):
        read_classes(RunFolder(tmp_path))


def test_data_that_has_other_classes_now_is_refused(sets, tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert check_same(folder, sets.classes, sets) is sets
    with pytest.raises(DataError, match="other classes now than in its training: 3 and 2"):
        check_same(folder, ("blue", "green"), sets)


def test_relative_data_is_found_from_anywhere(sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = KnownClasses.of(sets, "data")
    assert known.data_dir == str(tmp_path / "data")
    assert data_dir_of(known, "data") == str(tmp_path / "data")
    assert data_dir_of(known, "/elsewhere") == "/elsewhere"
    assert data_dir_of(KnownClasses.of(sets, None), None) is None
