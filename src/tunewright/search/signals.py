"""Ctrl-C and SIGTERM as a flag that the loop polls, so that nothing is left half done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tunewright.errors import TunewrightError


class Interrupted(TunewrightError):
    """The user or the system asked for an end; all is saved, `remedy` says how to resume."""


@dataclass
class StopFlag:
    """A flag set by the first signal; the second signal raises KeyboardInterrupt at once."""

    signalled: bool = False


def stopping_message(grace_seconds: float, *, signalled: bool = True) -> str:
    """Return the message printed when running trainings are asked to save themselves."""
    why, hurry = (
        ("stopping", "; press Ctrl-C again to quit now")
        if signalled
        else ("search time limit reached", "")
    )
    return f"{why}: saving running trials (up to {grace_seconds:g} s){hurry}"


@contextmanager
def stop_flag(*, at_once: bool = False) -> Iterator[StopFlag]:
    """Catch SIGINT and SIGTERM while the block runs.

    at_once: raise KeyboardInterrupt on the first signal, for work in this very process. Outside the
    main thread signals cannot be caught.
    """
    flag = StopFlag()

    def caught(_number: int, _frame: FrameType | None) -> None:
        if flag.signalled or at_once:
            raise KeyboardInterrupt
        flag.signalled = True

    previous = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            previous[number] = signal.signal(number, caught)
        except ValueError:  # not the main thread
            break
    try:
        yield flag
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
