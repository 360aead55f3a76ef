"""Validation logits: computed once, and never those of other weights or pictures."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run, opened

from tunewright.classification.inference import cached_logits as module
from tunewright.classification.inference.cached_logits import (
    FILE,
    check_same_pictures,
    validation_labels,
    validation_logits,
)
from tunewright.classification.inference.tta_views import IMAGE, read_views
from tunewright.errors import DataError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(tmp_path: Path):
    draw_set(tmp_path / "data")
    return made_run(tmp_path / "run", tmp_path / "data", steps=5)


@pytest.fixture
def passes(monkeypatch):
    """The views of every pass over the pictures."""
    seen = []
    real = module.predict_table

    def counted(*arguments, **options):
        seen.append([view.name for view in options["views"]])
        return real(*arguments, **options)

    monkeypatch.setattr(module, "predict_table", counted)
    return seen


def test_each_view_is_computed_once(run, passes):
    classifier = opened(run)
    first = validation_logits(classifier)
    views = read_views(tta=True).all()
    both = validation_logits(classifier, views)
    again = validation_logits(opened(run), views)
    assert passes == [["image"], ["hflip"]]
    assert torch.equal(both[:1], first)
    assert torch.equal(again, both)
    assert first.shape == (1, len(validation_labels(classifier)), 3)


def test_other_weights_are_asked_again(run, passes, tmp_path):
    first = validation_logits(opened(run))
    other = made_run(tmp_path / "other", tmp_path / "data", seed=2, steps=5)
    best = "checkpoints/best.safetensors"
    shutil.copyfile(other.path / best, run.path / best)
    second = validation_logits(opened(run))
    assert len(passes) == 2
    assert not torch.equal(first, second)


def test_other_pictures_are_asked_again(run, passes, tmp_path):
    classifier = opened(run)
    validation_logits(classifier)
    picture = classifier.sets.valid.places[0].file
    shutil.copyfile(classifier.sets.train.places[0].file, picture)
    validation_logits(opened(run))
    assert passes == [["image"], ["image"]]


def test_pictures_that_change_places_are_asked_again(run, passes):
    classifier = opened(run)
    validation_logits(classifier)
    one, other = (classifier.sets.valid.places[row].file for row in (0, -1))
    for file in (one, other):
        os.utime(file, (1577836800, 1577836800))
        os.truncate(file, 20_000)  # readers stop at the end of the picture
    validation_logits(opened(run))
    one.rename(one.with_name("aside"))
    other.rename(one)
    one.with_name("aside").rename(other)
    validation_logits(opened(run))
    assert passes == [["image"]] * 3


def test_a_file_that_is_torn_is_made_again(run, passes):
    first = validation_logits(opened(run))
    file = run.path / FILE
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(validation_logits(opened(run), [IMAGE]), first)
    assert len(passes) == 2


def test_a_run_that_may_only_be_read_is_asked_each_time(run, passes):
    (run.path / FILE).mkdir()
    first = validation_logits(opened(run))
    assert torch.equal(validation_logits(opened(run)), first)
    assert len(passes) == 2


def test_runs_that_were_validated_otherwise_are_not_compared(run, tmp_path):
    other = made_run(tmp_path / "other", tmp_path / "data", steps=5, split_seed=7)
    check_same_pictures([opened(run), opened(run)])
    with pytest.raises(DataError, match="different pictures"):
        check_same_pictures([opened(run), opened(other)])
