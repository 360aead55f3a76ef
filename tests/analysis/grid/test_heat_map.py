"""Cells of a heat map: equal numbers, repeats, gaps, strings, many values."""

import random

import pytest

from tunewright.analysis.grid.heat_map import HeatMap, Point, colour_range, heat_map
from tunewright.analysis.grid.run_result import parse_value, plain_value, sort_values


def drawn(points: list[tuple[object, object, float]], **options: object) -> HeatMap:
    made = [Point(plain_value(x), plain_value(y), score) for x, y, score in points]
    return heat_map(made, ("gamma", "w_lr"), ("psnr", "max"), **options)  # type: ignore[arg-type]


def test_numbers_are_sorted_as_numbers_and_equal_ones_are_one() -> None:
    texts = ["0.0025", "1e-3", ".001", "0.01"]
    found = drawn([(parse_value(text), 0.05, 30.0) for text in texts])
    assert found.x.labels == ("0.001", "0.0025", "0.01")
    assert found.counts == ((2, 1, 1),)


def test_repeats_are_averaged_and_gaps_are_blank() -> None:
    found = drawn([(0.001, 0.01, 30.0), (0.001, 0.01, 31.0), (0.003, 0.05, 29.0)])
    assert found.means == ((30.5, None), (None, 29.0))
    assert found.counts == ((2, 0), (0, 1))
    assert found.spreads[0][0] == pytest.approx(0.5**0.5)
    assert "2 of 4 cells have no run" in found.notices[-1]


def test_one_value_says_so() -> None:
    found = drawn([(0.001, 0.01, 30.0), (0.003, 0.01, 31.0)])
    assert "w_lr has only one value, 0.01" in found.notices[0]


def test_texts_switches_and_unset_values_have_places() -> None:
    found = drawn([("famo", True, 1.0), ("qp", False, 2.0), (None, True, 3.0), (0.5, True, 4.0)])
    assert found.x.labels == ("0.5", "famo", "qp", "not set")
    assert found.y.labels == ("false", "true")


def test_true_is_not_one() -> None:
    assert sort_values([True, 1.0]) == [1.0, True]
    assert len(drawn([(True, 0.1, 1.0), (1.0, 0.1, 2.0)]).x.labels) == 2


def test_drawn_numbers_are_gathered_in_ranges() -> None:
    rng = random.Random(0)
    points = [(10 ** rng.uniform(-4, -1), rng.uniform(1, 2), rng.random()) for _ in range(60)]
    found = drawn([*points], logarithmic=(True, None))
    assert (found.x.ranges, found.x.logarithmic, len(found.x.labels)) == (True, True, 8)
    assert not found.y.logarithmic
    assert found.runs == 60
    assert "logarithmic ranges" in found.notices[0]


def test_a_grid_of_a_thousand_cells_stays_a_grid() -> None:
    points = [(float(i), float(j), float(i * j)) for i in range(40) for j in range(25)]
    found = drawn([*points])
    assert (len(found.x.labels), len(found.y.labels)) == (40, 25)
    assert not found.x.ranges


def test_values_that_four_digits_do_not_tell_apart() -> None:
    assert drawn([(0.12345, 1.0, 1.0), (0.12346, 1.0, 1.0)]).x.labels == ("0.12345", "0.12346")


def test_an_awful_cell_does_not_stretch_the_colours() -> None:
    assert colour_range([0.8, 0.82, 0.85, 0.9, 1e6]) == (0.8, 0.9)
    assert colour_range([1.0]) == (1.0, 1.0)
