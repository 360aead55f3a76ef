"""Type a command that is refused, do what the error advises, and type the next one."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from tunewright.cli import app
from tunewright.errors import TunewrightError
from tunewright.request import parse_request
from tunewright.search.prepare import prepare


def attempt(words: list[str], runs: Path) -> None:
    """Check a study as `tunewright tune` does before its first trial."""
    request = parse_request(words, command="tune")
    prepare(request.recipe, request.composed, given=request.space, runs=runs)


def run(*words: str) -> str:
    """Run a command line in the working folder; raise its error, else return what it printed."""
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


class Case(NamedTuple):
    """typed: refused. said: part of the remedy. instead: typed then, or the same where empty.

    before: makes what is refused; mend: does by hand what the remedy says.
    """

    typed: str
    said: str
    instead: str = ""
    before: Callable[[], object] = lambda: None
    mend: Callable[[], object] = lambda: None


def follow(case: Case) -> None:
    """Type what is refused, then do what the error says."""
    case.before()
    with pytest.raises(TunewrightError) as refused:
        run(*shlex.split(case.typed))
    message = str(refused.value).replace(f"{Path.cwd()}/", "")
    assert case.said in message, message
    case.mend()
    run(*shlex.split(case.instead or case.typed))
