"""Commands that a stored file names, and whether this user has run them before.

A study's folder may come from anybody, and going on with it runs its command. So a command that
nobody typed here is shown first, and asked about. Commands that were typed, or agreed to, are
remembered by a hash of all that is run.
"""

import hashlib
import json
from pathlib import Path

from tunewright.recipes.command.config import CommandConfig
from tunewright.runs.cache import cache_folder


def is_known(config: CommandConfig) -> bool:
    """Return whether this user has typed this command, or agreed to it."""
    return _file(config).exists()


def remember(config: CommandConfig) -> None:
    """Remember a command that was typed or agreed to."""
    _file(config).touch()


def _file(config: CommandConfig) -> Path:
    run = {
        "command": list(config.command),
        "env": dict(config.env),
        "shell": config.script.shell,
        "program": config.script.program,
        "directory": config.script.directory,
    }
    digest = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()
    folder = cache_folder() / "commands"
    folder.mkdir(exist_ok=True)
    return folder / digest
