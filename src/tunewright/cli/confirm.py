"""Ask before a command runs that only a stored file names."""

import shlex
import sys
from pathlib import Path

from tunewright.errors import UsageError, printable
from tunewright.recipes.command.config import CommandConfig
from tunewright.recipes.command.consent import is_known, remember
from tunewright.request import ParsedRequest
from tunewright.search.storage.trusted_servers import is_run_file

WRITTEN = "best_config.yaml"
"""A file that studies write, wherever it has been copied to."""
RUN = ("command", "env", "script")
"""The keys that say what runs."""


def confirm_command(request: ParsedRequest, *, yes: bool, resumes: bool = False) -> None:
    """Ask whether a command from a study's or a run's folder may run, unless it is known here.

    yes: it may. resumes: the configuration is that of a run's folder, whatever that holds. Raises
    UsageError where nobody can be asked, or says no.
    """
    config = request.composed.config
    if not isinstance(config, CommandConfig) or not config.command:
        return
    files = {
        source.file
        for path, source in request.composed.sources.items()
        if path.partition(".")[0] in RUN and source.override is None and source.file is not None
    }
    stored = [f for f in files if resumes or is_run_file(f) or f.name == WRITTEN]
    if stored and not is_known(config) and not yes and not _ask(config, stored[0]):
        raise UsageError(
            f"{stored[0]} holds a command that was not run here before: {shown_command(config)}",
            expected="that you want to run it",
            remedy="If you do, say so with --yes.",
        )
    remember(config)


def shown_command(config: CommandConfig) -> str:
    """Return the command as one would type it, with its variables."""
    variables = [f"{name}={shlex.quote(text)}" for name, text in config.env.items()]
    words = list(config.command) if config.script.shell else [shlex.join(config.command)]
    return " ".join([*variables, *words])


def _ask(config: CommandConfig, file: Path) -> bool:
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        return False
    text = f"{file} runs a command that was not run here before:\n  {shown_command(config)}\n"
    print(printable(text), end="", file=sys.stderr)
    print("Run it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
