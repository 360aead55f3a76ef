"""Wilson's interval, and where it takes the place of percentiles that have no width."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tunewright.analysis.score_intervals import (
    describe_paired,
    has_no_width,
    interval_methods,
    is_wilsons,
    percentiles,
    wilson,
    wilson_notes,
    wilson_without_spread,
)
from tunewright.cli.output.formatting import between

VALUES = json.loads((Path(__file__).parents[1] / "oracles/classification.json").read_text())


def test_wilson_is_that_of_scipy():
    for written, expected in VALUES["values"]["wilson"].items():
        hits, rows = map(int, written.split("/"))
        assert wilson(hits, rows) == pytest.approx(expected, abs=1e-12)


def test_half_a_width_of_the_sheet():
    low, high = wilson(2919, 2989)  # 97.66 %
    assert 100 * (high - low) / 2 == pytest.approx(0.54, abs=0.006)


@given(rows=st.integers(0, 500), share=st.floats(0, 1), level=st.floats(0.5, 0.999))
def test_wilson_stays_in_bounds_and_holds_the_share(rows, share, level):
    hits = round(share * rows)
    low, high = wilson(hits, rows, level=level)
    assert 0 <= low <= (hits / rows if rows else 0) <= high <= 1
    assert low < high
    mirrored = wilson(rows - hits, rows, level=level)
    assert mirrored == pytest.approx((1 - high, 1 - low))


@given(units=st.integers(1, 5000), right=st.booleans(), level=st.floats(0.5, 0.999))
def test_units_that_all_scored_alike_have_wilsons_interval(units, right, level):
    found = wilson_without_spread(float(right), [units], level=level)
    assert found == pytest.approx(wilson(right * units, units, level=level), abs=1e-12)
    assert is_wilsons(float(right), found)


@pytest.mark.parametrize("units", [10, 52, 2000])
def test_it_is_about_as_wide_as_the_exact_one(units):
    exact = binomtest(units, units).proportion_ci(method="exact")
    assert 1 - wilson_without_spread(1.0, [units])[0] == pytest.approx(1 - exact.low, rel=0.12)


@given(value=st.floats(-1, 1), units=st.lists(st.integers(1, 99), min_size=1, max_size=4))
def test_an_interval_of_a_difference_stays_in_bounds_and_holds_it(value, units):
    low, high = wilson_without_spread(value, units, lowest=-1.0)
    assert -1 <= low <= value <= high <= 1
    assert low < high


def test_draws_that_differ_by_rounding_alone_have_no_width():
    assert has_no_width(percentiles(np.array([1.0, 1.0 - 1e-16, 1.0])))
    assert not has_no_width(percentiles(np.array([1.0, 0.999])))


def test_what_is_no_bootstrap_is_said():
    scores = {"accuracy": 1.0, "few_accuracy": 0.0, "macro_f1": 0.5}
    intervals = {"accuracy": (0.9, 1.0), "few_accuracy": (0.0, 0.3), "macro_f1": (0.4, 0.6)}
    methods = interval_methods(scores, intervals)
    assert methods == {"accuracy": "wilson", "few_accuracy": "wilson", "macro_f1": "bootstrap"}
    [note] = wilson_notes(methods)
    assert note.startswith("the interval of accuracy, few_accuracy is Wilson's")
    assert describe_paired({"method": "wilson"}) == "paired, Wilson's"
    assert describe_paired({"method": "bootstrap"}) == describe_paired({}) == "paired"
    assert wilson_notes({"macro_f1": "bootstrap"}) == []
    assert between(1.0, [0.9, 1.0]) == "0.9 .. 1, Wilson's"
    assert between(0.5, [0.4, 0.6]) == "0.4 .. 0.6"
