import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.config.compose import compose
from tunewright.recipes.registry import find_recipe
from tunewright.recipes.scheduled_values import (
    MOST_BENDS,
    ScheduledValue,
    bends,
    by_epoch,
    describe,
    describe_extension,
    key_epochs,
    learning_rate,
)
from tunewright.training.schedule import FINE, factor, factor_at
from tunewright.training.task import Clock


def curve(at, epochs=60):
    return by_epoch(at, epochs)


def test_a_curve_has_a_value_at_both_ends():
    assert by_epoch(lambda fraction: 2 * fraction, 4) == [0.0, 0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (lambda f: 1.0, []),
        (lambda f: 1.0 - f, []),
        (lambda f: math.cos(f), []),
        (lambda f: 1.0 + 0.2 * math.sin(6 * f), []),
        (lambda f: 1.0 if f < 0.5 else 0.1, [30]),
        (lambda f: min(1.0, 4 * f), [15]),
        (lambda f: max(0.25, 1.0 - f), [45]),
        (lambda f: min(f, 0.25 + 0.1 * (f - 0.25)), [15]),
        (lambda f: 1.0 if f < 1 / 60 else 0.5 if f < 2 / 60 else 0.25, [1, 2]),
        (lambda f: round(f * 60) % 2, []),  # too many to be bends
    ],
)
def test_bends_are_jumps_and_changes_of_slope(at, expected):
    assert bends(curve(at)) == expected


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=60))
def test_any_curve_has_few_bends_within_the_run(values):
    found = bends(values)
    assert len(found) <= MOST_BENDS
    assert all(0 < epoch < len(values) for epoch in found)
    assert found == sorted(set(found))


def test_key_epochs_are_even_parts_and_the_bends_of_all_curves():
    jump, ramp = curve(lambda f: 1.0 if f < 0.55 else 0.1), curve(lambda f: min(1.0, 20 * f))
    assert key_epochs([jump, ramp]) == [0, 3, 6, 12, 18, 24, 30, 33, 36, 42, 48, 54, 60]
    assert key_epochs([[1.0, 2.0]]) == [0, 1]
    assert key_epochs([[1.0, 1.0, 1.0, 1.0]]) == [0, 1, 2, 3]


def value(at, **options):
    return ScheduledValue("rate", "kind", at, **options)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (lambda f: 0.25, "rate (kind): 0.25 throughout"),
        (lambda f: 1.0 - f, "rate (kind): 1 at first, 0.5 after 30 epochs, 0 at the end"),
        (
            lambda f: 1.0 if f < 0.5 else 0.1,
            "rate (kind): 1 at first, 0.1 after 30 epochs",
        ),
        (
            lambda f: 1.0 - (f - 0.25) ** 2,
            "rate (kind): 0.9375 at first, 1 after 15 epochs, 0.4375 at the end",
        ),
    ],
)
def test_a_line_names_the_values_that_matter(at, text):
    assert describe(value(at), 60) == text
    assert describe(value(at, note="halved"), 60) == f"{text}; halved"


def test_a_run_of_one_epoch_has_a_beginning_and_an_end():
    assert describe(value(lambda f: 1.0 - f), 1) == "rate (kind): 1 at first, 0 at the end"


def test_a_longer_run_says_what_was_and_what_is_now():
    steep = value(lambda fraction: 1.0 - fraction)
    assert describe_extension(steep, steep, (30, 40, 60)) == (
        "rate (kind) is planned over 60 epochs, no longer 40: it was 0.25 after 30 epochs and is "
        "now 0.5; at the end it will be 0"
    )


@pytest.mark.parametrize("kind", ["cosine", "linear", "milestones", "step", "one_cycle"])
def test_the_learning_rate_is_that_of_the_trainer(kind):
    words = [f"schedule.type={kind}", "optim.lr=0.5", "training.epochs=20"]
    words.append("schedule.warmup_fraction=0")  # which is shown in the limit of many steps
    config = compose(find_recipe("blobs"), words).config
    shown = learning_rate(config)
    for epoch in range(20):
        clock = Clock(epoch=epoch, step=epoch * FINE, epochs=20, steps_per_epoch=FINE)
        expected = 0.5 * factor(config.schedule, clock)
        assert shown.at(epoch / 20) == pytest.approx(expected, abs=5e-7)


def test_a_warm_up_in_steps_is_as_long_as_its_steps():
    config = compose(find_recipe("blobs"), ["schedule.warmup_steps=30", "optim.lr=1.0"]).config
    epochs = config.training.epochs
    assert factor_at(config.schedule, 0.0, epochs, 10) == 0.0
    assert factor_at(config.schedule, 1.5 / epochs, epochs, 10) == pytest.approx(0.5)
    assert factor_at(config.schedule, 3 / epochs, epochs, 10) == 1.0
