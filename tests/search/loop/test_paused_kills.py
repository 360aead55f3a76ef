"""Coordinators that are killed while trials are paused, go on, are evicted, or wait again."""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from practice.quadratic.studies import rows
from shell_study import Shell, until

from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.search.loop.paused_states import REMOVED

CURVES = "study.sampler.type=curves"
WORDS = ("epoch_seconds=0.05", "training.epochs=8", CURVES)

Seen = Callable[[Shell], bool]


def marks(shell: Shell) -> list[str]:
    """Where trials wait; empty for one that has gone on."""
    if not (shell.study / "study.db").exists():
        return []
    query = "SELECT value_json FROM trial_user_attributes WHERE key = 'paused'"
    try:
        return [str(value).strip('"') for (value,) in rows(shell.study / "study.db", query)]
    except Exception:
        return []  # the tables are being made


def some_wait(shell: Shell) -> bool:
    return len([mark for mark in marks(shell) if mark]) >= 2


def one_goes_on(shell: Shell) -> bool:
    return "" in marks(shell)


def one_is_evicted(shell: Shell) -> bool:
    waiting = [
        folder
        for folder in shell.study.glob("trials/*")
        if (outcome := RunFolder(folder).read_outcome()) is not None and outcome.state == "paused"
    ]
    return any(not RunFolder(folder).checkpoints.exists() for folder in waiting)


def some_have_ended(shell: Shell) -> bool:
    return bool(shell.finished())


def kill_when(shell: Shell, words: tuple[str, ...], seen: Seen) -> None:
    process = shell.start(*words)
    until(lambda: seen(shell) or process.poll() is not None, seconds=120)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: not shell.processes(), seconds=30)


def check_whole(shell: Shell, total: int) -> None:
    states = shell.states()
    assert sorted(states) == list(range(total)), "none was lost, none counted twice"
    assert set(states.values()) <= {"COMPLETE", "PRUNED"}
    assert Counter(states.values())["COMPLETE"] >= 3
    assert shell.reported() <= shell.stored()
    assert not list(shell.study.glob(f"trials/*/{REMOVED}"))
    for number in (n for n, state in states.items() if state == "COMPLETE"):
        folder = RunFolder(shell.study / f"trials/{number:05d}")
        assert {p.step for p in read_progress(folder.progress)} == set(range(1, 9))


@pytest.mark.slow
@pytest.mark.parametrize("quota", ["1", "0.00000003"], ids=["kept", "evicted"])
def test_a_kill_at_each_observed_moment_loses_nothing(shell: Shell, quota: str) -> None:
    words = ("--trials", "12", *WORDS, f"study.paused_gib={quota}")
    moments = [some_wait, one_goes_on, some_have_ended]
    if quota != "1":
        moments.insert(1, one_is_evicted)
    for moment in moments:
        kill_when(shell, words, moment)
    shell.finish(*words)
    check_whole(shell, 12)
    before = shell.finished()
    larger = ("--trials", "14", *WORDS, f"study.paused_gib={quota}")
    kill_when(shell, larger, lambda _: shell.finished() != before)  # those left wait again
    kill_when(shell, larger, lambda s: len(s.states()) == 14)
    shell.finish(*larger)
    check_whole(shell, 14)


@pytest.mark.slow
def test_a_state_that_is_damaged_between_sessions_starts_again_and_says_so(shell: Shell) -> None:
    words = ("--trials", "8", *WORDS)
    # Three of the eight go on to the end, so at least one of six that wait does.
    kill_when(shell, words, lambda s: len([mark for mark in marks(s) if mark]) >= 6)
    damaged = list(shell.study.glob("trials/*/checkpoints/last.json"))
    assert damaged
    for file in damaged:
        file.write_text('{"epo')
    printed = shell.finish(*words)
    check_whole(shell, 8)
    assert "starts again: it could not go on from the state it was paused in" in printed


def test_what_a_kill_left_of_a_removed_state_goes_at_the_next_start(tmp_path: Path) -> None:
    from tunewright.search.loop.paused_states import PausedStates

    half = tmp_path / "trials/00003" / REMOVED
    half.mkdir(parents=True)
    (half / "last.pt").write_bytes(b"half")
    PausedStates(tmp_path, 1.0, print)
    assert not half.exists()
    assert half.parent.exists()
