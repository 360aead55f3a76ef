"""Pruners as arithmetic: when they may act, and whom they stop."""

import itertools
import math
import re
from collections import Counter
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from tunewright.config import study_schema
from tunewright.config.schema import TrainingConfig
from tunewright.config.study_schema import AshaConfig, NoPrunerConfig, PatientConfig
from tunewright.errors import ConfigError
from tunewright.search.storage.database import quiet
from tunewright.search.study import pruners
from tunewright.search.study.pruners import pruner, shrink_pruner
from tunewright.search.study.stopping_rules import Hyperband

scores = st.floats(-100, 100, allow_nan=False).map(lambda score: round(score, 6))
ladders = st.builds(
    AshaConfig,
    min_resource=st.integers(1, 5),
    reduction_factor=st.integers(2, 5),
    min_early_stopping_rate=st.integers(0, 2),
)


def steps(asked: study_schema.Pruner, last: int) -> list[int]:
    """The steps before the last at which a pruner may act."""
    found = pruner(asked, last, "max").steps()
    return list(itertools.takewhile(lambda step: step < last, found))


def passes(number: int, rung: int, curves, *, factor: int = 2, direction: Any = "max") -> bool:
    """What ASHA with one rung says."""
    asked = AshaConfig(min_resource=rung, reduction_factor=factor)
    return pruner(asked, 1000, direction).keeps(number, rung, curves, ())


def test_rungs_are_counted_in_epochs_and_never_the_last() -> None:
    assert steps(AshaConfig(min_resource=1, reduction_factor=2), 8) == [1, 2, 4]
    assert steps(AshaConfig(min_resource=2, reduction_factor=3), 19) == [2, 6, 18]
    assert steps(AshaConfig(min_resource=2, reduction_factor=4, min_early_stopping_rate=1), 40) == [
        8,
        32,
    ]


def test_the_defaults_prune_within_the_default_epochs() -> None:
    for kind in (
        study_schema.AshaConfig,
        study_schema.HyperbandConfig,
        study_schema.MedianConfig,
        study_schema.PercentileConfig,
        study_schema.PatientConfig,
    ):
        assert steps(kind(), TrainingConfig().epochs)[0] <= 5, kind


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize(
    "asked",
    [
        AshaConfig(min_resource=3, reduction_factor=2),
        study_schema.MedianConfig(startup_trials=2, warmup_steps=1),
        PatientConfig(patience=1, min_delta=0.0, wrapped=NoPrunerConfig()),
    ],
)
def test_a_rounding_is_no_reason_to_stop(asked: study_schema.Pruner, direction: Any) -> None:
    value = 0.1 + 0.2
    for mine in (0.3, math.nextafter(value, 1.0)):
        curves = {n: dict.fromkeys((1, 2, 3), value) for n in range(4)}
        curves[4] = {1: value, 2: mine, 3: mine}
        assert pruner(asked, 1000, direction).keeps(4, 3, curves, range(4))


def test_without_a_pruner_everything_goes_on() -> None:
    assert steps(NoPrunerConfig(), 50) == []
    assert pruner(NoPrunerConfig(), 1, "max").keeps(0, 1, {0: {1: -1.0}, 1: {1: 1.0}}, {1})


@pytest.mark.parametrize(
    ("asked", "last", "first"),
    [
        # A known trap: reduction 4, resource 2, rate 1 never prunes eight epochs.
        (AshaConfig(min_resource=2, reduction_factor=4, min_early_stopping_rate=1), 8, 8),
        (study_schema.HyperbandConfig(min_resource=8), 8, 8),
        (study_schema.MedianConfig(warmup_steps=9), 8, 9),
        (study_schema.PercentileConfig(warmup_steps=8), 8, 8),
        (study_schema.MedianConfig(), 1, 1),
        (PatientConfig(patience=6), 8, 8),
        (PatientConfig(patience=1, wrapped=AshaConfig(min_resource=2, reduction_factor=4)), 8, 8),
        (PatientConfig(patience=6, wrapped=NoPrunerConfig()), 8, 8),
    ],
)
def test_a_pruner_that_could_never_act_is_refused(
    asked: study_schema.Pruner, last: int, first: int
) -> None:
    message = rf"{asked.type} would never prune.* after {first} epochs, .*last epoch is {last}:"
    with pytest.raises(ConfigError, match=message):
        pruner(asked, last, "max")
    if first >= last > 1:
        assert steps(asked, first + 1)[0] == first


