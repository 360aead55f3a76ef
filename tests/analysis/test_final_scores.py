"""What the curves of pruned trials predict."""

import math

import numpy as np
import pytest

from tunewright.analysis.final_scores import FEWEST, predict_final_scores
from tunewright.runs.record import StudyRecord, Trial

RUNGS = (2, 4, 8)
EPOCHS = 16


def pruned_study(seed, count=120, direction="max", constant=lambda rng: 3.0, noise=0.005):
    """Return a study pruned by the median at rungs, and the final scores of all its trials."""
    rng = np.random.default_rng(seed)
    seen = {rung: [] for rung in RUNGS}
    sign = 1.0 if direction == "max" else -1.0
    trials, finals = [], {}
    for number in range(count):
        end, slow = rng.uniform(0.3, 0.9), constant(rng)
        whole = [
            0.1 + (end - 0.1) * (1 - math.exp(-e / slow)) + rng.normal(0, noise)
            for e in range(1, EPOCHS + 1)
        ]
        finals[number] = sign * whole[-1]
        stop = EPOCHS
        for rung in RUNGS:
            seen[rung].append(whole[rung - 1])
            if len(seen[rung]) > 4 and whole[rung - 1] < np.median(seen[rung]):
                stop = rung
                break
        curve = {e + 1: sign * whole[e] for e in range(stop)}
        done = stop == EPOCHS
        trials.append(
            Trial(
                number,
                "done" if done else "pruned",
                {"x": end},
                curve[EPOCHS] if done else None,
                curve,
            )
        )
    return StudyRecord("curves", "function", "score", direction, tuple(trials)), finals


@pytest.mark.parametrize("direction", ["max", "min"])
def test_curves_alike_in_shape_are_extrapolated(direction):
    record, finals = pruned_study(0, direction=direction)
    found = predict_final_scores(record)
    assert found.keys() == {t.number for t in record.of_state("pruned")}
    off = [found[n].value - finals[n] for n in found]
    last = [t.curve[max(t.curve)] - finals[t.number] for t in record.trials if t.number in found]
    assert np.sqrt(np.mean(np.square(off))) < 0.5 * np.sqrt(np.mean(np.square(last)))
    assert np.mean([abs(o) <= 1.96 * found[n].error for o, n in zip(off, found, strict=True)]) > 0.8


def test_both_directions_predict_the_same():
    up, down = (predict_final_scores(pruned_study(1, direction=d)[0]) for d in ("max", "min"))
    assert up.keys() == down.keys()
    for number, one in up.items():
        assert one.value == pytest.approx(-down[number].value)
        assert one.error == pytest.approx(down[number].error)


def test_intervals_cover_where_curves_differ_in_speed():
    inside = []
    for seed in range(8):
        record, finals = pruned_study(seed, constant=lambda rng: math.exp(rng.normal(1.0, 0.4)))
        inside += [
            abs(one.value - finals[n]) <= 1.96 * one.error
            for n, one in predict_final_scores(record).items()
        ]
    assert np.mean(inside) > 0.85


def test_a_curve_that_never_rose_stays_down():
    trials = []
    for number in range(60):
        stuck = number % 3 == 0
        curve = {e: 0.1 if stuck else 0.1 + 0.03 * e + 0.001 * number for e in range(1, 17)}
        if stuck:
            curve = {e: curve[e] for e in range(1, 5)}
        trials.append(
            Trial(number, "pruned" if stuck else "done", {}, None if stuck else curve[16], curve)
        )
    found = predict_final_scores(StudyRecord("s", "function", "score", "max", tuple(trials)))
    assert len(found) == 20
    assert max(one.value for one in found.values()) < 0.4, "all others reach 0.58 and more"


def test_where_too_few_went_on_nothing_is_predicted():
    record, _ = pruned_study(0, count=6)
    finished = [t for t in record.trials if t.state == "done"]
    stopped = Trial(99, "pruned", {}, None, {1: 0.2})
    few = StudyRecord("s", "function", "score", "max", (*finished[: FEWEST - 1], stopped))
    assert predict_final_scores(few) == {}
    for empty in ((), (stopped,), (Trial(0, "pruned", {}, None, {}),)):
        assert predict_final_scores(StudyRecord("s", "", "score", "max", empty)) == {}


def test_equal_values_and_single_reports_are_no_trouble():
    same = [Trial(n, "done", {}, 0.5, {1: 0.3, 2: 0.5}) for n in range(20)]
    stopped = [Trial(20 + n, "pruned", {}, None, {1: 0.3}) for n in range(3)]
    found = predict_final_scores(StudyRecord("s", "", "score", "max", (*same, *stopped)))
    assert [one.value for one in found.values()] == pytest.approx([0.5] * 3)
    assert all(math.isfinite(one.error) for one in found.values())


def test_an_awful_trial_does_not_bend_the_line():
    record, _ = pruned_study(2, direction="min")
    before = predict_final_scores(record)
    awful = Trial(500, "done", {}, 1e6, dict.fromkeys(range(1, 17), 1000000.0))
    after = predict_final_scores(
        StudyRecord("s", "function", "score", "min", (*record.trials, awful))
    )
    moved = [abs(after[n].value - before[n].value) for n in before]
    assert np.median(moved) < 0.1


def test_another_figure_follows_the_curve_where_it_goes_with_it():
    record, finals = pruned_study(3)
    rng = np.random.default_rng(0)
    done = {t.number for t in record.of_state("done")}
    reached = {n: 10.0 - 5.0 * finals[n] for n in done}
    found = predict_final_scores(record, reached)
    off = [found[n].value - (10.0 - 5.0 * finals[n]) for n in found]
    assert np.sqrt(np.mean(np.square(off))) < 0.5
    unrelated = predict_final_scores(record, {n: float(rng.normal()) for n in done})
    assert max(abs(one.value) for one in unrelated.values()) < 2.0
