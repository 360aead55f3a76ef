"""MS-SSIM against values of pytorch-msssim 1.0, and its gradient where structures oppose."""

import pytest
import torch
from torch import Tensor

from tunewright.errors import DataError
from tunewright.recipes.compression.ms_ssim import ms_ssim

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
    assert low.dtype == torch.float32
    assert low.tolist() == pytest.approx(KNOWN[size], abs=5e-6)
    assert torch.equal(low, ms_ssim(others.float(), pictures.float()))


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
