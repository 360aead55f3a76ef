"""Do what is refused, follow the remedy of the error by hand, and do it again."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from follow_remedies import attempt, run
from tunewright.errors import TunewrightError

Door = str | Callable[[], object]
"""A command line, of which `tune` stops before the first trial; or a call of the Python API."""


class Advice(NamedTuple):
    """door: what is refused. said: part of the error. then: done in the end, or the door again.

    before: makes what is refused; mend: does by hand what the remedy says.
    """

    door: Door
    said: str
    then: Door | None = None
    before: Callable[[], object] = lambda: None
    mend: Callable[[], object] = lambda: None


def obey(advice: Advice) -> None:
    """Do what is refused in the working folder, and what the error advises."""
    advice.before()
    with pytest.raises(TunewrightError) as refused:
        enter(advice.door)
    text = str(refused.value).replace(f"{Path.cwd()}/", "")
    assert advice.said in text, text
    assert refused.value.remedy, text
    advice.mend()
    enter(advice.door if advice.then is None else advice.then)


def enter(door: Door) -> None:
    """Type a command line, or make a call."""
    if callable(door):
        door()
    elif door.startswith("tune "):
        attempt(shlex.split(door)[1:], Path("runs"))
    else:
        run(*shlex.split(door))
