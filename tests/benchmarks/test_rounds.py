"""The statistics that every speed figure goes through."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

import tunewright

BENCHMARKS = Path(tunewright.__file__).parents[2] / "benchmarks"


@pytest.fixture
def rounds(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__("rounds")
    for name in ("rounds", "machine"):
        sys.modules.pop(name, None)


def test_a_slow_round_moves_no_ratio(rounds):
    slowness = iter([1.0, 1.0, 1.0, 1.0, 50.0, 50.0, 1.0, 1.0])
    arms = {
        "ours": lambda: {"seconds": 2.0 * next(slowness)},
        "theirs": lambda: {"seconds": 6.0 * next(slowness)},
    }
    measured = rounds.run_rounds(arms, rounds=3, say=lambda line: None)
    told = rounds.ratio(measured, "theirs", "ours", "seconds")
    assert (told.median, told.low, told.high) == pytest.approx((3.0, 3.0, 3.0))
    assert max(measured.values("ours", "seconds")) == 100.0, "no round is dropped"


def test_each_arm_runs_once_a_round_in_changing_order_and_its_first_call_stays_apart(rounds):
    calls = Counter()

    def arm(name):
        def call():
            calls[name] += 1
            return {"seconds": 100.0 if calls[name] == 1 else 1.0}

        return call

    measured = rounds.run_rounds(
        {name: arm(name) for name in "abc"}, rounds=8, null="a", say=lambda line: None
    )
    assert calls == {"a": 17, "b": 9, "c": 9}
    assert measured.first_calls["a"] == {"seconds": 100.0}
    assert measured.values("a again", "seconds") == [1.0] * 8
    assert {tuple(sorted(entry.order)) for entry in measured.rounds} == {("a", "a again", "b", "c")}
    assert len({entry.order for entry in measured.rounds}) > 1


def test_the_interval_of_three_rounds_is_their_range(rounds):
    told = rounds.summarise([1.0, 4.0, 2.0])
    assert (told.median, told.low, told.high) == (2.0, 1.0, 4.0)


def test_the_interval_covers_the_median_of_many_rounds_and_narrows(rounds):
    few, many = (rounds.summarise([1.0, 2.0, 3.0, 4.0, 5.0] * n) for n in (1, 20))
    assert few.low <= 3.0 <= few.high
    assert many.high - many.low < few.high - few.low


def test_a_target_is_met_by_the_bad_end_of_the_interval_only(rounds):
    value = rounds.Ratio(median=3.0, low=2.5, high=3.5, by_round=(2.5, 3.0, 3.5))
    assert rounds.judge(value, at_least=2.5) == "met"
    assert rounds.judge(value, at_most=3.5) == "met"
    assert rounds.judge(value, at_least=2.6).startswith("missed: 3 [2.5, 3.5]")
    assert rounds.judge(value, at_most=3.0).startswith("missed")


def test_a_result_holds_the_machine_the_day_and_every_round(rounds, tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "RESULTS", tmp_path / "results")
    measured = rounds.run_rounds({"a": lambda: {"ms": 1.0}}, rounds=2, null="a", say=print)
    ratio = rounds.ratio(measured, "a", "a again", "ms")
    path = rounds.save("thing", "python benchmarks/thing.py", measured, null=ratio)
    stored = json.loads(path.read_text())
    assert {"date", "processor", "load_1_min"} <= stored["machine"].keys()
    assert stored["null"]["median"] == 1.0
    assert [entry["figures"]["a"]["ms"] for entry in stored["rounds"]] == [1.0, 1.0]
    assert all("load_before" in entry for entry in stored["rounds"])
