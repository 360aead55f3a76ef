"""Turns the arguments of a call into a request: words, files, and keywords for overrides."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunewright.errors import UsageError
from tunewright.request import FileArguments, ParsedRequest, parse_request

RUNS = Path("runs")
NOT_TYPED = ("watch", "goal", "steps", "constraints")
"""Keywords that are not options of the command line."""


def runs_of(request: ParsedRequest, given: Path | str) -> Path:
    """Return the folder of all runs, which a flag of a guide may set."""
    if request.runs is not None and Path(given) != RUNS:
        raise UsageError(f"{request.runs} and --runs-dir {given}", expected="one folder of runs")
    return request.runs or Path(given)


def request_of(
    command: Callable[..., Any],
    words: tuple[str, ...],
    config: Path | str | None,
    config_dir: Path | str | None,
    config_name: str | None,
    space: Mapping[str, Any] | Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    otherwise: Callable[[], FileArguments] | None = None,
) -> ParsedRequest:
    """Return the request that `command`, a function of this package, was called with.

    Raises as `request.parse_request` does, with the keywords of `command` as what was expected.
    """
    parameters = inspect.signature(command).parameters.values()
    named = [p.name.rstrip("_").replace("_", "-") for p in parameters if p.kind is p.KEYWORD_ONLY]
    options = ["import" if name == "imports" else name for name in named]
    return parse_request(
        words,
        command=command.__name__.replace("_", "-"),
        options=[option for option in options if option not in NOT_TYPED],
        settings=settings,
        config=path_of(config),
        space=space if isinstance(space, Mapping) else path_of(space),
        config_dir=path_of(config_dir),
        config_name=config_name,
        otherwise=otherwise,
    )


def path_of(given: Path | str | None) -> Path | None:
    """Return a path that may be given as text."""
    return None if given is None else Path(given)
