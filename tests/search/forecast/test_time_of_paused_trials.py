"""The time left of a search in which most trials wait at a rung and never go on."""

import pytest

from tunewright.search.forecast.time_left import RemainingWork, TrialTime, seconds_left

PAUSES = {1: 0.75, 4: 0.75}


def spent(steps: int) -> TrialTime:
    return TrialTime(steps, float(steps), float(steps))


def left(*, new: int, ended: int, first: int, second: int) -> float | None:
    work = RemainingWork(
        last_step=16,
        slots=1,
        new=new,
        ended=[spent(16)] * ended,
        assumed=PAUSES,
        parked=[*([spent(1)] * first), *([spent(4)] * second)],
    )
    return seconds_left(work)


def test_trials_that_wait_for_good_take_no_time() -> None:
    assert left(new=0, ended=1, first=12, second=3) == 0.0, "4 of 16 went on, 1 of 4 to the end"


def test_those_that_still_go_on_by_the_quota_count() -> None:
    assert left(new=0, ended=1, first=14, second=1) == pytest.approx(2 * (3 + 12 / 4)), (
        "two more go on from the first rung, and a quarter of each to the end"
    )


def test_a_new_trial_takes_what_the_quota_lets_it() -> None:
    assert left(new=1, ended=1, first=12, second=3) == pytest.approx(1 + 3 / 4 + 12 / 16)