@given(
    st.sampled_from(
        [
            AshaConfig,
            study_schema.HyperbandConfig,
            study_schema.MedianConfig,
            study_schema.PercentileConfig,
        ]
    ),
    st.integers(1, 30),
    st.integers(1, 40),
)
def test_a_shrunk_pruner_acts_in_time_and_no_earlier_than_need_be(
    kind: type[Any], wait: int, last: int
) -> None:
    key = "min_resource" if kind in (AshaConfig, study_schema.HyperbandConfig) else "warmup_steps"
    asked = kind(**{key: wait})
    found = shrink_pruner(asked, last)
    pruner(found, last, "max")  # which refuses one that can never prune
    if wait < last:
        assert found == asked
    elif last > 1:
        assert found == asked.model_copy(update={key: last - 1})
    else:
        assert found.type == "none"


def test_a_shrunk_pruner_that_waits_for_another_may_be_none() -> None:
    late = PatientConfig(patience=1, wrapped=AshaConfig(min_resource=4))
    assert shrink_pruner(late, 4).type == "none"
    assert shrink_pruner(PatientConfig(patience=6), 6) == PatientConfig(patience=3)
    assert shrink_pruner(NoPrunerConfig(), 1).type == "none"


def test_the_refusal_names_the_remedy() -> None:
    asked = AshaConfig(min_resource=2, reduction_factor=4, min_early_stopping_rate=1)
    with pytest.raises(ConfigError, match=r"Use study\.pruner\.min_resource=1, more epochs, or"):
        pruner(asked, 8, "max")
    assert steps(asked.model_copy(update={"min_resource": 1}), 8) == [4]


@given(ladders, st.integers(1, 200))
def test_rungs_rise_by_the_factor_and_stay_below_the_end(asked: AshaConfig, last: int) -> None:
    try:
        found = steps(asked, last)
    except ConfigError:
        factor = asked.reduction_factor**asked.min_early_stopping_rate
        assert asked.min_resource * factor >= last
        return
    assert found[0] < last
    assert found[-1] < last <= found[-1] * asked.reduction_factor
    assert all(b == a * asked.reduction_factor for a, b in itertools.pairwise(found))


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


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9), scores), max_size=40), ladders)
def test_what_is_remembered_changes_no_decision(reports, asked: AshaConfig) -> None:
    """One pruner over a whole study decides as one that sees the curves for the first time."""
    used = pruner(asked, 10**6, "max")
    curves: dict[int, dict[int, float]] = {}
    for number, step, value in reports:
        curves.setdefault(number, {}).setdefault(step, value)
        fresh = pruner(asked, 10**6, "max")
        for other, curve in curves.items():
            last = max(curve)
            assert used.keeps(other, last, curves, ()) == fresh.keeps(other, last, curves, ())


def test_equals_go_on_together() -> None:
    curves = {number: {1: 0.5} for number in range(4)}
    assert all(passes(number, 1, curves) for number in curves)


def test_a_rung_without_a_value_is_decided_at_the_next_one_and_others_not_again() -> None:
    asha = pruner(AshaConfig(min_resource=2, reduction_factor=2), 9, "max")
    curves = {0: {1: 0.1, 3: 0.2, 5: 0.3}, 1: {1: 0.9, 2: 0.9, 3: 0.9}}
    assert asha.keeps(0, 1, curves, ())
    assert not asha.keeps(0, 3, curves, ())
    assert asha.reason(0, 3) == "not among the best 1/2 at rung 2"
    assert asha.keeps(0, 5, curves, ()), "nobody else came to rung 4"
    assert asha.keeps(1, 3, curves, ())


