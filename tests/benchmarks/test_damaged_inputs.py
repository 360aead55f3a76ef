"""A slice of the fuzzer in every run of the tests."""

import sys
from pathlib import Path

import pytest

import tunewright

BENCHMARKS = Path(tunewright.__file__).parents[2] / "benchmarks"


@pytest.fixture
def fuzzer(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__("damaged_inputs")
    for name in ("damaged_inputs", "machine"):
        sys.modules.pop(name, None)


def test_damaged_files_end_in_success_or_one_sentence(fuzzer):
    found = fuzzer.try_inputs(200)
    assert found["faults"] == []
    for kind, tally in found["kinds"].items():
        assert tally["refused"], kind  # the damage reaches the reader
