"""Moving pixels: against torchvision on one picture, and exact where pixels stay whole."""

import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.config import AugmentationLevel, CropFlip
from tunewright.images.augment.geometry import (
    TRIES,
    Resampling,
    ShiftedCrop,
    Turns,
    affine_maps,
    crop_maps,
    cut_windows,
    turn_maps,
    turns,
)
from tunewright.images.augment.warps import elastic_shifts, stretch


def smooth(count=5, size=33, seed=0):
    """Float pictures without sharp edges, whose resampling is forgiving at no place."""
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def resampled(images, maps):
    grid = torch.nn.functional.affine_grid(maps[:, :2], list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(
        images, grid, padding_mode="reflection", align_corners=False
    )


def uniform(count, numbers, seed=0):
    return torch.rand(count, numbers, generator=torch.Generator().manual_seed(seed))


class TestShiftedCrop:
    @pytest.mark.parametrize("size", [8, 31, 32])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
    def test_is_torchvisions_crop_of_the_padded_picture(self, size, dtype):
        images = (smooth(7, size) * 255).to(dtype)
        numbers = uniform(7, 2)
        found = ShiftedCrop(0.125)(images, numbers)
        pad = round(size / 8)
        for image, number, cut in zip(images, numbers, found, strict=True):
            top, left = (int(n * (2 * pad + 1)) for n in number.tolist())
            assert torch.equal(cut, tv.crop(tv.pad(image, pad), top, left, size, size))

    def test_all_places_are_reached_alike(self):
        images = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).expand(4000, 3, 8, 8)
        centres = ShiftedCrop(0.125)(images, uniform(4000, 2))[:, 0, 4, 4]
        places, counts = centres.unique(return_counts=True)
        assert places.tolist() == [27, 28, 29, 35, 36, 37, 43, 44, 45]
        assert counts.min() > 380

    def test_small_pictures_are_left_alone(self):
        images = (smooth(2, 3) * 255).to(torch.uint8)
        assert ShiftedCrop(0.125)(images, uniform(2, 2)) is images

    def test_windows(self):
        images = torch.arange(2 * 3 * 6 * 7).view(2, 3, 6, 7)
        found = cut_windows(images, torch.tensor([0, 3]), torch.tensor([4, 1]), 3)
        assert torch.equal(found[0], images[0, :, 0:3, 4:7])
        assert torch.equal(found[1], images[1, :, 3:6, 1:4])


class TestTurns:
    def test_exact(self):
        level = AugmentationLevel(hflip=0.5, vflip=0.5, rot90=0.7)
        images, numbers = (smooth(60) * 255).to(torch.uint8), uniform(60, 4)
        found = Turns(level)(images.clone(), numbers)
        across, down, quarters = turns(numbers, level)
        assert set(quarters.tolist()) == {0, 1, 2, 3}
        for row, image in enumerate(images):
            image = tv.horizontal_flip(image) if across[row] else image
            image = tv.vertical_flip(image) if down[row] else image
            assert torch.equal(found[row], image.rot90(int(quarters[row]), (-2, -1)))

    def test_maps_do_the_same(self):
        level = AugmentationLevel(hflip=0.5, vflip=0.5, rot90=0.7)
        images, numbers = smooth(60), uniform(60, 4)
        exact = Turns(level)(images.clone(), numbers)
        assert torch.allclose(
            resampled(images, turn_maps(*turns(numbers, level))), exact, atol=1e-5
        )

    def test_crop_and_flip_need_no_floats(self):
        augment = make_augment(CropFlip())
        images = (smooth(9) * 255).to(torch.uint8)
        assert not augment.varied
        assert augment.by_numbers(images, uniform(9, augment.numbers)).dtype == torch.uint8


class TestAffine:
    @pytest.mark.parametrize("angle", [-180.0, -31.0, 0.0, 45.0, 90.0])
    def test_is_torchvisions_within_the_picture(self, angle):
        """Beyond the picture torchvision puts black, we a mirror image."""
        size, level = 41, AugmentationLevel(affine=1.0, shift=0.2, scale=0.3, rotate_degrees=180)
        numbers = uniform(6, 5)
        numbers[:, 4] = (angle + 180) / 360
        images = smooth(6, size)
        found = resampled(images, affine_maps(numbers, level))
        for row, image in enumerate(images):
            right, down = ((2 * numbers[row, 1:3] - 1) * 0.2 * size).tolist()
            scale = float(0.7 + 0.6 * numbers[row, 3])

            def torchvisions(picture, right=right, down=down, scale=scale):
                return tv.affine(
                    picture, angle, [right, down], scale, [0.0, 0.0], InterpolationMode.BILINEAR
                )

            inside = torchvisions(torch.ones_like(image)) == 1
            assert inside.float().mean() > 0.3
            difference = (found[row] - torchvisions(image)).abs()[inside]
            assert difference.max() < 2e-3

    def test_at_probability_0_it_is_the_identity(self):
        maps = affine_maps(uniform(4, 5), AugmentationLevel(affine=0.0))
        assert torch.equal(maps, torch.eye(3).expand(4, 3, 3))

    def test_beyond_the_border_lies_the_mirror_image(self):
        images = smooth(1, 16)
        maps = torch.eye(3)[None].clone()
        maps[0, 0, 2] = -1.0  # half a picture to the right
        found = resampled(images, maps)[0, :, :, :8]
        assert torch.allclose(found, images[0, :, :, :8].flip(2), atol=1e-5)


