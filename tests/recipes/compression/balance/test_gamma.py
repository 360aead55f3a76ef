import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tunewright.errors import ConfigError
from tunewright.recipes.compression.balance.gamma import gamma_at, plan_gamma
from tunewright.recipes.compression.balance.gamma_config import (
    STRATEGIES,
    AdaptiveGamma,
    CosineGamma,
    FixedGamma,
    HpcmGamma,
    HpcmStepGamma,
    LinearGamma,
    StepGamma,
)

GAMMA, EPOCHS = 0.006, 3000

ORACLE = [
    (HpcmGamma(), {0: 0.006, 150: 0.0066, 300: 0.0072, 1150: 0.0054, 2000: 0.0036}),
    (HpcmGamma(), {2500: 0.00306, 3000: 0.00252}),
    (LinearGamma(final=0.001), {500: 0.005166667, 2000: 0.002666667}),
    (CosineGamma(final=0.001), {500: 0.005665064, 1500: 0.0035, 2000: 0.00225}),
    (StepGamma(), {999: 0.006, 1000: 0.003, 1999: 0.003, 2000: 0.0015, 3000: 0.0015}),
    (StepGamma(milestones=(1000, 2000, 2500)), {2499: 0.0015, 2500: 0.001}),
    (LinearGamma(warmup=100), {100: 0.006, 500: 0.005310345, 2000: 0.002724138}),
    (CosineGamma(warmup=100), {50: 0.006, 500: 0.005768939, 2000: 0.002328979}),
    (HpcmStepGamma(), {0: 0.006, 499: 0.006, 500: 0.003, 1500: 0.0015, 2750: 0.00075}),
    (FixedGamma(), {0: 0.006, 3000: 0.006}),
]
BOUNDED = {
    "linear": (LinearGamma(final=0.0001), 1.0),
    "cosine": (CosineGamma(final=0.0001, warmup=0.05), 1.0),
    "step": (StepGamma(final=0.0001), 1.0),
    "adaptive": (AdaptiveGamma(final=0.0001, window=3), 1.5),
    "hpcm": (HpcmGamma(), 1.2),
    "hpcm_step": (HpcmStepGamma(), 1.0),
}
SMOOTH = ("linear", "cosine", "hpcm")


@pytest.mark.parametrize(("schedule", "values"), ORACLE)
def test_gamma_of_the_published_values(schedule, values):
    planned = plan_gamma(GAMMA, schedule, EPOCHS)
    for epoch, expected in values.items():
        assert gamma_at(GAMMA, planned, epoch / EPOCHS) == pytest.approx(expected, rel=2e-7)


def test_the_steps_of_hpcm_end_above_a_twelfth_of_gamma():
    assert gamma_at(0.012, HpcmStepGamma(), 1.0) == pytest.approx(0.012 / 8)
    assert gamma_at(0.012, HpcmStepGamma(), 1.0) >= 0.012 / 12


@pytest.mark.parametrize("name", BOUNDED)
@given(
    gamma=st.floats(0.0002, 1.0),
    fraction=st.floats(0.0, 1.0),
    losses=st.lists(st.floats(0.0, 10.0), max_size=6),
)
def test_gamma_stays_within_its_bounds(name, gamma, fraction, losses):
    schedule, most = BOUNDED[name]
    least = getattr(schedule, "final", gamma / 12)
    value = gamma_at(gamma, schedule, fraction, losses)
    assert least * (1 - 1e-12) <= value <= most * gamma * (1 + 1e-12)


@pytest.mark.parametrize("name", SMOOTH)
@given(fraction=st.floats(0.0, 1.0 - 1e-6))
def test_gamma_is_continuous(name, fraction):
    schedule = BOUNDED[name][0]
    here, after = (gamma_at(GAMMA, schedule, f) for f in (fraction, fraction + 1e-6))
    assert abs(after - here) < 3e-6 * GAMMA


@pytest.mark.parametrize("name", BOUNDED)
@given(epochs=st.integers(2, 5000), share=st.fractions(0, 1, max_denominator=50))
def test_gamma_does_not_depend_on_the_length_of_the_run(name, epochs, share):
    schedule = BOUNDED[name][0]
    whole = share.denominator * epochs
    at = [plan_gamma(GAMMA, schedule, length) for length in (epochs, whole)]
    assert at[0] == at[1] == schedule
    short = gamma_at(GAMMA, at[0], share.numerator / share.denominator)
    assert gamma_at(GAMMA, at[1], share.numerator * epochs / whole) == short


