"""Pictures that were scaled wrongly before they were written are told."""

import numpy as np
import pytest
from PIL import Image

from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import open_sets
from tunewright.images.dataset.value_range import dark_notices, dark_picture_notices
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.open_source import open_table
from tunewright.recipes.compression.config import PhotosConfig
from tunewright.recipes.compression.data.photos import open_photos


def write(folder, scale, kind="png", mode="RGB", count=12):
    draws = np.random.default_rng(0)
    for number in range(count):
        pixels = (draws.random((9, 7, 3)) * scale).astype(np.uint8)
        file = folder / "ab"[number % 2] / f"{number}.{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(file)
    return folder


@pytest.mark.parametrize(("kind", "mode"), [("png", "RGB"), ("bmp", "L")])
def test_values_between_0_and_1_are_told(tmp_path, kind, mode):
    place = write(tmp_path / "set", 1.99, kind, mode)
    [notice] = dark_notices(open_table(place), place)
    assert notice.startswith(f"no value of 8 pictures of {place} is above 1 of 255 (a/0.{kind}")
    assert "multiplied by 255" in notice


def test_one_picture_with_light_is_enough(tmp_path):
    place = write(tmp_path / "set", 1.99)
    Image.fromarray(np.full((9, 7, 3), 4, np.uint8)).save(place / "a" / "0.png")
    assert dark_notices(open_table(place), place) == []


def test_broken_pictures_are_left_to_those_that_decode_them(tmp_path):
    place = write(tmp_path / "set", 1.99, count=4)
    for file in place.glob("*/*.png"):
        file.write_bytes(file.read_bytes()[:40])
    assert dark_notices(open_table(place), place) == []


def test_each_kind_of_data_says_it(tmp_path):
    place = write(tmp_path / "set", 1.99)
    assert any(
        "all but black" in said for said in open_photos(PhotosConfig(dir=str(place))).notices
    )
    sets = open_sets(ImagesConfig(dir=str(place)))
    assert any("all but black" in said for said in sets.notices)


def test_pictures_without_a_table(tmp_path):
    place = write(tmp_path / "set", 1.99, count=3)
    pictures = [(file.name, PicturePlace(file)) for file in sorted(place.glob("*/*"))]
    [notice] = dark_picture_notices(pictures, place)
    assert notice.startswith(f"no value of 3 pictures of {place} is above 1 of 255 (0.png")
    assert dark_picture_notices([], place) == []
