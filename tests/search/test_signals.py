"""Signals of schedulers and terminals ask for a graceful end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tunewright.search.signals import stop_flag

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Begin with the system's own hang-up, which nohup has ignored; leave all as it was."""
    started = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = {number: signal.getsignal(number) for number in CAUGHT}
    yield
    after = {number: signal.getsignal(number) for number in CAUGHT}
    signal.signal(signal.SIGHUP, started)
    assert {**after, signal.SIGHUP: before[signal.SIGHUP]} == before  # ignored once it came


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
@pytest.mark.parametrize("at_once", [False, True])
def test_an_announced_end_and_a_lost_terminal_stop_gracefully(
    number: signal.Signals, at_once: bool
) -> None:
    with stop_flag(at_once=at_once) as stop:
        for _ in range(3):  # schedulers repeat themselves
            os.kill(os.getpid(), number)
        assert (stop.signalled, stop.urgent) == (True, False)
    if number == signal.SIGHUP:
        os.kill(os.getpid(), number)  # of the shell, after that of the system


def test_after_an_announcement_the_first_ctrl_c_is_still_graceful() -> None:
    with stop_flag() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.urgent
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_under_nohup_a_lost_terminal_ends_nothing() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_flag() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.signalled
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_what_is_written_to_a_lost_terminal_is_no_error() -> None:
    """A process on a pseudo-terminal that goes away prints on and ends as it wants."""
    code = """
import os, signal, sys, time
from tunewright.search.signals import stop_flag
with stop_flag() as stop:
    print("ready", flush=True)
    while not stop.signalled:
        time.sleep(0.01)
    print("saving", flush=True)
    os.write(int(sys.argv[1]), b"saved")
"""
    leader, follower = os.openpty()
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(write)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        pass_fds=[write],
        start_new_session=True,
    )
    os.close(follower)
    os.close(write)
    assert b"ready" in os.read(leader, 100)
    os.close(leader)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 0
    assert os.read(read, 100) == b"saved"
    os.close(read)
