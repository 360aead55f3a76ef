"""How near two pictures are, as it is measured when codecs are compared."""

import numpy as np
import pytest

from tunewright.recipes.compression.evaluation.fidelity import fidelity


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 250, (height, width, 3), dtype=np.uint8)


def test_psnr_by_its_formula() -> None:
    one = picture(20, 30)
    assert fidelity(one, one + 2).psnr == pytest.approx(10 * np.log10(255**2 / 4))
    assert fidelity(one, one).psnr == 100.0
    assert fidelity(one, one + 2).ms_ssim is None
    assert fidelity(one, one).ms_ssim_db is None


def test_ms_ssim_of_what_is_large_enough() -> None:
    one = picture(161, 200)
    same, other = fidelity(one, one), fidelity(one, np.roll(one, 1, 0))
    assert same.ms_ssim == pytest.approx(1.0)
    assert same.ms_ssim_db == pytest.approx(100.0, abs=40.0)  # 1 less float32's rounding
    assert other.ms_ssim is not None
    assert other.ms_ssim < 0.5
    assert fidelity(one[1:], one[1:]).ms_ssim is None
