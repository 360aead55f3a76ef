"""Whether threads sleep while they wait: what is decided, from what, and when it is left alone."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.executors import thread_waits
from tunewright.executors.thread_waits import (
    BUSY,
    CALM,
    CALM_TICKS,
    WAITING,
    Rule,
    ThreadWaits,
    describe_waits,
    set_by_user,
    why_crowded,
)
from tunewright.runs.machine.free_cores import SchedulerTimes, scheduler_times


class Machine:
    """Another one: how crowded it is, and which threads were made to sleep."""

    def __init__(self) -> None:
        self.share: float | None = 0.0
        self.others: int | None = 0
        self.missed: float | None = 0.0
        self.asleep: list[int] = []
        self.changes = 0
        self.changed = threading.Event()

    def sleep(self, threads: int) -> Callable[[], None]:
        self.asleep.append(threads)
        self._change()

        def wake() -> None:
            self.asleep.remove(threads)
            self._change()

        return wake

    def wait_for_change(self) -> None:
        assert self.changed.wait(30.0)
        self.changed.clear()

    def _change(self) -> None:
        self.changes += 1
        self.changed.set()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(thread_waits, "TICK_SECONDS", 0.001)
    monkeypatch.setattr(thread_waits, "cores", lambda: 4)
    monkeypatch.setattr(thread_waits, "pressure", lambda: made.share)
    monkeypatch.setattr(thread_waits, "runnable", lambda: made.others)
    monkeypatch.setattr(thread_waits, "scheduler_times", lambda: {"1": SchedulerTimes(0, 0)})
    monkeypatch.setattr(thread_waits, "missed_share", lambda *_: made.missed)
    return made


@pytest.mark.parametrize(
    ("share", "others", "expected"),
    [
        (0.0, 40, ""),  # the kernel's own measure outweighs one moment
        (0.55, 0, "55% of the last 10 s something waited for a core"),
        (None, 3, ""),
        (None, 4, "4 other thread(s) want the 4 core(s)"),
        (None, None, ""),
    ],
)
def test_a_crowd_is_seen_before_the_first_step(
    machine: Machine, share: float | None, others: int | None, expected: str
) -> None:
    machine.share, machine.others = share, others
    assert why_crowded() == expected
    assert expected in describe_waits(3, {})
    assert describe_waits(1, {}) == "", "one thread waits for nobody"


@given(st.lists(st.none() | st.floats(0.0, 1.0)))
def test_threads_sleep_at_once_and_wake_after_lasting_calm(shares: list[float | None]) -> None:
    rule, heard = Rule(), list[float]()
    for share in shares:
        before = rule.asleep
        after = rule.look(share)
        if share is None:
            assert after == before
            continue
        heard.append(share)
        last = heard[-CALM_TICKS:]
        if share > BUSY:
            assert after
        elif before:
            assert after == (len(last) < CALM_TICKS or max(last) >= CALM)
        else:
            assert not after


def test_load_that_comes_and_goes_is_followed(machine: Machine, tmp_path: Path) -> None:
    waits = ThreadWaits({}, machine.sleep)
    with waits.watch(2):
        assert machine.asleep == []
        machine.missed = 0.5
        machine.wait_for_change()
        assert machine.asleep == [2]
        machine.missed = 0.0
        machine.wait_for_change()
        assert machine.asleep == []
    waits.note(tmp_path / "log.txt")
    said = (tmp_path / "log.txt").read_text()
    assert "they slept while waiting for each other" in said
    with waits.watch(2):
        time.sleep(0.005)
    assert machine.changes == 2
    waits.note(tmp_path / "log.txt")
    assert (tmp_path / "log.txt").read_text() == said, "the second one has nothing to tell"


def test_a_process_that_begins_in_a_crowd_begins_asleep(machine: Machine) -> None:
    machine.share, machine.missed = 0.9, 0.5
    waits = ThreadWaits({}, machine.sleep)
    with waits.watch(None):
        assert machine.asleep == [4], "all cores"
    assert machine.asleep == []
    machine.share = 0.0
    with waits.watch(2):  # a warm worker remembers how its last run ended
        assert machine.asleep == [2]


@pytest.mark.parametrize("variable", WAITING)
def test_what_the_user_has_set_is_left_alone(machine: Machine, variable: str) -> None:
    machine.share, machine.missed = 0.9, 0.9
    environment = {variable: "active"}
    assert set_by_user(environment) == f"{variable}=active"
    assert f"as {variable}=active says" in describe_waits(2, environment)
    with ThreadWaits(environment, machine.sleep).watch(2):
        time.sleep(0.005)
        assert machine.changes == 0


def test_one_thread_waits_for_nobody(machine: Machine) -> None:
    machine.share, machine.missed = 0.9, 0.9
    with ThreadWaits({}, machine.sleep).watch(1):
        time.sleep(0.005)
        assert machine.changes == 0


def test_what_fails_inside_leaves_no_thread_asleep(machine: Machine) -> None:
    machine.share = 0.9

    def fail() -> None:
        with ThreadWaits({}, machine.sleep).watch(2):
            assert machine.asleep == [2]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert machine.asleep == []


def test_torchs_own_runtime_is_given_an_idle_team_that_ends() -> None:
    import torch  # the runtime that torch has loaded is the one that must be found

    known = thread_waits.gnu_openmp() is not None
    before = scheduler_times()
    wake = thread_waits.openmp_sleep(2)
    if known and before:
        assert "idle-team" in {thread.name for thread in threading.enumerate()}
        assert len(scheduler_times().keys() - before.keys()) >= 2, "one of them is no Python thread"
    product = torch.ones(64, 64) @ torch.ones(64, 64)
    wake()
    assert "idle-team" not in {thread.name for thread in threading.enumerate()}
    assert torch.equal(product, torch.full((64, 64), 64.0))
