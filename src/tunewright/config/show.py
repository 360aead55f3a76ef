"""Print a configuration with the source of each value."""

from collections.abc import Iterator, Mapping
from typing import Any

from tunewright.config.compose import Composition
from tunewright.config.sources import source_of
from tunewright.runs.atomic import dump_yaml


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
