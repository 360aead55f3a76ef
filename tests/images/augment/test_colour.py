"""Colours against torchvision and colorsys, one picture at a time with the same factors."""

import colorsys

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.colour import blend, equalise, shift_hsv
from tunewright.images.augment.config import AugmentationLevel
from tunewright.images.augment.corruptions import gaussian_blur


def pictures(count=5, size=15, low=0.0, high=1.0):
    draw = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    return draw * (high - low) + low


def ones(count=5):
    return torch.ones(count)


FACTORS = torch.tensor([0.6, 0.9, 1.0, 1.1, 1.4])


class TestBlend:
    @pytest.mark.parametrize(
        ("place", "reference"),
        [(0, tv.adjust_brightness), (1, tv.adjust_contrast), (2, tv.adjust_saturation)],
    )
    def test_one_factor_alone(self, place, reference):
        factors = [ones(), ones(), ones()]
        factors[place] = FACTORS
        found = blend(pictures(), *factors, ones(), ones() * 0)
        for image, factor, changed in zip(pictures(), FACTORS.tolist(), found, strict=True):
            assert torch.allclose(changed, reference(image, factor), atol=2e-6)

    def test_all_at_once_where_nothing_is_cut_off(self):
        images = pictures(low=0.4, high=0.6)
        found = blend(images, FACTORS, FACTORS.flip(0), FACTORS.roll(1), ones(), ones() * 0)
        for row, image in enumerate(images):
            image = tv.adjust_brightness(image, FACTORS[row].item())
            image = tv.adjust_contrast(image, FACTORS.flip(0)[row].item())
            image = tv.adjust_saturation(image, FACTORS.roll(1)[row].item())
            assert torch.allclose(found[row], image, atol=1e-5)

    def test_brightness_and_contrast_of_pixels(self):
        plus = torch.tensor([-0.2, -0.1, 0.0, 0.1, 0.2])
        found = blend(pictures(), ones(), ones(), ones(), FACTORS, plus)
        expected = pictures() * FACTORS.view(-1, 1, 1, 1) + plus.view(-1, 1, 1, 1)
        assert torch.allclose(found, expected.clamp(0, 1), atol=1e-6)


class TestHsv:
    def test_hue_is_torchvisions(self):
        turns = torch.tensor([-0.5, -0.1, 0.0, 0.07, 0.5])
        found = shift_hsv(pictures(), turns, ones() * 0, ones() * 0)
        for image, turn, changed in zip(pictures(), turns.tolist(), found, strict=True):
            assert torch.allclose(changed, tv.adjust_hue(image, turn), atol=1e-5)

    def test_shifts_are_those_of_colorsys(self):
        hue = torch.tensor([-0.14, 0.0, 0.14, 0.1, 0.9])
        saturation = torch.tensor([0.15, -0.15, 0.0, 2.0, -2.0])
        value = torch.tensor([0.1, -0.1, 0.05, 0.0, -2.0])
        images = pictures(size=7)
        images[0, :, 0, 0] = 0.5  # grey, black, white: no hue to speak of
        images[0, :, 0, 1] = 0.0
        images[0, :, 0, 2] = 1.0
        found = shift_hsv(images.clone(), hue, saturation, value)
        for row, image in enumerate(images):
            for pixel, changed in zip(
                image.flatten(1).T.tolist(), found[row].flatten(1).T.tolist(), strict=True
            ):
                h, s, v = colorsys.rgb_to_hsv(*pixel)
                h = (h + hue[row].item()) % 1
                s = min(1, max(0, s + saturation[row].item()))
                v = min(1, max(0, v + value[row].item()))
                assert changed == pytest.approx(colorsys.hsv_to_rgb(h, s, v), abs=2e-5)

    def test_shifts_of_a_level_stay_within_its_limits(self):
        """25 of OpenCV's 180 hues, on pure red, whose hue is 0."""
        images = torch.zeros(500, 3, 1, 1, dtype=torch.uint8)
        images[:, 0] = 200
        level = AugmentationLevel(hsv=1.0, hsv_saturation=0.0, hsv_value=0.0)
        varied = make_augment(level)(images, torch.Generator().manual_seed(0))
        hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in varied.flatten(1).tolist()]
        turns = torch.tensor([hue if hue < 0.5 else hue - 1 for hue in hues]) * 180
        assert turns.abs().max() <= 25.01
        assert (turns.min(), turns.max()) < (-24.0, 25.1)
        assert turns.max() > 24.0


def test_gamma():
    level = AugmentationLevel(gamma=1.0, gamma_min=50.0, gamma_max=50.0)
    images = (pictures() * 255).to(torch.uint8)
    varied = make_augment(level)(images, torch.Generator())
    for image, changed in zip(images, varied, strict=True):
        assert torch.allclose(changed, tv.adjust_gamma(image / 255, 0.5), atol=1e-6)


def test_equalise_is_of_each_picture_alone():
    images = (pictures(low=0.3, high=0.7, size=33) * 255).to(torch.uint8)
    found = equalise(images, torch.empty(5, 0))
    for image, changed in zip(images, found, strict=True):
        assert torch.equal(changed, tv.equalize(image))


@pytest.mark.parametrize("size", [7, 16, 33])
def test_blur_is_torchvisions(size):
    sigmas = torch.tensor([0.3, 0.8, 1.1, 1.4, 3.0])
    found = gaussian_blur(pictures(size=size), sigmas, 3)
    for image, sigma, changed in zip(pictures(size=size), sigmas.tolist(), found, strict=True):
        assert torch.allclose(changed, tv.gaussian_blur(image, [7, 7], [sigma, sigma]), atol=1e-6)


def test_blur_of_a_single_pixel_is_that_pixel():
    images = pictures(size=1)
    assert torch.allclose(gaussian_blur(images, torch.ones(5), 3), images)
