"""Successive halving as arithmetic: which rungs there are, and who passes them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.config.schema import Asha, NoPruner, Training
from tunewright.errors import ConfigError
from tunewright.search.pruning import keeps, rungs

scores = st.floats(-100, 100, allow_nan=False)
ladders = st.builds(
    Asha,
    min_resource=st.integers(1, 5),
    reduction_factor=st.integers(2, 5),
    min_early_stopping_rate=st.integers(0, 2),
)


def passes(number: int, rung: int, curves, *, factor: int = 2, direction: str = "max") -> bool:
    return keeps(number, rung, curves, reduction_factor=factor, direction=direction)


def test_rungs_are_counted_in_epochs_and_never_the_last() -> None:
    assert rungs(Asha(min_resource=1, reduction_factor=2), 8) == [1, 2, 4]
    assert rungs(Asha(min_resource=2, reduction_factor=3), 19) == [2, 6, 18]
    assert rungs(Asha(min_resource=2, reduction_factor=4, min_early_stopping_rate=1), 40) == [8, 32]


def test_without_a_pruner_there_are_no_rungs() -> None:
    assert rungs(NoPruner(), 50) == []


def test_the_defaults_prune_within_the_default_epochs() -> None:
    assert rungs(Asha(), Training().epochs)[0] <= 5


def test_a_pruner_that_could_never_act_is_refused_with_the_remedy() -> None:
    """The trap of tuning.md 1.13: reduction 4, resource 2, rate 1 never prunes eight epochs."""
    never = Asha(min_resource=2, reduction_factor=4, min_early_stopping_rate=1)
    with pytest.raises(ConfigError, match="first rung is after 8 epochs") as caught:
        rungs(never, 8)
    assert "study.pruner.min_early_stopping_rate=0" in str(caught.value)
    remedy = Asha(min_resource=2, reduction_factor=2, min_early_stopping_rate=0)
    assert rungs(remedy, 8) == [2, 4]


@given(ladders, st.integers(1, 200))
def test_rungs_rise_by_the_factor_and_stay_below_the_end(pruner: Asha, last: int) -> None:
    try:
        found = rungs(pruner, last)
    except ConfigError:
        factor = pruner.reduction_factor**pruner.min_early_stopping_rate
        assert pruner.min_resource * factor >= last
        return
    assert found[0] < last
    assert found[-1] < last <= found[-1] * pruner.reduction_factor
    assert all(b == a * pruner.reduction_factor for a, b in itertools.pairwise(found))


@given(st.lists(scores, min_size=1, max_size=30), st.integers(2, 5))
def test_the_best_always_goes_on_and_the_right_number_with_it(
    values: list[float], factor: int
) -> None:
    curves = {number: {2: value} for number, value in enumerate(values)}
    kept = {number for number in curves if passes(number, 2, curves, factor=factor)}
    assert max(curves, key=lambda number: curves[number][2]) in kept
    distinct = len(set(values)) == len(values)
    if distinct:
        assert len(kept) == max(1, len(values) // factor)


@given(st.dictionaries(st.integers(0, 20), st.lists(scores, min_size=1, max_size=6), min_size=1))
def test_smaller_is_better_is_the_mirror_image(curves_of: dict[int, list[float]]) -> None:
    curves = {n: dict(enumerate(values, start=1)) for n, values in curves_of.items()}
    mirrored = {n: {step: -v for step, v in curve.items()} for n, curve in curves.items()}
    for number in curves:
        assert passes(number, 2, curves) == passes(number, 2, mirrored, direction="min")


@given(
    st.lists(scores, min_size=2, max_size=20, unique=True),
    st.randoms(use_true_random=False),
)
def test_one_after_another_a_new_best_is_never_stopped(values: list[float], shuffle) -> None:
    shuffle.shuffle(values)
    curves: dict[int, dict[int, float]] = {}
    for number, value in enumerate(values):
        curves[number] = {1: value}
        if value == max(values[: number + 1]):
            assert passes(number, 1, curves)


def test_a_value_at_a_rung_is_the_best_so_far() -> None:
    curves = {0: {1: 0.9, 2: 0.1}, 1: {1: 0.2, 2: 0.5}}
    assert passes(0, 2, curves)
    assert not passes(1, 2, curves)


def test_what_comes_after_the_rung_does_not_count() -> None:
    curves = {0: {1: 0.1, 2: 0.2, 3: 9.0}, 1: {1: 0.3, 2: 0.4}}
    assert not passes(0, 2, curves)
    assert passes(1, 2, curves)


def test_trials_that_have_not_reached_the_rung_are_no_rivals() -> None:
    curves = {0: {1: 0.1, 2: 0.1}, 1: {1: 0.9}, 2: {}}
    assert passes(0, 2, curves)
    assert passes(2, 2, curves), "nothing is known of it"


def test_equals_go_on_together() -> None:
    curves = {number: {1: 0.5} for number in range(4)}
    assert all(passes(number, 1, curves) for number in curves)
