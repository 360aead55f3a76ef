"""The rungs that a run goes down when it has no room."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.config.compose import compose
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome
from tunewright.search.memory.oom_retry import (
    MIN_ROWS,
    MOST_PARTS,
    OomAttempt,
    RetryLevel,
    describe_retry,
    next_level,
    next_retry,
    original_config,
    retry_level_of,
)
from tunewright.search.prepare import run_part


def rungs(
    batch_size: int, asked: int = 1, *, splits: bool = True, one: bool = False
) -> list[RetryLevel]:
    """All that is tried, when nothing ever helps. one: there is one slot only."""
    lacks = [OomAttempt(1, asked, one)]
    found = []
    while (rung := next_level(asked, lacks, batch_size, splits=splits)) is not None:
        found.append(rung)
        lacks.append(OomAttempt(len(lacks) + 1, rung.accumulate, rung.alone))
    return found


@pytest.mark.parametrize(
    ("batch_size", "asked", "expected"),
    [
        (32, 1, [2, 4]),
        (512, 1, [2, 4, 8, 16, 32, 64]),
        (8192, 1, [2, 4, 8, 16, 32, 64]),
        (8192, 4, [8, 16, 32, 64, 128, 256]),
        (60, 1, [2, 4]),
        (90, 1, [2, 5, 10]),
        (90, 3, [6]),
        (17, 1, []),
        (8, 1, []),
        (1, 1, []),
    ],
)
def test_micro_batches_are_doubled_and_divide_the_batch(
    batch_size: int, asked: int, expected: list[int]
) -> None:
    found = rungs(batch_size, asked)
    last = expected[-1] if expected else asked
    assert [rung.accumulate for rung in found] == [*expected, last]
    assert [rung.alone for rung in found] == [False] * len(expected) + [True]


def test_what_knows_no_micro_batches_is_only_given_room() -> None:
    assert rungs(512, splits=False) == [RetryLevel(1, 1, True)]


def test_with_one_slot_it_was_alone_all_along() -> None:
    assert [rung.accumulate for rung in rungs(32, one=True)] == [2, 4]
    assert rungs(32, splits=False, one=True) == []


@given(st.integers(1, 5000), st.integers(1, 8), st.booleans(), st.booleans())
def test_it_ends_and_never_changes_the_batch(
    batch_size: int, asked: int, splits: bool, one: bool
) -> None:
    found = rungs(batch_size, asked, splits=splits, one=one)
    assert len(found) <= 8
    assert sorted(set(found), key=found.index) == found
    for rung in found:
        if rung.accumulate != asked:
            assert batch_size % rung.accumulate == 0
            assert batch_size // rung.accumulate >= MIN_ROWS
            assert rung.parts <= MOST_PARTS


class TestInAFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> RunFolder:
        folder = RunFolder(tmp_path / "run")
        words = ["training.batch_size=32", "training.accumulate=1"]
        folder.write_config(run_part(compose(find_recipe("hungry"), words).tree))
        return folder

    def lack(self, folder: RunFolder) -> Outcome:
        return Outcome("failed", folder.begin_attempt(), "out of memory", "no room")

    def test_the_configuration_repeats_the_run_and_says_why(self, folder: RunFolder) -> None:
        asked = folder.read_config()
        assert retry_level_of(folder) is None
        rung = next_retry(folder, self.lack(folder), alone=False)
        assert rung == retry_level_of(folder) == RetryLevel(1, 2, False)
        assert folder.read_config()["training"]["accumulate"] == 2
        text = folder.config.read_text()
        assert text.startswith(
            "# 1 attempt(s) ran out of memory: training.accumulate is now 2 (was 1)."
        )
        assert "still 32 rows, in micro-batches of 16" in text
        assert original_config(folder) == asked

    def test_until_nothing_is_left_the_run_has_not_ended(self, folder: RunFolder) -> None:
        alone, ends = False, []
        for _ in range(4):
            outcome = self.lack(folder)
            folder.write_outcome(outcome)
            rung = next_retry(folder, outcome, alone=alone)
            alone = rung is not None and rung.alone
            ends.append(folder.read_outcome() is not None)
        assert ends == [False, False, False, True]

    def test_the_same_attempt_counts_once(self, folder: RunFolder) -> None:
        """A kill may come before the next attempt begins."""
        outcome = self.lack(folder)
        once = next_retry(folder, outcome, alone=False)
        stored = (folder.path / "memory.json").read_text()
        asked = original_config(folder)
        folder.write_config(asked)  # as if the kill had come between the two files
        assert next_retry(folder, outcome, alone=False) == once
        assert (folder.path / "memory.json").read_text() == stored
        assert folder.read_config()["training"]["accumulate"] == 2

    def test_down_to_the_last_rung_which_stays_on_record(self, folder: RunFolder) -> None:
        alone, seen = False, []
        while (rung := next_retry(folder, self.lack(folder), alone=alone)) is not None:
            seen.append((rung.accumulate, rung.alone))
            alone = rung.alone
        assert seen == [(2, False), (4, False), (4, True)]
        assert retry_level_of(folder) == RetryLevel(1, 4, True)
        lacks = json.loads((folder.path / "memory.json").read_text())["lacks"]
        assert [lack["accumulate"] for lack in lacks] == [1, 2, 4, 4]

    def test_a_recipe_with_a_training_of_its_own_is_not_split(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path / "other")
        folder.write_config(run_part(compose(find_recipe("quadratic"), []).tree))
        assert next_retry(folder, self.lack(folder), alone=False) == RetryLevel(1, 1, True)
        assert next_retry(folder, self.lack(folder), alone=True) is None


def test_the_words_name_the_batch() -> None:
    finer = "retrying with 4 micro-batches of 1,024 rows (the batch stays 4,096)"
    for alone in (False, True):  # with one slot it always is
        assert describe_retry(RetryLevel(1, 4, alone), RetryLevel(1, 2, alone), 4096) == finer
        assert describe_retry(RetryLevel(1, 4, alone), None, 4096) == finer
    assert (
        describe_retry(RetryLevel(1, 4, True), RetryLevel(1, 4, False), 4096)
        == "retrying with no other trials running"
    )
    assert (
        describe_retry(RetryLevel(1, 1, True), None, 4096)
        == "retrying with no other trials running"
    )


def test_no_micro_batch_gets_a_single_row_of_a_training_set_smaller_than_a_batch() -> None:
    lacks = [OomAttempt(1, 1, alone=True)]
    assert next_level(1, lacks, 64, splits=True, rows=16) == RetryLevel(1, 2, alone=True)
    assert next_level(1, lacks, 64, splits=True, rows=10) is None
    assert next_level(1, lacks, 64, splits=True) == RetryLevel(1, 2, alone=True)