def test_milestones_in_epochs_stay_where_they_are_in_a_longer_run():
    schedule = StepGamma(milestones=(1000, 2000))
    for epochs in (3000, 6000):
        planned = plan_gamma(GAMMA, schedule, epochs)
        assert gamma_at(GAMMA, planned, 999 / epochs) == GAMMA
        assert gamma_at(GAMMA, planned, 1000 / epochs) == GAMMA / 2


def test_adaptive_follows_the_variation_of_the_last_losses():
    schedule, window = AdaptiveGamma(window=4, threshold=0.01), 4
    cosine = gamma_at(GAMMA, CosineGamma(), 0.5)
    cases = {
        (1.0, 1.001, 0.999, 1.0): 0.8,
        (1.0, 1.03, 0.97, 1.0): 1.0,
        (1.0, 1.2, 0.8, 1.0): 1.2,
        (9.0, 1.0, 1.001, 0.999, 1.0): 0.8,  # what lies before the window does not count
        (1.0, 1.001, 0.999): 1.0,  # too few
        (1.0, math.nan, 1.0, 1.0): 1.0,
        (0.0, 0.0, 0.0, 0.0): 0.8,
        (-1.0, 1.0, -1.0, 1.0): 1.2,  # a mean of 0
    }
    for losses, factor in cases.items():
        assert gamma_at(GAMMA, schedule, 0.5, losses) == pytest.approx(factor * cosine)
    assert len(next(iter(cases))) == window


def test_adaptive_is_clipped():
    schedule = AdaptiveGamma(window=2, final=0.001)
    assert gamma_at(GAMMA, schedule, 0.0, (1.0, 3.0)) == pytest.approx(1.2 * GAMMA)
    assert gamma_at(GAMMA, schedule, 1.0, (1.0, 1.0)) == 0.001


@pytest.mark.parametrize(
    "milestones",
    [
        *([2000, 1000], [1000, 1000], [0.5, 0.5], [0.7, 0.3], [0.5, 1000], [0], [1.5], [-1], []),
        *([math.nan], [math.inf], ["1000"], [True], "half"),
    ],
)
def test_milestones_that_fall_repeat_or_are_no_moments_are_refused(milestones):
    with pytest.raises(ValidationError) as raised:
        StepGamma(milestones=milestones)
    assert raised.value.error_count() == 1


@pytest.mark.parametrize("name", ["linear", "cosine", "step", "adaptive"])
@pytest.mark.parametrize("final", [0.0, -0.001, math.nan, math.inf, "small"])
def test_a_final_gamma_is_a_positive_number(name, final):
    with pytest.raises(ValidationError):
        STRATEGIES[name](final=final)


@pytest.mark.parametrize("warmup", [-1, 1.5, True, "100", math.nan])
def test_a_warmup_is_a_moment(warmup):
    with pytest.raises(ValidationError):
        LinearGamma(warmup=warmup)


def test_a_schedule_survives_its_dump():
    assert StepGamma(milestones=1000).milestones == (1000,)  # `--step_epochs 1000`
    for schedule in (StepGamma(milestones=(0.25, 0.5)), StepGamma(milestones=(1000.0, 2000))):
        again = StepGamma.model_validate(schedule.model_dump(mode="json"))
        assert again == schedule
    assert schedule.model_dump(mode="json")["milestones"] == [1000, 2000]


def test_milestones_beyond_the_run_are_refused_with_a_remedy_that_works():
    with pytest.raises(ConfigError, match=r"1000, 2000 \(epochs\) with training.epochs = 2000"):
        plan_gamma(GAMMA, StepGamma(milestones=(1000, 2000)), 2000)
    with pytest.raises(ConfigError, match=r"milestones=\[0.3333,0.6667\]"):
        plan_gamma(GAMMA, StepGamma(milestones=(1000, 2000)), 500)
    plan_gamma(GAMMA, StepGamma(milestones=[0.3333, 0.6667]), 500)
    with pytest.raises(ConfigError, match="warmup"):
        plan_gamma(GAMMA, CosineGamma(warmup=100), 100)


def test_a_final_gamma_above_the_first_is_refused():
    with pytest.raises(ConfigError, match=r"final = 0\.001 with balance\.gamma = 0\.0005"):
        plan_gamma(0.0005, LinearGamma(final=0.001), 3000)
    plan_gamma(0.0005, LinearGamma(final=0.0001), 3000)


@pytest.mark.parametrize("name", ["linear", "cosine", "step", "adaptive"])
def test_a_search_may_set_gamma_below_the_default_of_final(name):
    schedule = plan_gamma(0.0005, STRATEGIES[name](), 30)
    assert [gamma_at(0.0005, schedule, fraction) for fraction in (0.0, 0.5, 1.0)] == [0.0005] * 3
    assert gamma_at(0.006, STRATEGIES[name](), 1.0) in (0.001, 0.0015)
