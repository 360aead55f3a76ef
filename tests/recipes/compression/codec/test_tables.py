"""Integer tables."""

import numpy as np
import pytest
import torch
from scipy import stats

from tunewright.recipes.compression.codec.tables import (
    ESCAPE_SHARE,
    LARGEST_REACH,
    TOTAL,
    boundaries,
    make_tables,
)
from tunewright.recipes.compression.models.likelihoods import GAUSSIAN, GENERALISED_GAUSSIAN

FAMILIES = pytest.mark.parametrize("family", [GAUSSIAN, GENERALISED_GAUSSIAN], ids=lambda f: f.name)
DISTRIBUTIONS = {"gaussian": stats.norm, "generalised_gaussian": stats.gennorm(1.5)}


@FAMILIES
def test_every_table_sums_to_the_total_and_leaves_no_value_out(family):
    tables = make_tables(family.scale_table(), family)
    assert len(tables.counts) == family.levels
    for counts, reach in zip(tables.counts, tables.reaches, strict=True):
        assert counts.sum() == TOTAL
        assert counts.min() >= 1
        assert len(counts) == 2 * reach + 2
        assert np.array_equal(counts[:-1], counts[:-1][::-1])
        assert counts[-1] >= ESCAPE_SHARE * TOTAL * 0.99


@FAMILIES
def test_counts_are_those_of_the_distribution(family):
    scales = family.scale_table()[::7]
    distribution = DISTRIBUTIONS[family.name]
    for scale, counts in zip(scales.tolist(), make_tables(scales, family).counts, strict=True):
        reach = len(counts) // 2 - 1
        values = np.arange(-reach, reach + 1)
        cdf = distribution.cdf
        expected = cdf((values + 0.5) / scale) - cdf((values - 0.5) / scale)
        np.testing.assert_allclose(counts[:-1] / TOTAL, expected, atol=1e-4)
        possible = expected > 0
        ratio = expected[possible] * TOTAL / counts[:-1][possible]
        assert (expected[possible] * np.log2(ratio)).sum() < 1e-3  # bits that a value costs more


def test_the_same_tables_each_time_and_others_for_other_scales():
    first, second = (make_tables(GAUSSIAN.scale_table(), GAUSSIAN).content() for _ in range(2))
    assert first == second
    assert make_tables(GAUSSIAN.scale_table() * 1.01, GAUSSIAN).content() != first


def test_scales_that_no_table_can_have():
    scales = torch.tensor([-1.0, 0.0, 1e6, float("nan")])
    tables = make_tables(scales, GAUSSIAN)
    assert tables.reaches.tolist() == [1, 1, LARGEST_REACH, LARGEST_REACH]
    assert [counts.sum() for counts in tables.counts] == [TOTAL] * 4


@FAMILIES
def test_the_level_of_a_scale_is_the_nearest_in_the_logarithm(family):
    table = family.scale_table()
    scales = torch.logspace(-2, 3, 400, dtype=torch.float64)
    levels = torch.bucketize(scales.float(), boundaries(family))
    nearest = (scales.log()[:, None] - table.log()).abs().argmin(1)
    assert torch.equal(levels, nearest)
