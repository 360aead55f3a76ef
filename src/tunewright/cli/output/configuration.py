"""Print a configuration with the source of each value."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from tunewright.config.compose import Composition
from tunewright.config.sources import source_of
from tunewright.errors import printable
from tunewright.runs.atomic import dump_yaml


def print_configuration(_console: Console, composed: Composition) -> None:
    """Print each line of the configuration with its source."""
    here = Path.cwd()
    for line, source in yaml_lines(composed):
        place = source.replace(f"{here}/", "") if source != "default" else "default"
        print(printable(f"{line:<44} # {place}" if source else line))
    for notice in composed.notices:
        print(printable(f"# note: {notice}"))


def yaml_lines(composed: Composition) -> Iterator[tuple[str, str]]:
    """Yield pairs of a YAML line and its source; branches have an empty source."""
    yield from _lines(composed.tree, "", 0, composed)


def _lines(
    tree: Mapping[str, Any], prefix: str, depth: int, composed: Composition
) -> Iterator[tuple[str, str]]:
    indent = "  " * depth
    for key, value in sorted(tree.items(), key=lambda item: item[0] != "type"):
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key}:", ""
            yield from _lines(value, f"{path}.", depth + 1, composed)
        else:
            line = dump_yaml({key: value}).rstrip("\n")
            yield f"{indent}{line}", str(source_of(composed.sources, path))
