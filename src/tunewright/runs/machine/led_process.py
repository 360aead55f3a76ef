"""What a process does at its start that another one leads: whom signals are for, and no script."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType

FOR_PARENT = frozenset(
    {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
)
"""Signals that end a session gracefully, and that only its coordinator reacts to."""


def leave_signals_to_parent() -> None:
    """Let this process outlive Ctrl-C in the terminal and signals that a scheduler sends to all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own = os.getpid()

    def leave_to_parent(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != own:  # a child, which whoever started it may end
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for number in FOR_PARENT - {signal.SIGINT}:
        signal.signal(number, leave_to_parent)  # not SIG_IGN, which programs it runs would inherit
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_PARENT)  # blocked while it was started


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Hold these signals back within the block, and in processes started in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def no_script() -> Iterator[None]:
    """Hide the main script from `multiprocessing`, which would import it in every process.

    Workers do not need it, and a script without a main guard would start its study again.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
