"""MS-SSIM against values of pytorch-msssim 1.0 and a float64 of our own; and its gradient."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from tunewright.errors import DataError
from tunewright.recipes.compression.evaluation.fidelity import fidelity
from tunewright.recipes.compression.ms_ssim import WEIGHTS, dissimilarity, ms_ssim

Floats = npt.NDArray[np.float64]

KNOWN = {
    (176, 192): (1.0, 0.9918597443165179, 0.727179064736671),
    (171, 203): (1.0, 0.9920359090728738, 0.7119020679735909),
    (161, 256): (1.0, 0.9930075157017121, 0.6190178586442943),
}


def drawn(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Waves; themselves, with a fine pattern over them, and moved and paled."""
    row = torch.arange(height, dtype=torch.float64)[:, None]
    column = torch.arange(width, dtype=torch.float64)[None]
    waves = torch.stack(
        [
            0.5 + 0.5 * torch.sin(row * (k + 1) / 7 + column * column / (900 + 100 * k))
            for k in range(3)
        ]
    )
    fine = 0.1 * torch.cos(row * column / 50 + torch.arange(3).view(3, 1, 1))
    moved = 0.2 + 0.6 * waves.roll(3, -1)
    return torch.stack([waves] * 3), torch.stack([waves, (waves + fine).clamp(0, 1), moved])


@pytest.mark.parametrize("size", KNOWN)
def test_as_the_usual_package_has_it(size: tuple[int, int]) -> None:
    pictures, others = drawn(*size)
    # Its window is in float32 also for pictures in float64.
    assert ms_ssim(pictures, others).tolist() == pytest.approx(KNOWN[size], abs=5e-7)
    low = ms_ssim(pictures.float(), others.float())
    assert low.dtype == torch.float64
    assert low.tolist() == pytest.approx(KNOWN[size], abs=5e-6)
    assert torch.equal(low, ms_ssim(others.float(), pictures.float()))


def in_decibels(alike: float) -> float:
    return -10.0 * math.log10(1.0 - alike)


def by_the_formula(one: Floats, other: Floats) -> float:
    """Of two channels [H, W] in 0 to 1, with even sides at all scales: equation 7, in float64."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    taps /= taps.sum()

    def local(image: Floats) -> Floats:
        for axis in (0, 1):
            image = np.apply_along_axis(np.convolve, axis, image, taps, "valid")
        return image

    found = 1.0
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            one, other = (
                image.reshape(len(image) // 2, 2, -1, 2).mean((1, 3)) for image in (one, other)
            )
        x, y = local(one), local(other)
        spread = local(one * one) - x * x + local(other * other) - y * y
        term = (2 * (local(one * other) - x * y) + 9e-4) / (spread + 9e-4)
        if scale == len(WEIGHTS) - 1:
            term *= (2 * x * y + 1e-4) / (x * x + y * y + 1e-4)
        found *= float(term.mean()) ** weight
    return found


@pytest.mark.parametrize("changed", [0.01, 0.3])
@pytest.mark.parametrize(
    ("level", "swing"), [(252, 0), (248, 6), (225, 25), (128, 100), (20, 15), (5, 3), (2, 0)]
)
def test_hardly_changed_pictures_to_a_thousandth_of_a_decibel(
    level: int, swing: int, changed: float
) -> None:
    """Bright, dark and flat ones, of which a few pixels are one level off."""
    rng = np.random.default_rng(level)
    rows, columns = np.mgrid[:176, :192]
    drawn = level + swing * (np.sin(rows / 8) + np.cos(columns / 11)) / 2
    picture = np.clip(drawn + rng.normal(0, swing / 4 + 0.1, drawn.shape), 0, 255).round()
    step = np.where(rng.random(drawn.shape) < changed, rng.choice([-1, 1], drawn.shape), 0)
    other = np.clip(picture + step, 0, 255)
    expected = in_decibels(by_the_formula(picture / 255.0, other / 255.0))
    pixels = [np.repeat(image.astype(np.uint8)[..., None], 3, axis=2) for image in (picture, other)]
    found = fidelity(*pixels).ms_ssim_db
    assert found == pytest.approx(expected, abs=1e-3)
    low, high = (
        torch.from_numpy(image.astype(np.float32) / 255)[None, None] for image in (picture, other)
    )
    lost = dissimilarity(low, high)
    assert lost.dtype == torch.float32
    assert -10 * math.log10(lost.item()) == pytest.approx(expected, abs=1e-3)


def test_equal_pictures_lack_nothing() -> None:
    picture = drawn(171, 203)[0].float()
    assert ms_ssim(picture, picture).tolist() == [1.0, 1.0, 1.0]
    assert fidelity(*[np.full((170, 170, 3), 251, np.uint8)] * 2).ms_ssim_db == pytest.approx(100.0)


def test_the_gradient_points_to_the_picture() -> None:
    pictures, others = (batch[1:].float() for batch in drawn(161, 161))
    others.requires_grad_()
    before = ms_ssim(pictures, others)
    before.sum().backward()
    assert others.grad is not None
    step = others.detach() + 0.01 * others.grad / others.grad.abs().max()
    assert (ms_ssim(pictures, step) > before).all()


def test_opposed_structures_have_a_finite_gradient() -> None:
    picture = drawn(161, 161)[0][:1].float()
    opposed = (1 - picture).requires_grad_()
    found = ms_ssim(picture, opposed)
    found.sum().backward()
    assert found.item() == 0
    assert opposed.grad is not None
    assert opposed.grad.isfinite().all()


def test_small_pictures_are_refused() -> None:
    with pytest.raises(DataError, match=r"200 x 160 pixels: expected sides above 160"):
        ms_ssim(torch.zeros(1, 3, 160, 200), torch.zeros(1, 3, 160, 200))
