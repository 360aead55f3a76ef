"""Crops: pure functions of seed and epoch, equal however they come, mirrored where too small."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tunewright.errors import DataError
from tunewright.images.loading.batching import Batching
from tunewright.recipes.compression.config import PhotosConfig
from tunewright.recipes.compression.data.crops import (
    Cropping,
    Crops,
    Cut,
    ResidentPhotos,
    StreamedPhotos,
    cut,
)
from tunewright.recipes.compression.data.photo_store import build_photo_store
from tunewright.recipes.compression.data.photos import open_photos

CROP = 16


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    place = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(7):
        pixels = rng.integers(0, 256, (14 + 5 * number, 40 - 4 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return open_photos(PhotosConfig(dir=str(place))).train.whole


@pytest.fixture(scope="module")
def photos(table):
    return ResidentPhotos(build_photo_store(table))


def crops(photos, *, threads=0, per_photo=3, hflip=0.5, vflip=0.5, **options) -> Crops:
    batching = Batching(**{"batch_size": 4, "seed": 5} | options)
    return Crops(photos, Cropping(CROP, per_photo, hflip, vflip), batching, threads=threads)


def epoch(loader: Crops, number: int) -> torch.Tensor:
    return torch.cat(list(loader.epoch(number)))


def test_an_epoch_follows_seed_and_number_alone(photos) -> None:
    loader = crops(photos)
    assert len(loader) == 5
    first = epoch(loader, 3)
    assert first.shape == (20, 3, CROP, CROP)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < 0.1
    assert 0.9 < first.max() <= 1
    epoch(loader, 0)
    assert torch.equal(first, epoch(crops(photos), 3))
    assert not torch.equal(first, epoch(loader, 4))
    assert not torch.equal(first, epoch(crops(photos, seed=6), 3))


def test_streamed_crops_are_the_same(photos, table) -> None:
    streamed = crops(StreamedPhotos(table), threads=2)
    for number in range(2):
        assert torch.equal(epoch(streamed, number), epoch(crops(photos), number))
    broken_off = streamed.epoch(7)
    next(broken_off)
    broken_off.close()
    assert torch.equal(epoch(streamed, 7), epoch(crops(photos), 7))


def test_micro_batches_are_the_same_crops(photos) -> None:
    parts = crops(photos, micro_batches=3)
    assert len(parts) == 15
    assert [len(part) for part in parts.epoch(0)][:3] == [2, 1, 1]
    assert torch.equal(epoch(parts, 0), epoch(crops(photos), 0))
    with pytest.raises(DataError, match="5 micro-batches"):
        crops(photos, micro_batches=5)


def test_in_order_they_are_the_centres(photos) -> None:
    loader = crops(photos, shuffle=False, drop_last=False, per_photo=1, hflip=1.0)
    assert [len(part) for part in loader.epoch(0)] == [4, 3]
    found = epoch(loader, 0)
    for row in range(7):
        wanted = cut(photos[row], Cut(row), CROP)
        assert np.array_equal((found[row] * 255).round().byte().numpy(), wanted)
    _, height, width = photos[2].shape
    top, left = (height - CROP) // 2, (width - CROP) // 2
    assert np.array_equal(
        cut(photos[2], Cut(2), CROP), photos[2][:, top : top + CROP, left : left + CROP]
    )


def test_flips_are_as_often_as_asked(photos) -> None:
    plain = epoch(crops(photos, hflip=0.0, vflip=0.0), 0)
    across = epoch(crops(photos, hflip=1.0, vflip=0.0), 0)
    over = epoch(crops(photos, hflip=0.0, vflip=1.0), 0)
    assert torch.equal(across, plain.flip(-1))
    assert torch.equal(over, plain.flip(-2))


def test_every_photograph_takes_part_and_batches_are_cut_to_what_is_there(photos) -> None:
    loader = crops(photos, batch_size=100)
    assert [len(part) for part in loader.epoch(0)] == [21]
    rows = [at.row for at in next(iter(loader.cuts(0)))]
    assert sorted(rows) == sorted([*range(7)] * 3)


def test_a_photograph_that_broke_since_is_named(table, tmp_path) -> None:
    place = tmp_path / "photos"
    place.mkdir()
    for number in range(2):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(place / f"{number}.png")
    streamed = StreamedPhotos(open_photos(PhotosConfig(dir=str(place))).train.whole)
    loader = crops(streamed, threads=1, batch_size=2)
    (place / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1\.png is not a readable picture"):
        epoch(loader, 0)


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 12),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.booleans(),
    st.booleans(),
)
def test_a_cut_shows_the_photograph(height, width, crop, down, right, hflip, vflip) -> None:
    photo = np.arange(3 * height * width, dtype=np.uint8).reshape(3, height, width)
    found = cut(photo, Cut(0, down, right, hflip, vflip), crop)
    assert found.shape == (3, crop, crop)
    upright = found[:, :: -1 if vflip else 1, :: -1 if hflip else 1]
    rows = _where(upright[0, :, 0], height, width)
    # Next to a pixel lies its neighbour in the photograph, or, at an edge, itself again.
    assert np.abs(np.diff(rows)).max(initial=0) <= 1
    if min(height, width) >= crop:
        top, left = divmod(int(upright[0, 0, 0]), width)
        assert np.array_equal(upright, photo[:, top : top + crop, left : left + crop])
    else:
        assert set(np.unique(found)) <= set(np.unique(photo))


def _where(values, height: int, width: int):
    """The row of the photograph that each value of its first plane stands in."""
    return values.astype(int) // width