class TestCrop:
    def test_is_torchvisions_resized_crop(self):
        size, level = 40, AugmentationLevel(crop_scale_min=0.3, crop_ratio_min=0.7)
        images, numbers = smooth(8, size), uniform(8, 2 * TRIES + 2)
        maps = crop_maps(numbers, level)
        # whole pixels, which torchvision needs
        sides = (maps[:, (0, 1), (0, 1)] * size).round()
        corners = ((maps[:, :2, 2] + 1) / 2 * size - sides / 2).round()
        maps[:, (0, 1), (0, 1)] = sides / size
        maps[:, :2, 2] = (corners + sides / 2) / size * 2 - 1
        found = resampled(images, maps)
        for row, image in enumerate(images):
            (left, top), (wide, high) = corners[row].int().tolist(), sides[row].int().tolist()
            expected = tv.resized_crop(image, top, left, high, wide, [size, size], antialias=True)
            inner = (slice(None), slice(2, -2), slice(2, -2))  # at its border ours sees further
            assert (found[row] - expected)[inner].abs().max() < 2e-3

    def test_areas_and_ratios_are_those_asked_for(self):
        level = AugmentationLevel(crop_scale_min=0.6, crop_ratio_min=0.85, crop_ratio_max=1.15)
        maps = crop_maps(uniform(5000, 2 * TRIES + 2), level).double()
        wide, high = maps[:, 0, 0], maps[:, 1, 1]
        area, ratio = wide * high, wide / high
        assert 0.6 - 1e-6 <= area.min() < 0.61
        assert area.max() > 0.98
        assert ratio.min() >= 0.85 - 1e-6
        assert ratio.max() <= 1.15 + 1e-6
        corners = maps[:, :2, 2:].abs().squeeze(2) + torch.stack((wide, high), 1)
        assert corners.max() <= 1 + 1e-6  # never beyond the picture
        assert abs(maps[:, :2, 2].mean()) < 0.01

    def test_what_never_fits_is_cut_to_the_picture(self):
        level = AugmentationLevel(crop_scale_min=0.9, crop_ratio_min=3.0, crop_ratio_max=4.0)
        maps = crop_maps(uniform(20, 2 * TRIES + 2), level)
        assert (maps[:, 0, 0] == 1).all()


class TestDistortion:
    def test_cells_are_stretched_as_interpolation_says(self):
        numbers, size = uniform(4, 5), 37
        found = stretch(numbers, size, limit=0.3)
        for row, values in zip(found, numbers.double().numpy(), strict=True):
            widths = 0.7 + 0.6 * values
            knots = np.concatenate([[0], np.cumsum(widths) / widths.sum()])
            places = (np.arange(size) + 0.5) / size
            expected = np.interp(places, np.linspace(0, 1, 6), knots) * 2 - 1
            assert np.allclose(row.numpy(), expected, atol=1e-5)

    def test_no_limit_is_the_identity(self):
        expected = (torch.arange(9) * 2 + 1) / 9 - 1
        assert torch.allclose(
            stretch(uniform(3, 5), 9, limit=0.0), expected.expand(3, 9), atol=1e-6
        )

    def test_elastic_shifts_are_those_of_smoothed_noise(self):
        """The deviation that torchvision's way of drawing them has."""
        size, sigma, alpha = 256, 12.0, 100.0
        shifts = elastic_shifts(uniform(12, 2), size, torch.device("cpu"), alpha=alpha, sigma=sigma)
        pixels = shifts * size / 2
        noise = torch.rand(8, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        smoothed = tv.gaussian_blur(noise, [97, 97], [sigma, sigma]) * alpha
        assert pixels.std().item() == pytest.approx(smoothed.std().item(), rel=0.15)

    def test_a_small_picture_waves_like_a_large_one(self):
        places = uniform(30, 2)
        device = torch.device("cpu")
        small, large = (
            elastic_shifts(places, size, device, alpha=1.0, sigma=30.0) for size in (32, 128)
        )
        assert small.std().item() == pytest.approx(large.std().item(), rel=0.3)

    def test_the_usual_elastic_numbers_move_nothing_visibly(self):
        shifts = elastic_shifts(uniform(4, 2), 256, torch.device("cpu"), alpha=1.0, sigma=50.0)
        assert (shifts * 128).abs().max() < 0.02

    def test_all_maps_together_are_each_in_turn(self):
        """Distortion first (it is nearest to the eye), then what the affine maps say."""
        level = AugmentationLevel(affine=1.0, grid_distortion=1.0, rotate_degrees=20.0, scale=0.0)
        images = smooth(3, 64)
        stage = Resampling(level)
        numbers = uniform(3, stage.numbers)
        found = stage(images, numbers)
        turned = Resampling(level.model_copy(update={"grid_distortion": 0.0}))(images, numbers)
        bent = Resampling(level.model_copy(update={"affine": 0.0}))(turned, numbers)
        assert (found - bent)[:, :, 8:-8, 8:-8].abs().mean() < 5e-3
        assert (found - turned).abs().mean() > 5e-3


def test_rotations_are_spread_over_the_whole_range():
    level = AugmentationLevel(affine=1.0, rotate_degrees=10.0, scale=0.0, shift=0.0)
    maps = affine_maps(uniform(2000, 5), level)
    degrees = torch.atan2(maps[:, 0, 1], maps[:, 0, 0]) * 180 / math.pi
    assert degrees.min() < -9.9
    assert degrees.max() > 9.9
    assert abs(degrees.mean()) < 0.5
