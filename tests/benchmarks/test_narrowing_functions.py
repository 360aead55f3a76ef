"""The functions of the narrowing benchmark: their best points are the best."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunewright

BENCHMARKS = Path(tunewright.__file__).parents[2] / "benchmarks"


@pytest.fixture
def narrowing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__("narrowing")
    for name in ("narrowing", "narrowing_functions", "machine"):
        sys.modules.pop(name, None)


def test_no_random_point_is_better_than_the_best(narrowing: Any) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        made = narrowing.draw_function(rng)
        functions = sys.modules["narrowing_functions"]
        drawn = [made.value(functions.draw_point(made, rng)) for _ in range(300)]
        # Steps and whole numbers may lie beside the best of the ranges.
        assert max(drawn) <= made.best + 0.05 * made.spread
        assert narrowing.keeps(made, made.space)
        assert narrowing.volume(made, made.space) == pytest.approx(1.0)


def test_a_space_without_the_best_choice_does_not_keep_it(narrowing: Any) -> None:
    from dataclasses import replace

    from tunewright.spaces.domain import Categorical

    made = narrowing.draw_function(np.random.default_rng(1))
    best = made.best_point["kind"]
    others = Categorical(tuple(choice for choice in "abc" if choice != best))
    parameters = tuple(
        replace(one, domain=others) if one.path == "kind" else one for one in made.space.parameters
    )
    assert not narrowing.keeps(made, replace(made.space, parameters=parameters))
