"""Augmentation levels and mixing, with all their settings. Imports without torch."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tunewright.config.section import Count, Fraction, NotNegative, Positive, Section

Share = Annotated[float, Field(gt=0.0, le=1.0)]
Degrees = Annotated[float, Field(ge=0.0, le=180.0)]
Hue = Annotated[float, Field(ge=0.0, le=0.5)]


class AugmentationLevel(Section):
    """The settings of every augmentation level; a probability of 0 switches its transform off.

    Sizes in pixels are for a picture 256 wide and scale with the picture: at 32 pixels, a hole of
    16 is 2 pixels and a blur of 3 to 7 has almost no effect. Order: pad and crop, equalise,
    geometry (one resampling; borders are reflected), colour, weather, blur, noise, holes.

    pad: fraction of the side, in black on all sides, followed by a random crop of the original size
    at whole pixels. crop_scale_*: area of a random crop that is resized to the full size, as a
    fraction of the picture. crop_ratio_*: width of the crop divided by its height, relative to the
    picture's. hflip, vflip: probability of a mirror image, left to right or upside down. rot90:
    probability of one to three quarter turns. affine: probability of a shift, a scale and a
    rotation together. shift: up to this fraction of the side, each way. scale: factor 1 +- scale.
    rotate_degrees: up to this angle, either way. elastic: probability of smoothed random
    displacements (Simard et al. 2003). elastic_alpha: factor on the displacements; with alpha 1 and
    sigma 50, the usual values, no pixel visibly moves. elastic_sigma: standard deviation of the
    smoothing, in pixels. grid_distortion: probability of stretching the cells of a grid.
    grid_distortion_steps: cells on a side. grid_distortion_limit: each cell is stretched by 1 +-
    limit.

    equalise: probability of equalising the histogram of each channel. jitter: probability of colour
    jitter. jitter_brightness, jitter_contrast, jitter_saturation: factor 1 +- value. jitter_hue:
    shift of up to this fraction of the circle. brightness_contrast: probability of a linear change
    of all pixels. brightness_limit: up to this is added, where white is 1. contrast_limit: pixels
    times 1 +- limit. hsv: probability of shifts of hue, saturation and value. hsv_hue: up to this,
    of 180 (OpenCV's units). hsv_saturation, hsv_value: up to this, of 255. gamma: probability of a
    gamma curve. gamma_*: exponent in per cent. shadow: probability of a dark convex shape.
    shadow_darkness: fraction of the light that it takes. fog: probability of fog. fog_*: fraction
    of white mixed in. blur: probability of a Gaussian blur. blur_pixels_*: width of its kernel.
    noise: probability of Gaussian noise. noise_std_*: its standard deviation, where white is 1.

    coarse_dropout: probability of rectangular holes. coarse_dropout_holes_*: how many.
    coarse_dropout_pixels_*: their sides. cutout: probability of one square hole with its centre
    anywhere (DeVries and Taylor 2017). cutout_side: its side, as a fraction of the picture's.
    grid_mask: probability of a grid of square holes (Chen et al. 2020). grid_mask_unit_*: distance
    of the holes, as a fraction of the side. grid_mask_keep: the paper's r, the fraction of the
    distance that is kept. grid_mask_degrees: rotation of the grid, up to this. hole_fill: colour of
    all holes, from 0 black to 1 white.
    """

    pad: Fraction = 0.0
    crop_scale_min: Share = 1.0
    crop_scale_max: Share = 1.0
    crop_ratio_min: Positive = 1.0
    crop_ratio_max: Positive = 1.0
    hflip: Fraction = 0.0
    vflip: Fraction = 0.0
    rot90: Fraction = 0.0

    affine: Fraction = 0.0
    shift: Fraction = 0.05
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    rotate_degrees: Degrees = 30.0
    elastic: Fraction = 0.0
    elastic_alpha: NotNegative = 1.0
    elastic_sigma: Positive = 50.0
    grid_distortion: Fraction = 0.0
    grid_distortion_steps: Count = 5
    grid_distortion_limit: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3

    equalise: Fraction = 0.0
    jitter: Fraction = 0.0
    jitter_brightness: Fraction = 0.2
    jitter_contrast: Fraction = 0.2
    jitter_saturation: Fraction = 0.2
    jitter_hue: Hue = 0.05
    brightness_contrast: Fraction = 0.0
    brightness_limit: Fraction = 0.2
    contrast_limit: Fraction = 0.2
    hsv: Fraction = 0.0
    hsv_hue: Annotated[float, Field(ge=0.0, le=90.0)] = 25.0
    hsv_saturation: Annotated[float, Field(ge=0.0, le=255.0)] = 40.0
    hsv_value: Annotated[float, Field(ge=0.0, le=255.0)] = 25.0
    gamma: Fraction = 0.0
    gamma_min: Positive = 80.0
    gamma_max: Positive = 120.0

    shadow: Fraction = 0.0
    shadow_darkness: Fraction = 0.5
    fog: Fraction = 0.0
    fog_min: Fraction = 0.1
    fog_max: Fraction = 0.3
    blur: Fraction = 0.0
    blur_pixels_min: Annotated[float, Field(ge=1.0)] = 3.0
    blur_pixels_max: Annotated[float, Field(ge=1.0)] = 7.0
    noise: Fraction = 0.0
    noise_std_min: Fraction = 0.01
    noise_std_max: Fraction = 0.05

    coarse_dropout: Fraction = 0.0
    coarse_dropout_holes_min: Count = 1
    coarse_dropout_holes_max: Count = 8
    coarse_dropout_pixels_min: Positive = 1.0
    coarse_dropout_pixels_max: Positive = 30.0
    cutout: Fraction = 0.0
    cutout_side: Share = 0.5
    grid_mask: Fraction = 0.0
    grid_mask_unit_min: Positive = 0.43
    grid_mask_unit_max: Positive = 1.0
    grid_mask_keep: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.6
    grid_mask_degrees: Degrees = 0.0
    hole_fill: Fraction = 0.0

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name in type(self).model_fields:
            stem, _, end = name.rpartition("_")
            if end == "min" and getattr(self, name) > getattr(self, f"{stem}_max"):
                raise ValueError(f"{name} must not be above {stem}_max")
        return self


class NoAugmentation(AugmentationLevel):
    """Pictures as they are."""

    type: Literal["none"] = "none"


class CropFlip(AugmentationLevel):
    """The standard for small pictures (Lin et al. 2013): shifted by up to 1/8, mirrored."""

    type: Literal["crop_flip"] = "crop_flip"
    pad: Fraction = 0.125
    hflip: Fraction = 0.5


class Light(AugmentationLevel):
    """Random crops, mirror images, a little colour jitter."""

    type: Literal["light"] = "light"
    crop_scale_min: Share = 0.8
    crop_ratio_min: Positive = 0.95
    crop_ratio_max: Positive = 1.05
    hflip: Fraction = 0.5
    jitter: Fraction = 0.3


class Medium(AugmentationLevel):
    """`light` with more of each, plus rotation and sometimes blur."""

    type: Literal["medium"] = "medium"
    crop_scale_min: Share = 0.75
    crop_ratio_min: Positive = 0.9
    crop_ratio_max: Positive = 1.1
    hflip: Fraction = 0.5
    affine: Fraction = 0.4
    jitter: Fraction = 0.4
    jitter_brightness: Fraction = 0.25
    jitter_contrast: Fraction = 0.25
    jitter_saturation: Fraction = 0.25
    jitter_hue: Hue = 0.08
    blur: Fraction = 0.1
    blur_pixels_max: Annotated[float, Field(ge=1.0)] = 5.0


class Strong(AugmentationLevel):
    """`medium` with more of each, plus vertical flips, noise and holes."""

    type: Literal["strong"] = "strong"
    crop_scale_min: Share = 0.7
    crop_ratio_min: Positive = 0.9
    crop_ratio_max: Positive = 1.1
    hflip: Fraction = 0.5
    vflip: Fraction = 0.3
    affine: Fraction = 0.5
    shift: Fraction = 0.1
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.15
    rotate_degrees: Degrees = 45.0
    jitter: Fraction = 0.5
    jitter_brightness: Fraction = 0.3
    jitter_contrast: Fraction = 0.3
    jitter_saturation: Fraction = 0.3
    jitter_hue: Hue = 0.1
    brightness_contrast: Fraction = 0.5
    blur: Fraction = 0.2
    noise: Fraction = 0.2
    noise_std_min: Fraction = 0.0124  # variances of 10 to 50 where white is 255
    noise_std_max: Fraction = 0.0277
    coarse_dropout: Fraction = 0.3


class UltraStrong(AugmentationLevel):
    """Everything, at any rotation; for large models that would otherwise memorise the pictures."""

    type: Literal["ultra_strong"] = "ultra_strong"
    crop_scale_min: Share = 0.6
    crop_ratio_min: Positive = 0.85
    crop_ratio_max: Positive = 1.15
    hflip: Fraction = 0.5
    vflip: Fraction = 0.5
    rot90: Fraction = 0.5
    affine: Fraction = 0.6
    shift: Fraction = 0.15
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    rotate_degrees: Degrees = 180.0
    elastic: Fraction = 0.2
    grid_distortion: Fraction = 0.2
    jitter: Fraction = 0.6
    jitter_brightness: Fraction = 0.4
    jitter_contrast: Fraction = 0.4
    jitter_saturation: Fraction = 0.4
    jitter_hue: Hue = 0.15
    brightness_contrast: Fraction = 0.5
    brightness_limit: Fraction = 0.3
    contrast_limit: Fraction = 0.3
    hsv: Fraction = 0.6
    gamma: Fraction = 0.3
    shadow: Fraction = 0.2
    fog: Fraction = 0.1
    blur: Fraction = 0.2
    noise: Fraction = 0.2
    coarse_dropout: Fraction = 0.4
    coarse_dropout_pixels_min: Positive = 20.0
    coarse_dropout_pixels_max: Positive = 40.0


class Colour(AugmentationLevel):
    """For classes that differ by colour: mirrored and rotated by 10 degrees, colours unchanged.

    Brightness and contrast jitter, equalise and blur are available, with probability 0.
    """

    type: Literal["colour"] = "colour"
    hflip: Fraction = 0.5
    affine: Fraction = 1.0
    shift: Fraction = 0.0
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    rotate_degrees: Degrees = 10.0
    jitter_saturation: Fraction = 0.0
    jitter_hue: Hue = 0.0


Augmentation = Annotated[
    NoAugmentation | CropFlip | Light | Medium | Strong | UltraStrong | Colour,
    Field(discriminator="type"),
]

LEVELS: Mapping[str, type[AugmentationLevel]] = {
    "none": NoAugmentation,
    "crop_flip": CropFlip,
    "light": Light,
    "medium": Medium,
    "strong": Strong,
    "ultra_strong": UltraStrong,
    "colour": Colour,
}
"""Every level by its `type`, from the weakest to the strongest."""


class MixingConfig(Section):
    """Mixing two pictures: MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019).

    mixup_alpha, cutmix_alpha: parameter of the Beta distribution of the mixing ratio; 0 switches
    that kind off. mix_prob: fraction of pictures that are mixed. switch_prob: fraction of the mixed
    ones that use CutMix, if both are on.
    """

    mixup_alpha: NotNegative = 0.0
    cutmix_alpha: NotNegative = 0.0
    mix_prob: Fraction = 1.0
    switch_prob: Fraction = 0.5

    @property
    def notices(self) -> list[str]:
        """Notices on settings that have no effect."""
        if self.mix_prob == 1.0 or self.mixup_alpha or self.cutmix_alpha:
            return []
        return [
            f"mixing.mix_prob={self.mix_prob:g} has no effect: mixing.mixup_alpha and "
            "mixing.cutmix_alpha are 0 (usual values: 0.2 and 1)"
        ]
