"""Progress on a terminal and in a log; work in threads that ends when something fails."""

import io
import threading
import time

import pytest

from tunewright.images import progress as module
from tunewright.images import thread_map as threads_module
from tunewright.images.progress import ShowProgress
from tunewright.images.thread_map import thread_map, time_items, useful_threads


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def run(show, clock, steps, seconds):
    for done in range(1, steps + 1):
        clock[0] += seconds
        show(done, steps)


def test_a_line_every_five_seconds(clock):
    out = io.StringIO()
    with ShowProgress("decode", out) as show:
        show(0, 100)
        run(show, clock, 100, 0.5)
    lines = out.getvalue().splitlines()
    assert lines[0] == "decode: 10 of 100 (10%), 0:45 left"
    assert len(lines) == 10


def test_quick_work_leaves_no_line(clock):
    out = io.StringIO()
    with ShowProgress("decode", out) as show:
        run(show, clock, 100, 0.01)
    assert out.getvalue() == ""


def test_a_terminal_is_drawn_over_and_wiped(clock):
    out = Screen()
    with ShowProgress("decode", out) as show:
        run(show, clock, 4000, 1.0)
    drawn = out.getvalue().split("\r")
    assert "\n" not in out.getvalue()
    assert drawn[1].startswith("decode: 2 of 4,000 (0%), ")
    assert "1:06:3" in drawn[1]
    assert drawn[-2].strip() == ""
    assert len(drawn[-2]) >= len(drawn[-3].rstrip())


def test_the_next_piece_of_work_has_its_own_time(clock):
    out = io.StringIO()
    with ShowProgress("x", out) as show:
        run(show, clock, 10, 6.0)
        run(show, clock, 20, 6.0)
    assert out.getvalue().splitlines()[9] == "x: 2 of 20 (10%), 1:48 left"


class TestThreads:
    def test_in_order(self):
        taken = []
        thread_map(lambda n: n * n, range(100), lambda at, n: taken.append((at, n)), threads=3)
        assert taken == [(n, n * n) for n in range(100)]

    @pytest.mark.parametrize("where", ["work", "take"])
    def test_a_failure_ends_the_rest(self, where):
        before, worked = threading.active_count(), []

        def work(number):
            worked.append(number)
            if where == "work" and number == 5:
                raise ZeroDivisionError
            return number

        def take(_, number):
            if where == "take" and number == 5:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            thread_map(work, range(100_000), take, threads=2)
        assert threading.active_count() == before
        assert len(worked) < 1000

    def test_nothing(self):
        thread_map(lambda n: n, [], lambda *_: pytest.fail("nothing to take"))

    @pytest.mark.parametrize(("seconds", "threads"), [(1e-5, 1), (0.001, 7), (1.0, 7)])
    def test_what_takes_next_to_nothing_gets_one_thread(self, monkeypatch, seconds, threads):
        clock = [0.0]

        def work(item):
            clock[0] += 0.02 if item == 0 else seconds  # the first one imports something

        monkeypatch.setattr(threads_module, "cores", lambda: 7)
        monkeypatch.setattr(threads_module.time, "perf_counter", lambda: clock[0])
        taken = time_items(work, 100)
        assert len(taken) == (2 if seconds == 1.0 else 8)
        assert useful_threads(taken) == threads
        assert useful_threads(time_items(work, 0)) == 7

    @pytest.mark.parametrize(("seconds", "here"), [(0.0, 100), (0.06, 1)])
    def test_each_is_done_once_wherever(self, monkeypatch, seconds, here):
        monkeypatch.setattr(threads_module, "cores", lambda: 3)
        done, taken = [], []

        def work(number):
            done.append(threading.get_ident())
            time.sleep(seconds if number == 0 else 0)
            return number

        thread_map(work, range(100), lambda at, n: taken.append((at, n)))
        assert taken == [(n, n) for n in range(100)]
        assert done.count(threading.get_ident()) == here
        assert len(done) == 100
