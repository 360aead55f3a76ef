"""What an audit says of searches whose cheap fidelity tells the truth, or does not."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tunewright.analysis.audit.epoch_agreement import first_good_epoch, measure_epochs
from tunewright.analysis.audit.judge import (
    judge_audit,
    judge_curves,
)
from tunewright.analysis.audit.levels import AuditedRun, FidelityLevel
from tunewright.runs.record import Goal, StudyRecord, Trial


def record(scores, direction="max", pruned=()):
    trials = [
        Trial(n, "pruned" if n in pruned else "done", {"x": n}, None if n in pruned else score,
              {1: score}, seconds=2.0)
        for n, score in enumerate(scores)
    ]  # fmt: skip
    return StudyRecord("study", "pairs", "val_score", direction, tuple(trials))


def level(scores, values=None, seconds=10.0, **rest):
    runs = tuple(
        AuditedRun(n, score, {1: (score or 0.0) / 2, 2: score or 0.0}, seconds, **rest)
        for n, score in enumerate(scores)
    )
    return FidelityLevel(values or {"training.epochs": 20}, runs)


def test_a_ranking_that_holds():
    found = judge_audit(record(range(8)), [level([n / 10 for n in range(8)])])
    [search] = found.levels
    assert search.agreement.tau.value == 1.0
    assert search.cost == 0.2
    assert "no regret beyond noise" in found.advice[0]


@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_ranking_turned_round(direction):
    scores = [0.1 * n for n in range(8)]
    found = judge_audit(record(scores, direction), [level(scores[::-1])])
    [search] = found.levels
    assert search.agreement.tau.value == -1.0
    assert search.agreement.regret.value == pytest.approx(0.7)
    assert "is noise is not known" in found.advice[0]


def test_pruned_trials_rank_below_finished_ones():
    # The pruned ones reported the highest values, at an early epoch.
    scores = [0.5, 0.6, 0.7, 0.8, 9.0, 9.1]
    full = [0.5, 0.6, 0.7, 0.8, 0.1, 0.2]
    found = judge_audit(record(scores, pruned=(4, 5)), [level(full)])
    assert found.levels[0].agreement.tau.value == 1.0
    assert "2 of the 6 were pruned" in found.notes[0]
    assert found.rows[4]["search"] == 9.0


def test_seeds_are_the_noise():
    full = level([0.1, 0.2, 0.3, 0.4, 0.5])
    seeds = [{"1": run.score - 0.03, "2": run.score + 0.03} for run in full.runs]
    runs = tuple(replace(run, seeds=one) for run, one in zip(full.runs, seeds, strict=True))
    found = judge_audit(record([5, 4, 3, 2, 1]), [replace(full, runs=runs)])
    assert "more than noise" in found.advice[0]
    assert found.tolerance == pytest.approx(0.03 * math.sqrt(2))
    assert "seeds of the audited runs" in found.source
    # Without seeds the interval of the best score tells how sure it is.
    ends = tuple(replace(run, interval=(run.score - 0.2, run.score + 0.2)) for run in full.runs)
    found = judge_audit(record([1, 2, 3, 5, 4]), [replace(full, runs=ends)])
    assert found.tolerance == pytest.approx(0.2 / 1.96, abs=1e-3)
    assert found.levels[0].agreement.regret.value == pytest.approx(0.1)
    assert "no regret beyond noise" in found.advice[0]


def test_the_cheapest_level_without_regret_is_named():
    full = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    small = level(full[::-1], {"data.train": "small", "training.epochs": 20}, seconds=1.0)
    half = level(full, {"data.train": "half", "training.epochs": 20}, seconds=5.0)
    found = judge_audit(record(full[::-1]), [small, half, level(full)])
    assert [one.name.partition(" ")[0] for one in found.levels] == [
        "the", "data.train=small", "data.train=half",
    ]  # fmt: skip
    assert found.full == "training.epochs=20"
    last = "the cheapest level without regret beyond noise is data.train=half"
    assert found.advice[-1].startswith(last)
    assert "50%" in found.advice[-1]


def test_more_epochs_are_fuller_whatever_the_clock_said():
    short = level([1, 2, 3, 4], {"training.epochs": 4}, seconds=99.0)
    long = level([1, 2, 3, 4], {"training.epochs": 8}, seconds=9.0)
    assert judge_audit(record([1, 2, 3, 4]), [long, short]).full == "training.epochs=8"


def test_failed_and_constant_runs_leave_sentences():
    found = judge_audit(record(range(6)), [level([None, math.nan, 0.3, 0.4, 0.5, 0.6])])
    assert found.levels[0].agreement.configurations == 4
    assert found.notes[0].startswith("without a full score, left out: trial 0, 1")
    found = judge_audit(record(range(5)), [level([0.5] * 5)])
    assert "all full scores are equal" in " ".join(found.notes)
    assert found.levels[0].agreement.tau.value is None
    few = judge_audit(record(range(3)), [level([0.1, 0.2, 0.3])])
    assert few.levels == []
    assert "nothing is measured below 4" in few.notes[0]
    nothing = judge_audit(record(range(5)), [level([None] * 5)])
    json.dumps(nothing.as_json(), allow_nan=False)


class TestCurves:
    def curves(self, count=20):
        """Rankings that are chance at epoch 1 and settled from epoch 4 on."""
        rng = np.random.default_rng(0)
        final = rng.random(count)
        return {
            n: {e: float(f * e / 10 + rng.normal(0, 0.3 if e < 4 else 1e-4)) for e in range(1, 11)}
            for n, f in enumerate(final)
        }

    def test_the_epoch_from_which_the_ranking_holds(self):
        curves = {n: {e: v for e, v in c.items() if e >= 4 or v < 0.3} for n, c in
                  self.curves().items()}  # fmt: skip
        found = judge_curves("table", Goal("accuracy", "max"), curves)
        good = first_good_epoch(found.epochs)
        assert good is not None
        assert f"at epoch {good.epoch} of 10 the ranking" in found.advice[0]
        assert 4 <= good.epoch < 10

    def test_a_run_counts_with_its_best_epoch(self):
        curves = [{1: 0.9, 2: 0.1}, {1: 0.2, 2: 0.8}, {1: 0.3, 2: 0.7}, {1: 0.1, 2: 0.6}]
        first, last = measure_epochs(curves, 1.0)
        assert last.agreement.tau.value == 1.0
        assert first.agreement.regret.value == 0.0  # .9 stays the best

    def test_less_is_better(self):
        curves = [{1: 5.0, 2: float(n)} for n in range(5)]
        assert measure_epochs(curves, -1.0)[-1].agreement.tau.value == 1.0

    def test_long_curves_are_compared_at_a_few_epochs(self):
        curves = [{e: n + e / 1000 for e in range(1, 1001)} for n in range(6)]
        found = [one.epoch for one in measure_epochs(curves, 1.0, epochs=10)]
        assert len(found) == 10
        assert (found[0], found[-1]) == (1, 1000)

    def test_what_cannot_be_compared(self):
        goal = Goal("accuracy", "max")
        assert "nothing is measured below 4" in judge_curves("t", goal, {0: {1: 1.0}}).notes[0]
        single = {n: {1: float(n)} for n in range(6)}
        assert "one epoch each" in judge_curves("t", goal, single).notes[0]
        constant = {n: {1: 1.0, 2: 1.0} for n in range(6)}
        assert "are equal" in judge_curves("t", goal, constant).notes[0]
        gaps = {n: {1: math.nan, 2: float(n)} for n in range(6)}
        assert judge_curves("t", goal, gaps).epochs == []
