"""The entropy coder."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.errors import DataError
from tunewright.recipes.compression.codec.coder import LARGEST, Coder, RangeDecoder, RangeEncoder
from tunewright.recipes.compression.codec.tables import TOTAL, make_tables
from tunewright.recipes.compression.models.likelihoods import GAUSSIAN

CODER = Coder(make_tables(GAUSSIAN.scale_table(), GAUSSIAN))
VALUES = st.one_of(st.integers(-3, 3), st.integers(-2000, 2000), st.integers(-LARGEST, LARGEST))
STEPS = st.lists(
    st.lists(st.tuples(VALUES, st.integers(0, GAUSSIAN.levels - 1)), max_size=40), max_size=4
)


def arrays(step):
    values = np.array([value for value, _ in step], np.int32)
    return values, np.array([level for _, level in step], np.uint8)


def coded(steps) -> bytes:
    writer = RangeEncoder(CODER)
    for values, levels in steps:
        writer.encode(values, levels)
    return writer.finish()


@given(STEPS)
@settings(max_examples=60)
def test_what_is_put_is_taken_in_the_same_steps(steps):
    steps = [arrays(step) for step in steps]
    reader = RangeDecoder(CODER, coded(steps))
    for values, levels in steps:
        assert np.array_equal(reader.decode(levels), values)


@pytest.mark.parametrize("value", [2, -2, 5, 4096, -LARGEST, LARGEST])
def test_values_beyond_a_table_are_escaped(value):
    values, levels = np.array([value, 0, 0], np.int32), np.zeros(3, np.uint8)
    stream = coded([(values, levels)])
    assert np.array_equal(RangeDecoder(CODER, stream).decode(levels), values)
    assert len(stream) <= 8


def test_a_stream_is_as_long_as_its_counts_say():
    """Within a word: the tables of the coder are ours, count by count."""
    rng = np.random.default_rng(3)
    levels = rng.integers(0, GAUSSIAN.levels, 20_000).astype(np.uint8)
    scales = GAUSSIAN.scale_table().numpy()[levels]
    values = np.round(rng.normal(size=len(levels)) * scales).astype(np.int32)
    reaches = CODER.tables.reaches[levels]
    inside = np.abs(values) <= reaches
    values[~inside] = 0
    counts = [
        CODER.tables.counts[level][value + reach]
        for level, value, reach in zip(levels, values, reaches, strict=True)
    ]
    bits = np.log2(TOTAL / np.array(counts)).sum()
    assert 0 <= 8 * len(coded([(values, levels)])) - bits <= 64


def test_zeros_cost_next_to_nothing():
    values, levels = np.zeros(10_000, np.int32), np.zeros(10_000, np.uint8)
    assert len(coded([(values, levels)])) <= 4


def test_bytes_that_nobody_wrote_give_values_or_an_error():
    """Never anything else; whether they are right is for a checksum to say."""
    rng = np.random.default_rng(0)
    for length in range(40):
        levels = rng.integers(0, GAUSSIAN.levels, 30).astype(np.uint8)
        with contextlib.suppress(DataError):
            values = RangeDecoder(CODER, rng.bytes(length)).decode(levels)
            assert np.abs(values).max() <= LARGEST
