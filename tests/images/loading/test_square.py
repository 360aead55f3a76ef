import numpy as np
import pytest
from PIL import Image
from torchvision.transforms.v2 import CenterCrop, InterpolationMode, Resize

from tunewright.images.loading.square import LETTERBOX_FILL, as_uint8


def picture(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


SIZES = [(40, 30), (30, 40), (37, 23), (16, 90), (5, 7), (32, 32), (31, 100), (3, 60), (60, 3)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_crop_is_that_of_torchvision(width, height):
    image = picture(width, height)
    theirs = CenterCrop(16)(Resize(16, InterpolationMode.BILINEAR)(image))
    assert np.array_equal(as_uint8(image, 16, "crop"), np.asarray(theirs).transpose(2, 0, 1))


def test_letterbox_keeps_the_shape_and_centres_it():
    found = as_uint8(Image.new("RGB", (40, 20), "white"), 16, "letterbox")
    fill = np.array(LETTERBOX_FILL)
    assert (found.transpose(1, 2, 0)[4:12] == 255).all()
    assert (found.transpose(1, 2, 0)[:4] == fill).all()
    assert (found.transpose(1, 2, 0)[12:] == fill).all()


def test_letterbox_of_a_thin_picture_keeps_a_pixel():
    found = as_uint8(Image.new("RGB", (1, 500), "white"), 16, "letterbox")
    assert (found == 255).all(axis=(0, 1)).tolist() == [column == 7 for column in range(16)]


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
def test_a_picture_of_that_size_is_not_resampled(resize):
    image = picture(16, 16)
    assert np.array_equal(as_uint8(image, 16, resize), np.asarray(image).transpose(2, 0, 1))
