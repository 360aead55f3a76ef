"""Which cells the noise does not tell from the best one."""

import numpy as np
import pytest
from scipy.stats import tukey_hsd

from tunewright.analysis.grid.ties import Cell, measure_noise, tied_with_best


def cells(*scores: tuple[float, ...]) -> list[Cell]:
    return [Cell({"gamma": float(place)}, values) for place, values in enumerate(scores)]


def test_noise_is_pooled_within_cells() -> None:
    noise = measure_noise(cells((1.0, 2.0), (5.0, 6.0, 7.0), (9.0,)))
    assert (noise.degrees, noise.source) == (3, "repeated cells")
    assert noise.deviation == pytest.approx(((0.5 + 2.0) / 3) ** 0.5)


def test_ties_are_those_of_tukeys_test() -> None:
    """Scipy compares all pairs; here those with the best count."""
    rng = np.random.default_rng(0)
    groups = [tuple(rng.normal(mean, 0.1, 4)) for mean in (30.0, 30.1, 30.4, 30.45)]
    made = cells(*groups)
    best = max(range(4), key=lambda index: made[index].mean)
    expected = [p > 0.05 for p in tukey_hsd(*groups).pvalue[best]]
    others = expected[:best] + expected[best + 1 :]
    assert set(others) == {True, False}, "the groups show both"
    expected[best] = any(others)
    assert tied_with_best(made, measure_noise(made), 1.0) == expected


def test_a_clear_winner_is_not_tied() -> None:
    made = cells((30.0, 30.1), (32.0, 32.1), (29.9, 30.0))
    assert tied_with_best(made, measure_noise(made), 1.0) == [False, False, False]
    assert tied_with_best(made, measure_noise(made), -1.0) == [True, False, True]


def test_a_result_stored_twice_is_no_repeat() -> None:
    noise = measure_noise(cells((30.0, 30.0), (31.0, 31.0)))
    assert noise.deviation is None
    assert "unknown" in str(noise)
    assert tied_with_best(cells((30.0, 30.0), (31.0, 31.0)), noise, 1.0) == [True, True]


def test_without_repeats_an_additive_model_bounds_the_noise() -> None:
    rng = np.random.default_rng(1)
    made = [
        Cell({"gamma": float(i), "w_lr": float(j)}, (i + 0.5 * j + rng.normal(0, 0.01),))
        for i in range(3)
        for j in range(3)
    ]
    noise = measure_noise(made)
    assert (noise.source, noise.degrees) == ("additive model", 4)
    assert 0.003 < noise.deviation < 0.03  # type: ignore[operator]
    assert tied_with_best(made, noise, 1.0) == [False] * 9


def test_two_cells_without_repeats_say_nothing() -> None:
    made = cells((30.0,), (35.0,))
    assert tied_with_best(made, measure_noise(made), 1.0) == [True, True]