# --- brackets ---------------------------------------------------------------------------------


def test_brackets_begin_one_rung_later_each() -> None:
    hyperband = Hyperband(1, 27, 3, 1.0)
    assert [bracket.first for bracket in hyperband.brackets] == [1, 3, 9, 27]


@given(st.integers(1, 4), st.integers(1, 300), st.integers(2, 4))
def test_brackets_and_their_shares_are_optunas(first: int, last: int, factor: int) -> None:
    ours = Hyperband(first, max(first, last), factor, 1.0)
    theirs = optuna.pruners.HyperbandPruner(first, max(first, last), factor)
    theirs._try_initialization(None)  # type: ignore[arg-type]
    if factor ** (len(ours.brackets)) * first != max(first, last):  # their logarithm rounds
        assert len(ours.brackets) in (theirs._n_brackets, theirs._n_brackets + 1)
    if len(ours.brackets) == theirs._n_brackets:
        turns = Counter(ours.bracket(n) for n in range(theirs._total_trial_allocation_budget))
        assert [turns[b] for b in range(len(turns))] == theirs._trial_allocation_budgets


@given(st.integers(1, 100))
def test_every_bracket_has_its_share_at_any_time(count: int) -> None:
    hyperband = Hyperband(1, 27, 3, 1.0)
    given_out = Counter(hyperband.bracket(number) for number in range(count))
    for bracket, share in enumerate((27, 12, 6, 4)):
        assert abs(given_out[bracket] - count * share / 49) < 2


def test_rivals_are_those_of_the_same_bracket() -> None:
    hyperband = Hyperband(1, 27, 3, 1.0)
    number = next(n for n in itertools.count(1) if hyperband.bracket(n) == 0)
    other = next(n for n in itertools.count(1) if hyperband.bracket(n) == 1)
    rival = next(n for n in itertools.count(number + 1) if hyperband.bracket(n) == 0)
    assert hyperband.keeps(number, 1, {number: {1: 0.1}, other: {1: 0.9}}, ())
    assert not hyperband.keeps(number, 1, {number: {1: 0.1}, rival: {1: 0.9}}, ())
    assert hyperband.keeps(other, 1, {number: {1: 0.9}, other: {1: 0.1}}, ()), "no rung of its own"
    assert hyperband.reason(number, 1) == "not among the best 1/3 at rung 1 of bracket 0"


# --- as Optuna decides ------------------------------------------------------------------------

few = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]) | scores | st.sampled_from([1e300])
curve = st.dictionaries(st.integers(1, 9), few, min_size=1, max_size=8)
histories = st.tuples(curve, st.lists(st.tuples(curve, st.booleans()), max_size=8))
directions: Any = st.sampled_from(["max", "min"])


def theirs_prunes(theirs: optuna.pruners.BasePruner, history: Any, direction: str) -> bool:
    """What Optuna's own pruner says of the running trial."""
    running, others = history
    study = optuna.create_study(direction="maximize" if direction == "max" else "minimize")
    for other, is_done in others:
        state = TrialState.COMPLETE if is_done else TrialState.PRUNED
        study.add_trial(create_trial(state=state, value=0.0, intermediate_values=other))
    study.add_trial(create_trial(state=TrialState.RUNNING, intermediate_values=running))
    return theirs.prune(study, study.trials[-1])


def ours_prunes(asked: study_schema.Pruner, history: Any, direction: Any) -> bool:
    running, others = history
    curves = {n: other for n, (other, _) in enumerate(others)} | {len(others): running}
    done = {n for n, (_, is_done) in enumerate(others) if is_done}
    made = pruner(asked, 1000, direction)
    return not made.keeps(len(others), max(running), curves, done)


