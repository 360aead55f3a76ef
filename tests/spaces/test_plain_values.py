"""Spaces as Python code writes them: values of array libraries, and values that no file holds."""

import datetime
import decimal
import enum
import math
import re

import numpy as np
import pytest
import torch

from tunewright.errors import SpaceError
from tunewright.spaces.plain_values import plain_values


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.linspace(0.0, 1.0, 3), [0.0, 0.5, 1.0]),
        ({"low": np.float32(0.5), "log": np.bool_(True)}, {"low": 0.5, "log": True}),
        (range(3), [0, 1, 2]),
        ({"a": 1}.keys(), ["a"]),
        ((1, (2, [np.uint8(3)])), (1, (2, [3]))),
        (torch.tensor(2), 2),
        (np.array([["a", "b"]]), [["a", "b"]]),
        (None, None),
    ],
)
def test_values_of_array_libraries_are_plain_ones(given, plain):
    found = plain_values(given, "x")
    assert found == plain
    assert type(found) is type(plain)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "x.choices[1] = nan: expected a finite number"),
        (np.float64("-inf"), "x.choices[1] = -inf: expected a finite number"),
        (Colour.RED, "x.choices[1] = <Colour.RED: 'red'>: expected a number, a text"),
        (datetime.date(2026, 1, 2), 'Write it as a text: "2026-01-02"'),
        (decimal.Decimal("0.1"), "x.choices[1] = Decimal('0.1'): expected a number, a text"),
        (b"a", "x.choices[1] = b'a': expected"),
        ({1, 2}, "x.choices[1] = {1, 2}: expected"),
        (1j, "x.choices[1] = 1j: expected"),
        ("a\0b", r"x.choices[1] = 'a\x00b': expected"),
        (torch.float32, "x.choices[1] = torch.float32: expected"),
        (np.datetime64("2026-01-02"), "Write it as a text"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(value, shown):
    with pytest.raises(SpaceError, match=re.escape(shown)):
        plain_values([0.5, value], "x.choices")
