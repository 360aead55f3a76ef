"""PSNR and MS-SSIM of a decoded picture, as codecs are compared."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tunewright.recipes.compression.config_checks import has_ms_ssim
from tunewright.recipes.compression.evaluation.rate_curve import decibels

Picture = npt.NDArray[np.uint8]
"""[H, W, 3], RGB."""
CAP = 100.0
"""PSNR in dB of an exact reconstruction, whose error has no logarithm."""


@dataclass(frozen=True)
class Fidelity:
    """psnr: decibels, at most 100. ms_ssim: at most 1; None for pictures too small for it."""

    psnr: float
    ms_ssim: float | None

    @property
    def ms_ssim_db(self) -> float | None:
        """-10 log10(1 - MS-SSIM), at most 100."""
        if self.ms_ssim is None:
            return None
        return decibels(min(self.ms_ssim, 1.0 - 10.0 ** (-CAP / 10.0)))


def fidelity(original: Picture, decoded: Picture) -> Fidelity:
    """Compare two pictures of one size, after rounding to 8 bits; in whatever process has torch.

    Source of MS-SSIM: Wang, Simoncelli & Bovik, 2003.
    """
    error = original.astype(np.float64) - decoded
    mse = float(np.mean(error * error)) / 255.0**2
    psnr = CAP if mse == 0.0 else min(CAP, -10.0 * math.log10(mse))
    if not has_ms_ssim(min(original.shape[:2])):
        return Fidelity(psnr, None)
    import torch

    from tunewright.recipes.compression.ms_ssim import ms_ssim

    pair = [
        torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float() / 255.0
        for picture in (original, decoded)
    ]
    with torch.no_grad():
        return Fidelity(psnr, float(ms_ssim(*pair)[0]))
