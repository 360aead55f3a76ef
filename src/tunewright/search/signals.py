"""Ctrl-C and the signals of schedulers as a flag that the loop polls: nothing is left half done.

SIGTERM ends a job, SIGUSR1 announces its end (SLURM's `--signal=USR1@90`), SIGHUP a lost terminal.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tunewright.errors import TunewrightError


class Interrupted(TunewrightError):
    """The user or the system asked for an end; all is saved, `remedy` says how to resume."""


@dataclass
class StopFlag:
    """A flag set by the first signal; a second Ctrl-C or SIGTERM raises KeyboardInterrupt at once.

    urgent: whether Ctrl-C or SIGTERM was among them.
    """

    signalled: bool = False
    urgent: bool = False


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
    """Catch SIGINT, SIGTERM, SIGUSR1 and SIGHUP while the block runs.

    at_once: raise KeyboardInterrupt on the first SIGINT or SIGTERM, for work in this very process.
    Outside the main thread signals cannot be caught.
    """
    flag = StopFlag()
    terminals = [number for number in (1, 2) if os.isatty(number)]

    previous: dict[int, Any] = {}

    def caught(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _discard_output(terminals)
            previous[number] = signal.SIG_IGN  # the shell and the system may each send one
        elif number != signal.SIGUSR1:
            if flag.urgent or at_once:
                raise KeyboardInterrupt
            flag.urgent = True
        flag.signalled = True

    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        if one == signal.SIGHUP and signal.getsignal(one) == signal.SIG_IGN:
            continue  # started with nohup
        previous[one] = signal.getsignal(one)  # before it can come, since `caught` changes this
        try:
            signal.signal(one, caught)
        except ValueError:  # not the main thread
            del previous[one]
            break
    try:
        yield flag
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _discard_output(terminals: Sequence[int]) -> None:
    """Send what is still written to a lost terminal nowhere: writing there would be an error."""
    for number in terminals:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
