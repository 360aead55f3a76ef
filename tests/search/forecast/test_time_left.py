"""Estimates of the time left, on histories that are made up and known to the end."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tunewright.config import study_schema
from tunewright.recipes.recipe import UNKNOWN_EPOCHS
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.forecast.time_left import (
    FinalStageCost,
    Pace,
    RemainingWork,
    TrialTime,
    assumed_stops,
    each_seed,
    pace_of,
    seconds_left,
)
from tunewright.search.forecast.timings import Timings
from tunewright.search.study.pruners import pruner

FULL = TrialTime(steps=10, training_seconds=20.0, slot_seconds=21.0)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_known_before_anything_was_measured() -> None:
    assert seconds_left(RemainingWork(10, 2, 40)) is None
    assert seconds_left(RemainingWork(10, 2, 40, running=[TrialTime(0, 0.0, 3.0)])) is None
    assert seconds_left(RemainingWork(10, 2, 0, ended=[FULL])) == 0.0


def test_equal_trials_take_their_turns_on_the_slots() -> None:
    # 21 s each: 20 of training and one of start-up; 5 trials on 2 slots are 3 rounds
    assert seconds_left(RemainingWork(10, 2, 5, ended=[FULL] * 5)) == pytest.approx(63.0)
    assert seconds_left(RemainingWork(10, 4, 5, ended=[FULL] * 5)) == pytest.approx(42.0)


def test_thousands_of_trials_are_estimated_like_hundreds() -> None:
    few = seconds_left(RemainingWork(10, 2, 400, ended=[FULL]))
    many = seconds_left(RemainingWork(10, 2, 4_000, ended=[FULL]))
    assert few is not None
    assert many == pytest.approx(10 * few)


def test_a_running_trial_counts_with_what_it_has_done() -> None:
    half = TrialTime(steps=5, training_seconds=10.0, slot_seconds=11.0)
    assert seconds_left(RemainingWork(10, 1, 0, running=[half])) == pytest.approx(10.0)
    waited = replace(half, idle_seconds=1.5)  # in the middle of its sixth epoch
    assert seconds_left(RemainingWork(10, 1, 0, running=[waited])) == pytest.approx(8.5)
    slow = TrialTime(steps=5, training_seconds=50.0, slot_seconds=51.0)
    assert seconds_left(RemainingWork(10, 2, 0, running=[half, slow])) == pytest.approx(50.0), (
        "its own pace"
    )


def test_the_end_of_a_trial_makes_no_jump() -> None:
    """The estimate goes down with the clock while equal trials run and end."""
    clock = Clock()
    timings = Timings(last_step=10, total=6, slots=2, clock=clock)
    said = []
    for number in range(6):
        timings.start_trial(number)
        if number % 2:
            for step in range(1, 11):
                clock.now += 2.0
                timings.record_report(number - 1, step, 2.0 * step)
                timings.record_report(number, step, 2.0 * step)
                said.append((clock.now, timings.seconds_left()))
            timings.end_trial(number - 1, "done", 20.0)
            said.append((clock.now, timings.seconds_left()))
            timings.end_trial(number, "done", 20.0)
            said.append((clock.now, timings.seconds_left()))
    assert clock.now == 160.0
    for now, left in said:
        assert left == pytest.approx(160.0 - now, abs=1e-6)


def test_scripts_are_as_long_as_the_longest_that_ended() -> None:
    """Nobody knew their length; a running one is not taken to go on for a million steps."""
    clock = Clock()
    timings = Timings(last_step=UNKNOWN_EPOCHS, total=12, slots=2, clock=clock)
    for number in (0, 1):
        timings.start_trial(number)
    clock.now = 2.0
    for number in (0, 1):
        timings.record_report(number, 2, 2.0)
    assert timings.seconds_left() is None
    timings.end_trial(0, "done", 2.0)
    assert timings.seconds_left() == pytest.approx(10.0)  # ten trials of two seconds, two at once
    clock.now = 8.0
    timings.record_report(1, 8, 8.0)
    timings.end_trial(1, "pruned", 8.0)
    left = timings.seconds_left()
    assert left is not None
    assert left <= 20.0


def test_pruned_shares_are_learned() -> None:
    pruned = TrialTime(steps=2, training_seconds=4.0, slot_seconds=4.0)
    done = TrialTime(steps=10, training_seconds=20.0, slot_seconds=20.0)
    work = RemainingWork(10, 1, 10, ended=[done] * 5 + [pruned] * 15)
    pace = pace_of(work)
    assert pace is not None
    # a quarter goes on after epoch 2: 2 + 8 / 4 epochs a trial
    assert pace.steps_from(0) == pytest.approx(4.0)
    assert pace.steps_from(3) == pytest.approx(7.0)
    assert seconds_left(work) == pytest.approx(80.0)


def test_a_running_trial_past_a_rung_says_that_trials_pass_it() -> None:
    early, late = TrialTime(2, 4.0, 4.0), TrialTime(6, 12.0, 12.0)
    pace = pace_of(RemainingWork(10, 4, 10, ended=[early], running=[late] * 3))
    assert pace is not None
    assert pace.steps_from(0) == pytest.approx(2 + 8 * 3 / 4)


def test_what_a_pruner_is_believed_to_stop_gives_way_to_what_it_stops() -> None:
    assumed = {2: 0.5}
    spent = TrialTime(10, 20.0, 20.0)
    believed = pace_of(RemainingWork(10, 1, 10, running=[TrialTime(1, 2.0, 2.0)], assumed=assumed))
    assert believed is not None
    assert believed.steps_from(0) == pytest.approx(6.0)
    seen = pace_of(RemainingWork(10, 1, 10, ended=[spent] * 396, assumed=assumed))
    assert seen is not None
    assert seen.steps_from(0) == pytest.approx(10.0, abs=0.1)


def test_killed_trials_are_not_taken_for_free_ones() -> None:
    """A trial whose worker died has an outcome without seconds; its reports have them."""
    clock = Clock()
    timings = Timings(last_step=10, total=4, clock=clock)
    timings.start_trial(0)
    for step in range(1, 6):
        clock.now += 2.0
        timings.record_report(0, step, 2.0 * step)
    timings.end_trial(0, "failed", 0.0)
    pace = timings.pace()
    assert pace is not None
    assert pace.seconds_a_step == 2.0


def test_trials_that_report_nothing_take_the_mean_of_the_whole() -> None:
    ended = [TrialTime(0, 0.0, 4.0), TrialTime(0, 0.0, 8.0)]
    assert seconds_left(RemainingWork(50, 1, 10, ended=ended)) == pytest.approx(80.0), (
        "the first is warmer"
    )
    running = [TrialTime(0, 0.0, slot_seconds=2.0)]
    assert seconds_left(RemainingWork(50, 1, 0, ended=ended, running=running)) == pytest.approx(6.0)


def test_the_start_of_a_worker_is_paid_once() -> None:
    cold, warm = TrialTime(10, 20.0, 30.0), TrialTime(10, 20.0, 20.5)
    pace = pace_of(RemainingWork(10, 2, 10, ended=[cold, cold, warm, warm]))
    assert pace is not None
    assert pace.startup == pytest.approx(0.5)
    alone = pace_of(RemainingWork(10, 2, 10, ended=[cold]))
    assert alone is not None
    assert alone.startup == 0.0, "how much of it the worker took is not known yet"
    second = TrialTime(2, 4.0, slot_seconds=5.2, idle_seconds=1.0)
    seen = pace_of(
        RemainingWork(10, 2, 10, ended=[cold], running=[TrialTime(9, 18.0, 27.0), second])
    )
    assert seen is not None
    assert seen.startup == pytest.approx(0.2)


def test_a_resumed_study_knows_what_earlier_trials_took(tmp_path) -> None:
    from tunewright.runs.folder import StudyFolder
    from tunewright.runs.progress import ProgressWriter
    from tunewright.runs.record import Outcome, Progress

    folder = StudyFolder(tmp_path)
    curve = dict.fromkeys(range(1, 11), 0.5)
    for number, seconds in ((0, 20.0), (1, 0.0), (2, 0.0)):  # done, killed, paused
        place = folder.trial(number)
        place.path.mkdir(parents=True)
        attempt = place.begin_attempt()
        writer = ProgressWriter(place.progress, attempt, 0)
        for step in range(1, (10, 5, 4)[number] + 1):
            writer.write(Progress(attempt, step, {"val_score": 0.5}, 2.0 * step))
        writer.close()
        if number < 2:
            place.write_outcome(Outcome(("done", "failed")[number], attempt, seconds=seconds))
    trials = (
        Trial(0, "done", {}, 0.5, curve),
        Trial(1, "failed", {}, None, dict.fromkeys(range(1, 6), 0.5)),
        Trial(2, "running", {}, None, dict.fromkeys(range(1, 5), 0.5)),
    )
    timings = Timings(last_step=10, total=3, clock=Clock())
    timings.load(StudyRecord("s", "quadratic", "val_score", "max", trials), folder)
    work = timings.work()
    assert [(s.steps, s.training_seconds) for s in work.ended] == [(10, 20.0), (5, 10.0)]
    assert [(s.steps, s.training_seconds) for s in work.waiting] == [(4, 8.0)]
    assert work.new == 0
    # of two that came to epoch 5 one went on, so the third makes 1 + 5 / 2 more epochs
    assert timings.seconds_left() == pytest.approx(2.0 * 3.5)


def test_the_final_training_is_in_the_time_left() -> None:
    clock = Clock()
    after = FinalStageCost(steps=50, cost=3.0, evaluation=7.0)
    timings = Timings(last_step=10, total=1, closing=after, clock=clock)
    timings.start_trial(0)
    for step in range(1, 11):
        clock.now += 2.0
        timings.record_report(0, step, 2.0 * step)
    timings.end_trial(0, "done", 20.0)
    assert timings.seconds_left(best=0) == pytest.approx(50 * 3.0 * 2.0 + 7.0)
    assert FinalStageCost(50, rounds=2).training_seconds(Pace(10, 1.0, 0.5, {})) == pytest.approx(
        101.0
    )


@pytest.mark.parametrize(
    ("settings", "stops"),
    [
        (study_schema.AshaConfig(min_resource=2, reduction_factor=4), {2: 0.75, 8: 0.75}),
        (study_schema.MedianConfig(warmup_steps=3), {3: 0.5}),
        (study_schema.PercentileConfig(percentile=20.0), {1: 0.8}),
        (
            study_schema.PatientConfig(patience=2, wrapped=study_schema.AshaConfig()),
            {4: 0.5, 8: 0.5, 16: 0.5},
        ),
        (study_schema.NoPrunerConfig(), {}),
    ],
)
def test_what_each_pruner_is_believed_to_stop(settings, stops) -> None:
    assert assumed_stops(pruner(settings, 20, "max"), 20) == pytest.approx(stops)


def test_hyperband_stops_less_than_its_first_bracket() -> None:
    stops = assumed_stops(pruner(study_schema.HyperbandConfig(), 20, "max"), 20)
    assert set(stops) == {1, 3, 9}
    assert all(0.0 < share < 2 / 3 for share in list(stops.values())[:1])
    assert stops[9] == pytest.approx(2 / 3), "the last bracket's rung is everybody's"


def test_the_estimate_is_honest_on_random_histories() -> None:
    """Halfway through a study with pruning, what is left is foretold within a third."""
    draw = random.Random(0)
    close = 0
    for _ in range(40):
        clock, slots = Clock(), draw.choice([1, 2, 4])
        lengths = [draw.choice([2, 2, 4, 10, 10]) for _ in range(60)]
        paces = [draw.uniform(0.5, 2.0) for _ in lengths]
        timings = Timings(10, 60, {2: 0.5, 4: 0.5}, slots=slots, clock=clock)
        busy: dict[int, tuple[int, float]] = {}
        begun, halfway, left = 0, None, None
        while begun < 60 or busy:
            while begun < 60 and len(busy) < slots:
                timings.start_trial(begun)
                busy[begun] = (0, clock.now)
                begun += 1
            number = min(busy, key=lambda n: busy[n][1] + paces[n])
            steps, since = busy[number]
            clock.now = since + paces[number]
            timings.record_report(number, steps + 1, (steps + 1) * paces[number])
            busy[number] = (steps + 1, clock.now)
            if steps + 1 == lengths[number]:
                del busy[number]
                state = "done" if lengths[number] == 10 else "pruned"
                timings.end_trial(number, state, lengths[number] * paces[number])
            if halfway is None and begun == 30:
                halfway, left = clock.now, timings.seconds_left()
        took = clock.now - (halfway or 0.0)
        close += abs((left or 0.0) - took) < took / 3
    assert close >= 34


def test_trials_that_ran_elsewhere_are_no_trials_of_this_study(tmp_path: Path) -> None:
    trials = tuple(
        Trial(n, "done", {}, 0.5, {}, imported_from=f"old/{n}" if n < 30 else "") for n in range(31)
    )
    timings = Timings(10, total=40)
    timings.load(StudyRecord("s", "r", "v", "max", trials), StudyFolder(tmp_path))
    assert timings.work().new == 39
    assert timings.states == {"done": 1}


def test_a_trial_of_several_seeds_runs_on_when_it_reaches_its_end() -> None:
    pace = Pace(10, seconds_a_step=1.0, startup=0.0, survival={5: 0.5})
    assert seconds_left(RemainingWork(10, 1, 4), pace) == pytest.approx(4 * 7.5)
    assert seconds_left(RemainingWork(10, 1, 4), each_seed(pace, 3)) == pytest.approx(
        4 * (7.5 + 2 * 0.5 * 10)
    )
