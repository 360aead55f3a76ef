"""Ctrl-C and SIGTERM as a question that the loop asks, so that nothing is left half done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tunewright.errors import TunewrightError


class Interrupted(TunewrightError):
    """The user, or the system, asked for an end; all is saved, `remedy` says how to resume."""


@dataclass
class StopFlag:
    """Set by the first signal; the second one raises KeyboardInterrupt at once."""

    set: bool = False


@contextmanager
def stop_flag(*, at_once: bool = False) -> Iterator[StopFlag]:
    """Catch SIGINT and SIGTERM while the block runs.

    at_once: raise KeyboardInterrupt on the first signal, for work in this very process.
    Outside the main thread signals cannot be caught, and the flag stays unset.
    """
    flag = StopFlag()

    def caught(_number: int, _frame: FrameType | None) -> None:
        if flag.set or at_once:
            raise KeyboardInterrupt
        flag.set = True

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
