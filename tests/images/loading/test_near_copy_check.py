import csv

import numpy as np
import pytest
from PIL import Image

from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import open_sets
from tunewright.images.loading import near_copy_check as module
from tunewright.images.loading.near_copy_check import near_copy_notices
from tunewright.images.loading.store import build_store


def photo(seed):
    draws = np.random.default_rng(seed)
    small = draws.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((48, 40), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path):
    """Sets of 2 classes; the first picture of valid is one of train, saved again as JPEG."""
    seed = 0
    for split, count in (("train", 6), ("valid", 3), ("test", 3)):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                photo(seed).save(tmp_path / split / label / f"{number}.png")
                seed += 1
    photo(0).save(tmp_path / "valid" / "a" / "again.jpg", quality=60)
    return tmp_path


def notices(data, folder, size=32, **options):
    sets = open_sets(ImagesConfig(dir=str(data), **options))
    parts = {"train": sets.train, "valid": sets.valid, "test": sets.test}
    return near_copy_notices(
        {name: (table, build_store(table, size, folder=folder)) for name, table in parts.items()}
    )


def test_the_pair_is_named_and_listed(data, tmp_path):
    (notice,) = notices(data, tmp_path / "cache")
    assert "1 pair of near copies in two splits (train/a/0.png in train and " in notice
    assert "valid/a/again.jpg in valid" in notice
    (file,) = (tmp_path / "cache").rglob("near_copies.csv")
    assert str(file) in notice
    rows = list(csv.reader(file.read_text().splitlines()))
    assert rows[1][:4] == ["train/a/0.png", "train", "valid/a/again.jpg", "valid"]


def test_copies_byte_for_byte_are_left_to_the_leaks(data, tmp_path):
    content = (data / "train" / "b" / "2.png").read_bytes()
    (data / "test" / "b" / "same.png").write_bytes(content)
    (notice,) = notices(data, tmp_path / "cache", leaks="warn")
    assert "1 pair of near copies" in notice


def test_hashes_are_computed_once(data, tmp_path, monkeypatch):
    first = notices(data, tmp_path / "cache")
    monkeypatch.setattr(module, "perceptual_hashes", lambda _: pytest.fail("computed again"))
    assert notices(data, tmp_path / "cache") == first


def test_pictures_too_small_to_tell_and_too_many_are_not_compared(data, tmp_path, monkeypatch):
    assert notices(data, tmp_path / "cache", size=8) == []
    monkeypatch.setattr(module, "MOST_PAIRS", 10)
    (notice,) = notices(data, tmp_path / "cache")
    assert "near copies are not looked for: train and valid have 84 pairs" in notice
