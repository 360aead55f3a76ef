"""The rate-distortion loss: distortion, weighted by lambda, plus bits per pixel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from tunewright.recipes.compression.lambdas import weight_of
from tunewright.recipes.compression.models.compressor import CodedLatents
from tunewright.recipes.compression.ms_ssim import dissimilarity
from tunewright.registry import Registry
from tunewright.training.task import Loss

WHITE = 255.0
LEAST_ERROR = 1e-10
"""A mean squared error that PSNR is capped at: 100 dB."""

SCALES = ("s1", "s2", "s3")
BLOCK = 4
"""Pixels on a side of the blocks whose mean error counts for the coarsest scale."""
GROWN = 1e6
"""A mean squared error of pictures in 0 to 1, -60 dB, that no training comes back from.

Inverse GDN raises what it gets to higher powers, so that a rate too high makes the loss 1e26, not
infinite, and the best of such epochs would be kept.
"""


@dataclass(frozen=True)
class RateDistortion:
    """lmbda times a distortion, plus bits per pixel; of each picture, in float32.

    measure: from a reconstruction and the picture, [B, 3, H, W] in 0 to 1, and their squared error
    [B], to the quantity that is called `name` and the distortion that follows from it: both [B].
    """

    name: str
    lmbda: float
    measure: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

    def __call__(self, coded: CodedLatents, pictures: Tensor) -> Loss:
        """Return the mean loss; its terms are the weighted distortion, bpp and their parts.

        It is infinite where a reconstruction has grown beyond `GROWN`.
        """
        with torch.autocast(pictures.device.type, enabled=False):
            reconstructed, pictures = coded.pictures.float(), pictures.float()
            error = squared_error(reconstructed, pictures)
            quantity, distortion = self.measure(reconstructed, pictures, error)
            rates = {f"bpp_{part}": rate.mean() for part, rate in rates_of(coded, pictures).items()}
            bpp = torch.stack(list(rates.values())).sum()
            weighed = self.lmbda * distortion.mean()
            terms = {"distortion": weighed, "bpp": bpp, **rates, self.name: quantity.mean()}
            terms["psnr"] = _in_decibels(error.detach()).mean()
            diverged = (error.detach() > GROWN).any()
        return Loss(torch.where(diverged, torch.inf, weighed + bpp), terms)

    def by_picture(self, coded: CodedLatents, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and the bits per pixel of each picture: [B], [B]."""
        with torch.autocast(pictures.device.type, enabled=False):
            reconstructed, pictures = coded.pictures.float(), pictures.float()
            error = squared_error(reconstructed, pictures)
            _, distortion = self.measure(reconstructed, pictures, error)
            bpp = torch.stack(list(rates_of(coded, pictures).values())).sum(0)
        return self.lmbda * distortion + bpp, bpp

    def scale_losses(self, coded: CodedLatents, pictures: Tensor) -> Mapping[str, Tensor]:
        """Return the share of each scale in the loss of each picture [B]; they add up to it.

        See `scale_tasks`; a scale has its distortion, where it has one, and its rate.
        """
        tasks = self.scale_tasks(coded, pictures)
        return {
            scale: torch.stack([t for name, t in tasks.items() if name.startswith(scale)]).sum(0)
            for scale in SCALES
        }

    def scale_tasks(self, coded: CodedLatents, pictures: Tensor) -> Mapping[str, Tensor]:
        """Return the five tasks of HPCM's scales, of each picture [B]; they add up to its loss.

        `s1_distortion` is lmbda 255^2 times the energy of the error's means over blocks of 4 x 4
        pixels, `s2_distortion` the rest of the squared error: the two are orthogonal. `s1_bpp`,
        `s2_bpp` and `s3_bpp` are the bits per pixel of the latents by grid; the hyper-latents count
        for s1.
        """
        with torch.autocast(pictures.device.type, enabled=False):
            difference = coded.pictures.float() - pictures.float()
            squared = difference.square().flatten(1).mean(1)
            coarse = avg_pool2d(difference, BLOCK).square().flatten(1).mean(1)
            rates = rates_of(coded, pictures)
        weight = self.lmbda * WHITE**2
        return {
            "s1_distortion": weight * coarse,
            "s2_distortion": weight * squared - weight * coarse,
            "s1_bpp": rates["z"] + rates["s1"],
            "s2_bpp": rates["s2"],
            "s3_bpp": rates["s3"],
        }


def rates_of(coded: CodedLatents, pictures: Tensor) -> Mapping[str, Tensor]:
    """Return estimated bits per pixel of each picture [B], by part: `z` (hyper-latents), grids."""
    pixels = pictures.shape[-2] * pictures.shape[-1]
    return {
        part: -likelihoods.float().log2().sum(1) / pixels
        for part, likelihoods in coded.likelihoods.items()
    }


def psnr(pictures: Tensor, others: Tensor) -> Tensor:
    """Return the PSNR in dB of each pair of pictures [B, C, H, W] in 0 to 1: [B]."""
    return _in_decibels(squared_error(pictures, others))


def squared_error(pictures: Tensor, others: Tensor) -> Tensor:
    """Return the mean squared error over pixels and channels of each pair of pictures: [B]."""
    return (pictures - others).square().flatten(1).mean(1)


def _in_decibels(error: Tensor) -> Tensor:
    return -10.0 * error.clamp(min=LEAST_ERROR).log10()


LOSSES: Registry[Callable[..., RateDistortion]] = Registry("loss")


@LOSSES
def mse(
    *, quality: int | None = None, lmbda: float | None = None, off_table: bool = False
) -> RateDistortion:
    """Make the loss with distortion 255^2 MSE (pixels from 0 to 255); see `lambdas.weight_of`."""

    def measure(_pictures: Tensor, _others: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        return error, WHITE**2 * error

    return RateDistortion("mse", weight_of("mse", quality, lmbda, off_table).lmbda, measure)


@LOSSES
def ms_ssim(
    *, quality: int | None = None, lmbda: float | None = None, off_table: bool = False
) -> RateDistortion:
    """Make the loss with distortion 1 - MS-SSIM; see `lambdas.weight_of`."""

    def measure(pictures: Tensor, others: Tensor, _error: Tensor) -> tuple[Tensor, Tensor]:
        distortion = dissimilarity(pictures, others)
        return 1.0 - distortion, distortion

    weight = weight_of("ms_ssim", quality, lmbda, off_table)
    return RateDistortion("ms_ssim", weight.lmbda, measure)
