"""Holes, shadow, fog and noise: where they lie, how large they are, what they show."""

import math

import pytest
import torch

from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.config import AugmentationLevel
from tunewright.images.augment.corruptions import fog, in_convex, noise, shadow
from tunewright.images.augment.erasing import coarse_dropout, cutout, dropout_numbers, grid_mask
from tunewright.images.augment.noise_fields import normal_windows, smooth_windows

CPU = torch.device("cpu")


def white(count=300, size=64):
    return torch.ones(count, 3, size, size)


def uniform(count, numbers, seed=0):
    return torch.rand(count, numbers, generator=torch.Generator().manual_seed(seed))


def is_rectangle(hole):
    rows, columns = hole.any(dim=1), hole.any(dim=0)
    return torch.equal(hole, rows[:, None] & columns)


class TestCoarseDropout:
    def test_one_hole_is_a_rectangle_of_the_size_asked_for(self):
        found = coarse_dropout(
            white(), uniform(300, dropout_numbers(1)), holes=(1, 1), pixels=(20.0, 40.0), fill=0.0
        )
        holes = found[:, 0] == 0
        sides = torch.tensor([[int(h.any(1).sum()), int(h.any(0).sum())] for h in holes])
        assert all(is_rectangle(hole) for hole in holes)
        # 20 to 40 pixels of 256, in a picture of 64
        assert (sides.min(), sides.max()) == (5, 10)
        assert sides.float().mean() == pytest.approx(7.5, abs=0.3)

    def test_how_many_holes(self):
        """Of one pixel each: some may fall on each other."""
        found = coarse_dropout(
            white(), uniform(300, dropout_numbers(8)), holes=(1, 8), pixels=(1.0, 1.0), fill=0.0
        )
        counts = (found[:, 0] == 0).sum(dim=(1, 2))
        assert (counts.min(), counts.max()) == (1, 8)
        assert 4.2 < counts.float().mean() < 4.8

    @pytest.mark.parametrize("fill", [0.0, 0.25, 1.0])
    def test_holes_show_the_fill(self, fill):
        level = AugmentationLevel(coarse_dropout=1.0, cutout=1.0, hole_fill=fill)
        images = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
        found = make_augment(level)(images, torch.Generator().manual_seed(0))
        expected = sorted({fill, 128 / 255})
        assert found.unique().tolist() == pytest.approx(expected)


class TestCutout:
    def test_square_with_its_centre_anywhere(self):
        found = cutout(white(2000, 16), uniform(2000, 2), side=0.5, fill=0.0)
        holes = found[:, 0] == 0
        assert all(is_rectangle(hole) for hole in holes[:100])
        areas = holes.sum(dim=(1, 2))
        assert (areas.min(), areas.max()) == (16, 64)  # a corner's, the whole square's
        centre = holes.float().mean(dim=0)
        assert centre[8, 8] == pytest.approx(0.25, abs=0.04)
        assert centre[0, 0] < 0.12  # borders cut squares off


class TestGridMask:
    def test_squares_of_the_grid(self):
        """A unit of 8 pixels with r = 0.5: squares of 4, a quarter of the picture."""
        found = grid_mask(
            white(50), uniform(50, 4), unit=(0.125, 0.125), keep=0.5, degrees=0.0, fill=0.0
        )
        holes = found[:, 0] == 0
        assert torch.equal(holes.float().mean(dim=(1, 2)), torch.full((50,), 0.25))
        assert all(is_rectangle(hole) for hole in holes)
        assert torch.equal(holes[:, :56, :56], holes[:, 8:, 8:])
        assert len(holes.flatten(1).unique(dim=0)) > 20

    def test_shares_kept_are_the_papers(self):
        """Chen et al. 2020, equation 1: k = 1 - (1 - r)^2."""
        for keep in (0.4, 0.6):
            found = grid_mask(
                white(400), uniform(400, 4), unit=(0.2, 0.4), keep=keep, degrees=45.0, fill=0.0
            )
            assert found.mean() == pytest.approx(1 - (1 - keep) ** 2, abs=0.02)


class TestWeather:
    def test_convex_shapes(self):
        square = torch.tensor([[[2.0, 3.0], [6.0, 3.0], [6.0, 8.0], [2.0, 8.0]]])
        expected = torch.zeros(10, 10)
        expected[3:8, 2:6] = 1
        assert torch.equal(in_convex(square, 10, CPU)[0], expected)

    def test_a_shadow_darkens_one_shape(self):
        found = shadow(white(), uniform(300, 8), darkness=0.4)
        assert found.unique().tolist() == pytest.approx([0.6, 1.0])
        dark = (found[:, 0] < 1).float()
        assert 0.05 < dark.mean() < 0.6
        assert (dark.mean(dim=(1, 2)) > 0).float().mean() > 0.95

    def test_fog_is_a_share_of_white(self):
        black = torch.zeros(200, 3, 64, 64)
        found = fog(black.clone(), uniform(200, 3), low=0.1, high=0.3)
        assert found.mean() == pytest.approx(0.2, abs=0.02)
        assert torch.equal(found[:, 0], found[:, 1])
        assert fog(white(5), uniform(5, 3), low=0.1, high=0.3).min() == pytest.approx(1.0)
        assert (found.amax(dim=(1, 2, 3)) - found.amin(dim=(1, 2, 3))).min() > 0.01  # wisps


class TestNoise:
    def test_deviation(self):
        grey = torch.full((50, 3, 40, 40), 0.5)
        found = noise(grey.clone(), uniform(50, 2), low=0.02, high=0.02)
        assert (found - grey).std() == pytest.approx(0.02, rel=0.02)
        assert abs((found - grey).mean()) < 1e-3
        assert len({tuple(row) for row in found[:, 0, 0, :4].tolist()}) == 50

    def test_windows_are_standard_normal(self):
        windows = normal_windows(torch.tensor([0.0, 0.3, 0.999999]), 5000, CPU)
        assert windows.shape == (3, 5000)
        assert windows.mean(dim=1).abs().max() < 0.05
        assert (windows.std(dim=1) - 1).abs().max() < 0.05
        assert not torch.equal(windows[0], windows[1])

    def test_fields_are_as_smooth_as_asked_for(self):
        """The correlation of a Gaussian-smoothed field is exp(-d^2 / (4 sigma^2))."""
        fields = smooth_windows(uniform(60, 2), 48, 4.0, CPU)
        assert fields.shape == (60, 2, 48, 48)
        assert fields.mean().abs() < 0.1
        assert fields.var() == pytest.approx(1.0, abs=0.15)
        products = (fields[..., 4:] * fields[..., :-4]).mean() / fields.square().mean()
        assert products == pytest.approx(math.exp(-0.25), abs=0.05)
