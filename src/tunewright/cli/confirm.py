"""Ask before a command runs that only a stored file names."""

import shlex
import sys
from pathlib import Path

from tunewright.config.sources import source_of
from tunewright.errors import UsageError, printable
from tunewright.recipes.command.config import CommandConfig
from tunewright.recipes.command.consent import is_known, remember
from tunewright.request import ParsedRequest
from tunewright.search.storage.trusted_servers import is_run_file

WRITTEN = "best_config.yaml"
"""A file that studies write, wherever it has been copied to."""


def confirm_command(request: ParsedRequest, *, yes: bool, resumes: bool = False) -> None:
    """Ask whether a command from a study's or a run's folder may run, unless it is known here.

    yes: it may. resumes: the configuration is that of a run's folder, whatever that holds. Raises
    UsageError where nobody can be asked, or says no.
    """
    config = request.composed.config
    if not isinstance(config, CommandConfig) or not config.command:
        return
    source = source_of(request.composed.sources, "command")
    file = source.file if source.override is None else None
    if file is None or not (resumes or is_run_file(file) or file.name == WRITTEN):
        remember(config)
    elif not is_known(config):
        if not yes and not _ask(config, file):
            raise UsageError(
                f"{file} holds a command that was not run here before: {shown_command(config)}",
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
