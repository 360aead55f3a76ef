"""The likely end of a training that `training.patience` ends, from its gains and from trials."""

import math

import pytest

import tunewright
from tunewright.search.callbacks import StudyCallback
from tunewright.search.forecast.early_stopping import EarlyStopping, TrainingLength, usual_share
from tunewright.search.forecast.time_left import FinalStageCost
from tunewright.search.forecast.timings import Timings


def gains(scores: list[float], **settings: object) -> EarlyStopping:
    seen = EarlyStopping(TrainingLength(100, 10, **settings))  # type: ignore[arg-type]
    for epoch, score in enumerate(scores, start=1):
        seen.record(epoch, score)
    return seen


def test_a_training_without_patience_ends_at_its_last_epoch() -> None:
    assert EarlyStopping(TrainingLength(100)).likely_end == 100


def test_nothing_tells_the_end_while_the_score_still_rises() -> None:
    assert gains([0.1, 0.2, 0.3]).likely_end is None
    assert gains([0.1, 0.2, 0.3], usual=0.4).likely_end == 40  # as other trainings


def test_a_stall_of_four_tenths_of_the_patience_tells_the_end() -> None:
    assert gains([0.1, 0.3, *[0.2] * 3]).likely_end is None
    assert gains([0.1, 0.3, *[0.2] * 4]).likely_end == 12
    assert gains([0.1, 0.3, *[0.2] * 4], usual=0.4).likely_end == 12
    assert gains([0.9, 0.3, *[0.4] * 4], direction="min").likely_end == 12
    assert gains([0.1, 0.3, *[0.31] * 4], min_delta=0.05).likely_end == 12
    assert gains([0.1, 0.3, *[math.nan] * 4]).likely_end == 12


def test_the_end_is_never_past_the_last_epoch_or_before_the_patience_is_used_up() -> None:
    assert gains([epoch / 100 for epoch in range(95)]).likely_end == 100
    assert gains([0.1] + [0.2] * 3, usual=0.01).likely_end == 12
    assert gains([0.1] + [0.2] * 3, usual=3.0).likely_end == 100


def test_the_usual_share_needs_three_trainings() -> None:
    assert usual_share([4, 5], 10) is None
    assert usual_share([4, 5, 6], 10) == pytest.approx(0.5)


@pytest.mark.parametrize("alike", [True, False])
def test_finished_trials_tell_the_length_of_the_final_training(alike: bool) -> None:
    closing = FinalStageCost(steps=50, stops=True, alike=alike)
    timings = Timings(10, 6, closing=closing)
    for number, (state, steps) in enumerate([("done", 4), ("pruned", 1), ("done", 6), ("done", 5)]):
        assert timings.at_most
        timings.start_trial(number)
        timings.record_report(number, steps, float(steps))
        timings.end_trial(number, state, float(steps))  # type: ignore[arg-type]
    pace = timings.pace()
    assert pace is not None
    whole = closing.training_seconds(pace)
    assert timings.at_most is not alike
    expected = pace.startup + (whole - pace.startup) * (0.5 if alike else 1.0)
    assert timings.closing_seconds(pace) == pytest.approx(expected)


class Left(StudyCallback):
    """Keeps the estimates of a full training."""

    def __init__(self) -> None:
        self.bounds: list[bool] = []

    def on_training_left(self, seconds: float, *, at_most: bool) -> None:
        assert seconds >= 0.0
        self.bounds.append(at_most)


def test_a_full_training_tells_its_likely_end(tmp_path) -> None:
    watch = Left()
    words = ("quadratic", "executor.type=inline", "training.patience=4", "training.epochs=200")
    tunewright.train(*words, name="run", runs_dir=tmp_path, watch=watch)
    assert watch.bounds[0]
    assert not watch.bounds[-1]
