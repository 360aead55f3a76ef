"""Domains in Optuna's terms."""

from datetime import datetime, timedelta

import optuna
import pytest

from tunewright.search.study.optuna_types import distribution, record_of
from tunewright.spaces.domain import Float, Int
from tunewright.spaces.points import list_values


@pytest.mark.parametrize(
    "domain",
    [
        Int(0, 10, step=3),
        Int(-5, 6, step=4),
        Int(2, 9),
        Int(1, 64, log=True),
        Float(0.0, 1.0, step=0.3),
        Float(0.1, 0.75, step=0.1),
    ],
)
def test_a_range_that_ends_beside_its_grid_is_handed_on_without_a_warning(domain):
    """Warnings are errors here; Optuna warns of each such range it is given."""
    found = distribution(domain)
    assert found.low == domain.low
    if domain.step and not domain.log:
        assert found.high == pytest.approx(list_values("x", domain)[-1])


def test_a_clock_set_back_leaves_no_negative_time():
    study = optuna.create_study()
    trial = optuna.trial.create_trial(value=1.0)
    trial.datetime_start = datetime(2026, 10, 25, 3)
    for hours in (-1, 1):
        trial.datetime_complete = trial.datetime_start + timedelta(hours=hours)
        study.add_trial(trial)
    back, forward = record_of(study, None).trials
    assert back.seconds is None
    assert forward.seconds == 3600.0
