"""Ctrl-C and SIGTERM as a flag that the loop polls, so that nothing is left half done."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tunewright.errors import TunewrightError


class Interrupted(TunewrightError):
    """The user or the system asked for an end; all is saved, `remedy` says how to resume."""


@dataclass
class StopFlag:
    """A flag set by the first signal; the second signal raises KeyboardInterrupt at once.

    until: time by the monotonic clock at which the flag is set without a signal.
    """

    signalled: bool = False
    until: float | None = None

    @property
    def set(self) -> bool:
        """Whether to stop: a signal came, or the time is up."""
        return self.signalled or (self.until is not None and time.monotonic() >= self.until)


def stopping_message(grace_seconds: float, *, signalled: bool = True) -> str:
    """Return the message printed when running trainings are asked to save themselves."""
    why, hurry = (
        ("stopping", "; press Ctrl-C again to quit now")
        if signalled
        else ("search time limit reached", "")
    )
    return f"{why}: saving running trials (up to {grace_seconds:g} s){hurry}"


@contextmanager
def stop_flag(*, at_once: bool = False, until: float | None = None) -> Iterator[StopFlag]:
    """Catch SIGINT and SIGTERM while the block runs.

    at_once: raise KeyboardInterrupt on the first signal, for work in this very process. until: see
    `StopFlag`. Outside the main thread signals cannot be caught.
    """
    flag = StopFlag(until=until)

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
