"""Levels are the tables'; every picture varies on its own, reproducibly, within [0, 1]."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.config import (
    LEVELS,
    Augmentation,
    AugmentationLevel,
    MixingConfig,
)

PROBABILITIES = [
    "hflip",
    "vflip",
    "rot90",
    "affine",
    "elastic",
    "grid_distortion",
    "equalise",
    "jitter",
    "brightness_contrast",
    "hsv",
    "gamma",
    "shadow",
    "fog",
    "blur",
    "noise",
    "coarse_dropout",
    "cutout",
    "grid_mask",
]
VISIBLY = {
    "elastic": {"elastic_alpha": 5000.0},
    "blur": {"blur_pixels_min": 20.0, "blur_pixels_max": 30.0},
    "gamma": {"gamma_max": 90.0},
}
"""Where the usual numbers do little to small pictures."""
READ = TypeAdapter(Augmentation)


def pictures(count=6, size=24, seed=0):
    """Smooth colours with noise on top, so that every operation shows."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=draw)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    noisy = smooth * 200 + torch.rand(count, 3, size, size, generator=draw) * 55
    return noisy.to(torch.uint8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def level(name, probability):
    """A level that does nothing but `name`."""
    return AugmentationLevel(**{name: probability}, **VISIBLY.get(name, {}))


class TestLevels:
    @pytest.mark.parametrize("name", LEVELS)
    def test_each_is_reached_by_its_type(self, name):
        level = READ.validate_python({"type": name})
        assert type(level) is LEVELS[name]
        assert level.model_dump()["type"] == name

    @pytest.mark.parametrize(
        ("name", "numbers"),
        [
            ("none", dict.fromkeys(PROBABILITIES, 0.0) | {"pad": 0.0, "crop_scale_min": 1.0}),
            ("crop_flip", {"pad": 0.125, "hflip": 0.5, "crop_scale_min": 1.0, "jitter": 0.0}),
            (
                "light",
                {
                    "crop_scale_min": 0.8,
                    "crop_scale_max": 1.0,
                    "crop_ratio_min": 0.95,
                    "crop_ratio_max": 1.05,
                    "hflip": 0.5,
                    "vflip": 0.0,
                    "affine": 0.0,
                    "jitter": 0.3,
                    "jitter_brightness": 0.2,
                    "jitter_contrast": 0.2,
                    "jitter_saturation": 0.2,
                    "jitter_hue": 0.05,
                    "blur": 0.0,
                },
            ),
            (
                "medium",
                {
                    "crop_scale_min": 0.75,
                    "crop_ratio_min": 0.9,
                    "crop_ratio_max": 1.1,
                    "affine": 0.4,
                    "shift": 0.05,
                    "scale": 0.1,
                    "rotate_degrees": 30.0,
                    "jitter": 0.4,
                    "jitter_brightness": 0.25,
                    "jitter_contrast": 0.25,
                    "jitter_saturation": 0.25,
                    "jitter_hue": 0.08,
                    "blur": 0.1,
                    "blur_pixels_min": 3.0,
                    "blur_pixels_max": 5.0,
                    "noise": 0.0,
                },
            ),
            (
                "strong",
                {
                    "crop_scale_min": 0.7,
                    "crop_ratio_min": 0.9,
                    "crop_ratio_max": 1.1,
                    "hflip": 0.5,
                    "vflip": 0.3,
                    "affine": 0.5,
                    "shift": 0.1,
                    "scale": 0.15,
                    "rotate_degrees": 45.0,
                    "jitter": 0.5,
                    "jitter_brightness": 0.3,
                    "jitter_contrast": 0.3,
                    "jitter_saturation": 0.3,
                    "jitter_hue": 0.1,
                    "brightness_contrast": 0.5,
                    "brightness_limit": 0.2,
                    "contrast_limit": 0.2,
                    "blur": 0.2,
                    "blur_pixels_min": 3.0,
                    "blur_pixels_max": 7.0,
                    "noise": 0.2,
                    "noise_std_min": pytest.approx(10**0.5 / 255, rel=1e-2),
                    "noise_std_max": pytest.approx(50**0.5 / 255, rel=1e-2),
                    "coarse_dropout": 0.3,
                    "coarse_dropout_holes_max": 8,
                    "coarse_dropout_pixels_max": 30.0,
                    "hsv": 0.0,
                },
            ),
            (
                "ultra_strong",
                {
                    "crop_scale_min": 0.6,
                    "crop_ratio_min": 0.85,
                    "crop_ratio_max": 1.15,
                    "hflip": 0.5,
                    "vflip": 0.5,
                    "rot90": 0.5,
                    "affine": 0.6,
                    "shift": 0.15,
                    "scale": 0.2,
                    "rotate_degrees": 180.0,
                    "jitter": 0.6,
                    "jitter_brightness": 0.4,
                    "jitter_contrast": 0.4,
                    "jitter_saturation": 0.4,
                    "jitter_hue": 0.15,
                    "brightness_contrast": 0.5,
                    "brightness_limit": 0.3,
                    "contrast_limit": 0.3,
                    "blur": 0.2,
                    "blur_pixels_max": 7.0,
                    "noise": 0.2,
                    "noise_std_min": 0.01,
                    "noise_std_max": 0.05,
                    "coarse_dropout": 0.4,
                    "coarse_dropout_holes_min": 1,
                    "coarse_dropout_holes_max": 8,
                    "coarse_dropout_pixels_min": 20.0,
                    "coarse_dropout_pixels_max": 40.0,
                    "hsv": 0.6,
                    "hsv_hue": 25.0,
                    "hsv_saturation": 40.0,
                    "hsv_value": 25.0,
                    "gamma": 0.3,
                    "gamma_min": 80.0,
                    "gamma_max": 120.0,
                    "elastic": 0.2,
                    "elastic_alpha": 1.0,
                    "elastic_sigma": 50.0,
                    "grid_distortion": 0.2,
                    "grid_distortion_steps": 5,
                    "grid_distortion_limit": 0.3,
                    "shadow": 0.2,
                    "fog": 0.1,
                    "fog_min": 0.1,
                    "fog_max": 0.3,
                },
            ),
            ("colour", {"hflip": 0.5, "affine": 1.0, "rotate_degrees": 10.0, "jitter": 0.0}),
        ],
    )
    def test_numbers_are_those_of_the_tables(self, name, numbers):
        found = LEVELS[name]().model_dump()
        assert {key: found[key] for key in numbers} == numbers

    def test_every_number_can_be_overridden(self):
        level = READ.validate_python({"type": "strong", "rotate_degrees": 10.0, "cutout": 0.5})
        assert (level.rotate_degrees, level.cutout, level.jitter) == (10.0, 0.5, 0.5)

    @pytest.mark.parametrize(
        "wrong", [{"crop_scale_min": 0.9, "crop_scale_max": 0.5}, {"hflip": 1.5}, {"jiter": 0.5}]
    )
    def test_what_cannot_be_is_refused(self, wrong):
        with pytest.raises(ValidationError):
            READ.validate_python({"type": "light", **wrong})

    def test_nothing_is_mixed_unless_asked_for(self):
        assert MixingConfig() == MixingConfig(mixup_alpha=0.0, cutmix_alpha=0.0)


class TestAugment:
    def test_no_augmentation_only_scales(self):
        images = pictures()
        assert torch.equal(make_augment(LEVELS["none"]())(images, seeded()), images / 255)

    @pytest.mark.parametrize("size", [1, 8, 31])
    @pytest.mark.parametrize("name", LEVELS)
    def test_pictures_stay_pictures(self, name, size):
        images = pictures(9, size)
        before = images.clone()
        for seed in range(3):
            varied = make_augment(LEVELS[name]())(images, seeded(seed))
            assert varied.shape == images.shape
            assert varied.dtype == torch.float32
            assert varied.isfinite().all()
            assert (varied.min(), varied.max()) >= (0.0, 0.0)
            assert varied.max() <= 1.0 + 1e-6
        assert torch.equal(images, before)

    @pytest.mark.parametrize("name", LEVELS)
    def test_the_same_generator_gives_the_same_pictures(self, name):
        augment, images = make_augment(LEVELS[name]()), pictures()
        first = augment(images, seeded(1))
        torch.rand(7)
        assert torch.equal(make_augment(LEVELS[name]())(images, seeded(1)), first)
        if name != "none":
            assert not torch.equal(augment(images, seeded(2)), first)

    @pytest.mark.parametrize("name", [name for name in LEVELS if name != "none"])
    def test_every_picture_varies_in_its_own_way(self, name):
        images = pictures(1).expand(40, -1, -1, -1).contiguous()
        varied = make_augment(LEVELS[name]())(images, seeded())
        assert len(varied.flatten(1).unique(dim=0)) > 20

    @pytest.mark.parametrize("name", PROBABILITIES)
    def test_every_operation_changes_what_it_is_applied_to(self, name):
        images = pictures(8, 64)
        always = make_augment(level(name, 1.0))(images, seeded())
        assert ((always - images / 255).abs().amax(dim=(1, 2, 3)) > 1e-3).all()

    @pytest.mark.parametrize("name", PROBABILITIES)
    def test_half_the_pictures_at_probability_one_half(self, name):
        images = pictures(200, 40)
        half = make_augment(level(name, 0.5))(images, seeded())
        changed = (half - images / 255).abs().amax(dim=(1, 2, 3)) > 1e-3
        assert 70 <= changed.sum() <= 130
        assert (half[~changed] - images[~changed] / 255).abs().max() < 2e-5

    @pytest.mark.parametrize("name", ["strong", "ultra_strong", "crop_flip"])
    def test_no_picture_depends_on_its_neighbours(self, name):
        augment, images = make_augment(LEVELS[name]()), pictures(12)
        uniform = torch.rand(12, augment.numbers, generator=seeded())
        whole = augment.by_numbers(images.clone(), uniform)
        parts = [
            augment.by_numbers(images[rows], uniform[rows]) for rows in torch.arange(12).split(5)
        ]
        assert torch.allclose(whole, torch.cat(parts), atol=1e-6)

    @pytest.mark.gpu
    @pytest.mark.parametrize("name", LEVELS)
    def test_a_gpu_does_the_same(self, name):
        augment, images = make_augment(LEVELS[name]()), pictures(64, 48)
        expected = augment(images, seeded())
        found = augment(images.cuda(), seeded())
        assert found.is_cuda
        # places between pixels are rounded differently: a rim of a shape may move by a pixel
        assert ((found.cpu() - expected).abs() > 1e-3).float().mean() < 2e-3
