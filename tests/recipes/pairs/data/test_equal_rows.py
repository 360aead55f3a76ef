"""Rows that are one up to rounding, and rows that are not, in every dtype and across files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tunewright.recipes.pairs.data.array_files import ArrayFile, describe
from tunewright.recipes.pairs.data.equal_rows import ROUNDING, equal_rows

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def saved(folder: Path, rows: np.ndarray, dtype: str = "float32", name: str = "x") -> ArrayFile:
    file = folder / f"{name}.safetensors"
    save_file({"embeddings": torch.from_numpy(rows.astype(np.float32)).to(DTYPES[dtype])}, file)
    return describe(file)


@pytest.mark.parametrize("dtype", ROUNDING)
@given(seed=st.integers(0, 10_000), width=st.sampled_from([4, 7, 64]), unit=st.booleans())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rows_are_one_up_to_rounding_and_others_are_not(tmp_path, dtype, seed, width, unit):
    rng = np.random.default_rng(seed)
    kinds = rng.standard_normal((30, width)) * rng.uniform(0.01, 100)
    if unit:
        kinds /= np.linalg.norm(kinds, axis=1, keepdims=True)
    kind = rng.integers(0, 30, 200)
    rows = kinds[kind] * (1 + 1e-6 * rng.standard_normal((200, width)))
    numbers = equal_rows(saved(tmp_path, rows, dtype))
    assert numbers.dtype == np.int64
    assert (numbers[:, None] == numbers).tolist() == (kind[:, None] == kind).tolist()


def test_lengths_signs_and_orders_tell_rows_apart(tmp_path):
    row = np.arange(1.0, 9.0)
    flipped = row * np.array([1, -1, 1, -1, 1, 1, 1, 1])
    rows = np.stack([row, row[::-1], flipped, -row, 2 * row, row * (1 + 1e-2), row])
    assert equal_rows(saved(tmp_path, rows)).tolist() == [0, 1, 2, 3, 4, 5, 0]


def test_rows_of_several_files_are_numbered_together(tmp_path):
    rows = np.random.default_rng(3).standard_normal((9, 16))
    first = saved(tmp_path, rows[:6], name="first")
    second = saved(tmp_path, rows[3:] * (1 - 1e-6), name="second")
    assert equal_rows(first, second).tolist() == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8]


def test_broken_and_empty_rows_are_no_error_here(tmp_path):
    rows = np.ones((5, 4))
    rows[1], rows[2], rows[3, 0] = np.nan, 0.0, np.inf
    assert equal_rows(saved(tmp_path, rows)).tolist() == [0, 1, 2, 3, 0]