@settings(deadline=None, max_examples=80)
@given(
    histories,
    directions,
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(1, 4),
    st.floats(0, 100),
)
def test_median_and_percentile_decide_as_optuna(
    history: Any, direction: Any, startup: int, warmup: int, interval: int, kept: float
) -> None:
    theirs: optuna.pruners.BasePruner = optuna.pruners.PercentilePruner(
        kept, startup, warmup, interval
    )
    fields = {"startup_trials": startup, "warmup_steps": warmup, "interval_steps": interval}
    asked: study_schema.Pruner = study_schema.PercentileConfig(percentile=kept, **fields)
    assert ours_prunes(asked, history, direction) == theirs_prunes(theirs, history, direction)
    theirs = optuna.pruners.MedianPruner(startup, warmup, interval)
    asked = study_schema.MedianConfig(**fields)
    assert ours_prunes(asked, history, direction) == theirs_prunes(theirs, history, direction)


@settings(deadline=None, max_examples=80)
@given(
    histories,
    directions,
    st.integers(0, 4),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([NoPrunerConfig(), study_schema.MedianConfig(startup_trials=1)]),
)
def test_patience_decides_as_optuna(
    history: Any, direction: Any, patience: int, min_delta: float, wrapped: Any
) -> None:
    inner = None if isinstance(wrapped, NoPrunerConfig) else optuna.pruners.MedianPruner(1)
    with quiet():
        theirs = optuna.pruners.PatientPruner(inner, patience, min_delta)
    asked = PatientConfig(patience=patience, min_delta=min_delta, wrapped=wrapped)
    assert ours_prunes(asked, history, direction) == theirs_prunes(theirs, history, direction)


def test_what_comes_later_changes_no_decision_about_a_step() -> None:
    curves = {0: {1: 0.1, 2: 0.2, 3: 0.9}, 1: {1: 0.5, 2: 0.5, 3: 0.5}}
    for asked in (
        study_schema.MedianConfig(startup_trials=1),
        PatientConfig(patience=0, wrapped=NoPrunerConfig()),
    ):
        made = pruner(asked, 9, "max")
        sooner = {0: {1: 0.1, 2: 0.2}, 1: curves[1]}
        assert made.keeps(0, 2, curves, {1}) == made.keeps(0, 2, sooner, {1})


def test_reasons_say_what_was_compared() -> None:
    assert pruner(study_schema.MedianConfig(), 9, "max").reason(0, 4) == (
        "not in the best half of the finished trials at step 4"
    )
    assert pruner(study_schema.PercentileConfig(percentile=10.0), 9, "max").reason(0, 4) == (
        "not in the best 10 % of the finished trials at step 4"
    )
    assert pruner(PatientConfig(patience=2, wrapped=NoPrunerConfig()), 9, "max").reason(0, 4) == (
        "no better for 3 steps"
    )
    wrapped = pruner(PatientConfig(patience=1, wrapped=AshaConfig()), 9, "max")
    assert wrapped.reason(0, 4) == "no better for 2 steps, not among the best 1/2 at rung 4"
    assert pruners.NoPruner().reason(0, 4) == ""


@pytest.mark.parametrize("last", [1, 2, 5])
@pytest.mark.parametrize(
    "asked",
    [
        AshaConfig(min_resource=6),
        AshaConfig(min_resource=1, reduction_factor=9, min_early_stopping_rate=1),
        study_schema.HyperbandConfig(min_resource=7),
        study_schema.MedianConfig(warmup_steps=8),
        PatientConfig(patience=7),
    ],
)
def test_the_settings_that_a_refusal_tells_work(asked: Any, last: int) -> None:
    with pytest.raises(ConfigError) as caught:
        pruner(asked, last, "max")
    words = dict(re.findall(r"study\.pruner\.(\w+)=(\d+)", caught.value.remedy))
    if last == 1:
        assert words == {}
    if words:
        pruner(asked.model_copy(update={k: int(v) for k, v in words.items()}), last, "max")
    else:
        assert "nothing can be pruned: study.pruner.type=none" in caught.value.remedy
