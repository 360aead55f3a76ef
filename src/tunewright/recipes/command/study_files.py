"""Study files of a command: one YAML file with the command, its goal, metrics and parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.config.tree import Tree
from tunewright.errors import ConfigError, quote
from tunewright.recipes.command.placeholders import translate_macros
from tunewright.spaces.read import OWN_KEYS

W_AND_B = "method"
"""A key that every sweep file of W&B has, and no file of ours."""


def is_command_file(tree: Mapping[str, Any]) -> bool:
    """Return whether a YAML file holds a command, and is no sweep file of W&B."""
    return "command" in tree and W_AND_B not in tree and isinstance(tree["command"], list | str)


def split_command_file(tree: Mapping[str, Any], file: Path) -> tuple[Tree, Tree]:
    """Return the settings and the search space of such a file; the latter may be empty.

    A configuration that a study wrote has `params` and no `parameters`. Raises ConfigError for a
    command that is no list of words, unless it is a line for a shell.
    """
    space = {key: value for key, value in tree.items() if key in (*OWN_KEYS, "inherit")}
    settings = {key: value for key, value in tree.items() if key not in space}
    command = settings["command"]
    words = [command] if isinstance(command, str) else command
    script = settings.get("script")
    shell = isinstance(script, Mapping) and script.get("shell")
    if isinstance(command, str) and not shell:
        raise ConfigError(
            f"command = {quote(command)}",
            expected="a list of words, such as [python, train.py, --lr, '{lr}']",
            where=str(file),
            remedy="A line for a shell needs `script: {shell: true}` beside it.",
        )
    settings["command"] = translate_macros([_word(word, file) for word in words])
    if isinstance(variables := settings.get("env"), Mapping):
        settings["env"] = {
            str(k): translate_macros([_word(v, file)])[0] for k, v in variables.items()
        }
    return settings, space


def _word(word: object, file: Path) -> str:
    if isinstance(word, Mapping) and len(word) == 1 and list(word.values()) == [None]:
        raise ConfigError(
            f"the word {quote(word)} of the command",
            expected="a placeholder in quotes, since YAML reads braces as a mapping",
            where=str(file),
            remedy=f"Write '{{{next(iter(word))}}}'.",
        )
    if isinstance(word, bool) or not isinstance(word, str | int | float):
        raise ConfigError(
            f"the word {quote(word)} of the command", expected="text", where=str(file)
        )
    return str(word)
