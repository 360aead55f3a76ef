"""What is stored of replicates can be read again, also by another version, and what it says."""

import json
from dataclasses import replace

import pytest

from tunewright.analysis.winner.choose import Excess, choose
from tunewright.analysis.winner.race import run_race
from tunewright.analysis.winner.replicates import Arm
from tunewright.analysis.winner.replication import Replication, read_stored, summarise
from tunewright.analysis.winner.wording import describe
from tunewright.runs.record import Goal, StudyRecord, Trial

ARMS = [
    Arm(7, -0.30, {1042: -0.38, 1043: -0.36}, {"size_mib": 8.0}),
    Arm(4, -0.31, {1042: -0.33, 1043: -0.37}, {"size_mib": 3.0}),
    Arm(0, -0.90, {1042: -0.92, 1043: -0.91}, {}, is_default=True, among_best=False),
]
"""Of a loss: less is better, and signs are turned."""
SEARCHED = [-0.30, -0.31, -0.5, -0.7, -0.9]


@pytest.fixture
def found() -> Replication:
    state = run_race(ARMS, [1042, 1043], 8)
    choice = choose(ARMS, state, SEARCHED, "size_mib")
    facts = {"share": 0.15, "affordable": 8, "spent": 6, "preferred": "size_mib"}
    return summarise(Goal("val_loss", "min"), ARMS, state, choice, **facts)


def test_figures_are_in_the_units_of_the_goal(found: Replication) -> None:
    assert found.winner == 4
    arm = found.arm(4)
    assert arm.low < arm.value < arm.high
    assert arm.mean == pytest.approx(0.35)
    assert arm.searched == 0.31
    assert found.best_seen == 7
    assert found.optimism is not None
    assert found.optimism.value == pytest.approx(0.07)
    assert found.gain is not None
    assert found.gain.value == pytest.approx(0.56, abs=0.03)


def test_what_is_stored_reads_back_also_with_fields_of_a_later_version(found: Replication) -> None:
    stored = json.loads(json.dumps(found.as_json()))
    assert stored["format"] == 1
    assert read_stored(stored).as_json() == found.as_json()
    stored["arms"][0]["of a later version"] = 1
    stored["also"] = {}
    assert read_stored(stored).as_json() == found.as_json()


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s.pop("arms"),
        lambda s: s.update(arms=3),
        lambda s: s.update(winner=99),
        lambda s: s.update(tied=[99]),
        lambda s: s.update(optimism={"value": 1}),
        lambda s: s["arms"][0].pop("scores"),
    ],
)
def test_what_is_damaged_counts_as_absent(found: Replication, damage) -> None:
    stored = json.loads(json.dumps(found.as_json()))
    damage(stored)
    assert read_stored(stored) is None


def test_the_sentences_tell_the_winner_the_optimism_ties_and_the_gain(found: Replication) -> None:
    text = "\n".join(describe(found))
    assert "winner: trial 4, val_loss = 0.3" in text
    assert "over 2 seeds that the search did not use" in text
    assert (
        "the best score of the search was 0.3 (trial 7); the mean of its 2 replicates is 0.37"
        in text
    )
    assert "tied: the replicates do not tell trial 4 from trial 7" in text
    assert "least size_mib (3), which study.prefer asks for" in text
    assert "less" in text
    assert "6 replicates, of 8 that study.replicate=0.15 allows" in text


def test_an_optimism_beyond_the_noise_is_called_too_good(found: Replication) -> None:
    sure = replace(found, optimism=Excess(0.07, 0.05, 0.09))
    assert "too good by 0.07 (0.05 to 0.09)" in "\n".join(describe(sure))


def test_defaults_that_win_repeats_and_failures_are_said(found: Replication) -> None:
    text = "\n".join(describe(replace(found, winner=0, gain=None, tied=())))
    assert "the defaults are the winner" in text
    arms = [replace(found.arms[0], failure="seed 1043: NaN"), *found.arms[1:]]
    text = "\n".join(describe(replace(found, arms=arms, repeats="it takes no seed")))
    assert "trial 7 is out: seed 1043: NaN" in text
    assert "the replicates may repeat one another: it takes no seed" in text
    none = replace(found, winner=None, optimism=None, tied=(), gain=None, ended="all failed")
    assert describe(none)[0] == "no winner of the replicates: all failed"


def test_replicates_of_an_earlier_state_do_not_count(found: Replication) -> None:
    trials = tuple(Trial(n, "done", {}, s, {}) for n, s in ((7, 0.30), (4, 0.31), (0, 0.9)))
    record = StudyRecord("s", "longtail", "val_loss", "min", trials)
    assert found.is_current(record)
    better = replace(record, trials=(*trials, Trial(9, "done", {}, 0.1, {})))
    assert not found.is_current(better)
    assert replace(record, replicated=4).winner is trials[1]
    assert replace(record, replicated=99).winner is trials[0]
    assert record.winner is trials[0]


@pytest.mark.parametrize(("value", "words"), [
    (0.02, "0.02 less than that (-0.01 to 0.05), which the noise may explain"),
    (-0.02, "0.02 more than that (-0.01 to 0.05), which the noise may explain"),
])  # fmt: skip
def test_a_search_that_understated_its_best_is_no_negative_excess(found, value, words) -> None:
    excess = Excess(value, *sorted((-0.01 if value > 0 else 0.01, 0.05 if value > 0 else -0.05)))
    said = describe(replace(found, optimism=excess))
    assert any(line.endswith(words) for line in said)
