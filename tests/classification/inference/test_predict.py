"""Pictures in order, decoded ahead, and what is done about broken ones."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from practice.pictures.drawn import draw_set, draw_test
from practice.pictures.made import made_run, opened

from tunewright.classification.inference import predict
from tunewright.classification.inference.predict import (
    BATCHES_AHEAD,
    DecodedBatches,
    predict_table,
    usual_batch_size,
)
from tunewright.classification.inference.tta import average_views
from tunewright.classification.inference.tta_views import IMAGE, View
from tunewright.errors import DataError
from tunewright.images.loading.square import SquareInput, as_uint8
from tunewright.images.sources.open_source import open_table
from tunewright.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    draw_set(place / "data")
    draw_test(place / "test", 50)
    made_run(place / "run", place / "data", steps=5)
    return place


def test_every_picture_once_in_order_at_every_size(place):
    table = open_table(place / "test", labelled=False)
    with DecodedBatches(table, [8, SquareInput(16, "crop")], 7) as batches:
        found = list(batches)
    assert [batch.start for batch in found] == list(range(0, 50, 7))
    assert found[-1].stop == 50
    for key, square in ((8, SquareInput(8)), (SquareInput(16, "crop"), SquareInput(16, "crop"))):
        images = torch.cat([batch.images[key] for batch in found])
        for row in (0, 6, 7, 49):
            with Image.open(table.places[row].file) as picture:
                assert np.array_equal(images[row].numpy(), as_uint8(picture, *square))


def test_the_batch_size_changes_nothing(place):
    classifier, table = opened(RunFolder(place / "run")), open_table(place / "test", labelled=False)
    whole, parts = (
        predict_table([classifier], table, lambda logits: logits[0][0], batch_size=size).scores
        for size in (50, 9)
    )
    torch.testing.assert_close(whole, parts)


@pytest.mark.parametrize(("seconds", "ahead"), [(0.2, 0), (0.0, BATCHES_AHEAD)])
def test_on_a_cpu_decoding_runs_beside_a_model_that_does_not_need_it(
    place, monkeypatch, seconds, ahead
):
    made = []

    class Noted(DecodedBatches):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

        def _decode(self, *arguments):
            time.sleep(0.02)
            return super()._decode(*arguments)

    def reduce(logits: list[torch.Tensor]) -> torch.Tensor:
        time.sleep(seconds)
        return logits[0][0]

    monkeypatch.setattr(predict, "DecodedBatches", Noted)
    classifier, table = opened(RunFolder(place / "run")), open_table(place / "test", labelled=False)
    found = predict_table([classifier], table, reduce, batch_size=20)
    assert found.scores.shape[0] == 50
    assert [batches.ahead for batches in made] == [ahead]


def test_all_members_and_views_reach_the_reduction(place):
    classifier, table = opened(RunFolder(place / "run")), open_table(place / "test", labelled=False)
    views = [IMAGE, View("hflip", hflip=True)]

    def reduce(logits: list[torch.Tensor]) -> torch.Tensor:
        assert [tuple(of_member.shape[::2]) for of_member in logits] == [(2, 3), (2, 3)]
        return average_views(logits[1])

    found = predict_table([classifier, classifier], table, reduce, views=views).scores
    assert found.shape == (50, 3)
    assert found.dtype == torch.float32


def test_progress_ends_at_the_total(place):
    said = []
    table = open_table(place / "test", labelled=False)
    predict_table(
        [opened(RunFolder(place / "run"))],
        table,
        lambda logits: logits[0][0],
        batch_size=10,
        on_progress=lambda count, total: said.append((count, total)),
    )
    assert said[-1] == (50, 50)


def test_unreadable_pictures_are_all_named(place, tmp_path):
    folder = draw_test(tmp_path / "broken", 12)
    (folder / "img_3.png").write_bytes(b"")
    (folder / "img_9.png").write_bytes(b"no picture at all")
    table = open_table(folder, labelled=False)
    classifier = opened(RunFolder(place / "run"))
    with pytest.raises(DataError) as caught:
        predict_table([classifier], table, lambda logits: logits[0][0], batch_size=4)
    assert "2 of 12" in str(caught.value)
    assert "img_3.png" in str(caught.value)
    assert "img_9.png" in str(caught.value)
    assert "--skip-bad" in str(caught.value)
    found = predict_table(
        [classifier], table, lambda logits: logits[0][0], batch_size=4, skip_bad=True
    )
    assert sorted(table.ids[row] for row in found.bad) == ["img_3.png", "img_9.png"]
    assert found.scores.shape == (12, 3)


def test_no_pictures_are_no_answer(place):
    table = open_table(place / "test", labelled=False).take(np.array([], dtype=int))
    with pytest.raises(DataError, match="no pictures"):
        predict_table([opened(RunFolder(place / "run"))], table, lambda logits: logits[0][0])


def test_batches_are_smaller_for_larger_pictures():
    cpu = torch.device("cpu")
    assert usual_batch_size(32, cpu) == 256
    assert usual_batch_size(224, cpu) == 20
    assert usual_batch_size(1024, cpu) == 8
