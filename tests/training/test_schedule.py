"""Schedules against closed forms and against torch's own schedulers."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.scheduler import CosineLRScheduler, PolyLRScheduler
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    StepLR,
)

from tunewright.config.check import validate
from tunewright.config.components.schedules import (
    ConstantSchedule,
    CosineSchedule,
    LinearSchedule,
    MilestoneSchedule,
    OneCycleSchedule,
    PolynomialSchedule,
    Schedule,
    StepSchedule,
)
from tunewright.config.schema import RunConfig
from tunewright.errors import ConfigError
from tunewright.training.schedule import extension_notice, factor, warmup_notices
from tunewright.training.task import Clock

STEPS = 40


def factors(schedule: Schedule) -> list[float]:
    """The factor before each of 4 epochs of 10 steps."""
    return [factor(schedule, Clock(step // 10, step, 4, 10)) for step in range(STEPS)]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (CosineSchedule(), lambda o: CosineAnnealingLR(o, STEPS)),
        (CosineSchedule(final_fraction=0.1), lambda o: CosineAnnealingLR(o, STEPS, eta_min=0.1)),
        (LinearSchedule(), lambda o: LinearLR(o, 1.0, 0.0, STEPS)),
        (LinearSchedule(final_fraction=0.25), lambda o: LinearLR(o, 1.0, 0.25, STEPS)),
        (StepSchedule(every_fraction=0.25, decay=0.5), lambda o: StepLR(o, 10, gamma=0.5)),
        (
            MilestoneSchedule(fractions=(0.25, 0.8), factors=(0.5, 0.25)),
            lambda o: MultiStepLR(o, [10, 32], gamma=0.5),
        ),
        (PolynomialSchedule(), lambda o: PolynomialLR(o, STEPS)),
        (PolynomialSchedule(power=2.5), lambda o: PolynomialLR(o, STEPS, power=2.5)),
        (OneCycleSchedule(), lambda o: OneCycleLR(o, 1.0, STEPS, cycle_momentum=False)),
        (
            OneCycleSchedule(rise_fraction=0.55, start_fraction=0.1, final_fraction=0.001),
            lambda o: OneCycleLR(
                o,
                1.0,
                STEPS,
                pct_start=0.55,
                div_factor=10.0,
                final_div_factor=100.0,
                cycle_momentum=False,
            ),
        ),
    ],
)
def test_as_torch_schedules(
    ours: Schedule, theirs: Callable[[torch.optim.Optimizer], LRScheduler]
) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = theirs(optimizer)
    expected = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(STEPS):
            expected.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
    assert factors(ours) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            CosineSchedule(final_fraction=0.1),
            lambda o: CosineLRScheduler(o, STEPS, lr_min=0.1, t_in_epochs=False),
        ),
        (
            PolynomialSchedule(power=0.5, final_fraction=0.2),
            lambda o: PolyLRScheduler(o, STEPS, power=0.5, lr_min=0.2, t_in_epochs=False),
        ),
        (
            CosineSchedule(warmup_steps=8),
            lambda o: CosineLRScheduler(
                o,
                STEPS - 8,
                warmup_t=8,
                warmup_lr_init=1 / 8,
                warmup_prefix=True,
                t_in_epochs=False,
            ),
        ),
    ],
)
def test_as_timm_schedules(ours: Schedule, theirs: Callable[[torch.optim.Optimizer], Any]) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = theirs(optimizer)
    expected = []
    for step in range(STEPS):
        scheduler.step_update(step)
        expected.append(optimizer.param_groups[0]["lr"])
    skipped = ours.warmup_steps or 0  # timm's warm-up is one step late: 1/8, 1/8 + 7/64, ...
    assert factors(ours)[skipped:] == pytest.approx(expected[skipped:], abs=1e-9)


def test_warm_up_reaches_one_in_its_last_step_and_never_is_zero() -> None:
    found = factors(ConstantSchedule(warmup_steps=5))
    assert found[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert factors(ConstantSchedule(warmup_fraction=0.25))[9] == 1.0
    assert factors(ConstantSchedule(warmup_fraction=0.25, warmup_steps=0)) == [1.0] * STEPS


def test_a_warm_up_may_be_given_in_epochs_and_steps_win() -> None:
    assert factors(CosineSchedule(warmup_epochs=1.5)) == factors(CosineSchedule(warmup_steps=15))
    assert factors(CosineSchedule(warmup_epochs=1, warmup_fraction=0.5)) == factors(
        CosineSchedule(warmup_steps=10)
    )
    both = CosineSchedule(warmup_steps=3, warmup_epochs=2, warmup_fraction=0.5)
    assert factors(both) == factors(CosineSchedule(warmup_steps=3))
    assert factors(ConstantSchedule(warmup_fraction=0.25, warmup_epochs=0)) == [1.0] * STEPS


def test_what_follows_the_warm_up_runs_over_the_rest() -> None:
    found = factors(CosineSchedule(warmup_steps=10))
    assert found[10] == 1.0
    assert found[25] == pytest.approx(0.5)
    assert found[39] == pytest.approx(0.5 * (1 + math.cos(math.pi * 29 / 30)))


@given(
    st.sampled_from(
        [ConstantSchedule, CosineSchedule, LinearSchedule, StepSchedule, MilestoneSchedule]
    ),
    st.floats(0, 1),
    st.integers(1, 50),
    st.integers(1, 20),
)
def test_always_between_zero_and_one(kind, warmup: float, epochs: int, steps: int) -> None:
    schedule = kind(warmup_fraction=warmup)
    found = [factor(schedule, Clock(s // steps, s, epochs, steps)) for s in range(epochs * steps)]
    assert all(0.0 <= value <= 1.0 for value in found)
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)


def test_a_warmup_in_steps_that_outlasts_the_run_is_said() -> None:
    [never] = warmup_notices(CosineSchedule(warmup_steps=90_000), 1_420)
    assert "1,420 of the 1,420 steps" in never
    assert "schedule.warmup_steps=90000" in never
    assert "never exceeds 1.58 % of optim.lr" in never
    assert "schedule.warmup_steps=142 is a tenth" in never
    [long] = warmup_notices(CosineSchedule(warmup_steps=8), 10)
    assert "8 of the 10 steps" in long
    assert "never" not in long
    assert warmup_notices(CosineSchedule(warmup_steps=5), 10) == []
    assert warmup_notices(CosineSchedule(warmup_fraction=1.0), 10) == [], "said before the start"


def test_milestones_are_fractions_of_the_whole_and_each_factor_counts_from_the_start() -> None:
    published = MilestoneSchedule(
        fractions=(2750 / 3000, 2850 / 3000, 2950 / 3000), factors=(0.3, 0.1, 0.01)
    )
    rates = {epoch: factor(published, Clock(epoch, 7 * epoch, 3000, 7)) for epoch in range(3000)}
    assert {rates[e] for e in range(2750)} == {1.0}
    assert {rates[e] for e in range(2750, 2850)} == {0.3}
    assert {rates[e] for e in range(2850, 2950)} == {0.1}
    assert {rates[e] for e in range(2950, 3000)} == {0.01}


@pytest.mark.parametrize(
    ("fractions", "factors", "message"),
    [
        ([0.5, 0.5], [0.1, 0.1], "larger than the one before"),
        ([0.5], [0.1, 0.01], "as many factors as fractions, but there are 2 and 1"),
        ([], [], "at least 1 item"),
        ([1.5], [0.1], "less than or equal to 1"),
    ],
)
def test_milestones_that_cannot_be_used(fractions, factors, message: str) -> None:
    schedule = {"type": "milestones", "fractions": fractions, "factors": factors}
    with pytest.raises(ConfigError, match=message):
        validate({"recipe": "any", "goal": "val_loss", "schedule": schedule}, RunConfig)


@pytest.mark.parametrize(
    ("schedule", "rates", "expected"),
    [
        (
            CosineSchedule(),
            {},
            "was 0 at the end of epoch 10; it is about 0.5 as epoch 11 begins, and 0",
        ),
        (
            CosineSchedule(),
            {10: 0.01},
            "was 0.01 at the end of epoch 10; it is about 0.5 as epoch 11 begins, 50 times as much",
        ),
        (
            ConstantSchedule(),
            {10: 1.0},
            "was 1 at the end of epoch 10; it is about 1 as epoch 11 begins",
        ),
        (
            LinearSchedule(final_fraction=0.2),
            {10: 0.2},
            "was 0.2 at the end of epoch 10; it is about 0.6 as epoch 11 begins, 3 times as much",
        ),
        (
            LinearSchedule(warmup_steps=100),  # of 8 steps an epoch, as the first epoch tells
            {1: 0.08, 10: 0.8},
            "was 0.8 at the end of epoch 10; it is about 0.81 as epoch 11 begins",
        ),
    ],
)
def test_what_a_longer_run_makes_of_the_rate(
    schedule: Schedule, rates: dict[int, float], expected: str
) -> None:
    found = extension_notice(schedule, 1.0, (10, 10, 20), rates)
    assert f"planned over 20 epochs. The learning rate {expected}" in found


def test_the_rate_before_the_first_epoch_is_that_of_its_first_step() -> None:
    # A run whose progress is lost may train longer, too.
    for schedule in (ConstantSchedule(), CosineSchedule(warmup_steps=10)):
        assert "as epoch 1 begins" in extension_notice(schedule, 1.0, (0, 10, 20), {})
