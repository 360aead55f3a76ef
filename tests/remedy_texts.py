"""What the program tells its users to type, collected from the texts in its source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[1] / "src" / "tunewright"
HOLE = "{}"
"""Stands for a value that is put into a text."""


class Text(NamedTuple):
    """A text of the program. place: file and line. recipe: the recipe whose folder holds it."""

    place: str
    recipe: str | None
    text: str


def texts() -> Iterator[Text]:
    """Yield every text of the source except docstrings; f-strings with `{}` for what varies."""
    for file in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        skipped = _docstrings(tree)
        name = file.relative_to(SOURCE)
        recipe = name.parts[1] if name.parts[0] == "recipes" and len(name.parts) > 2 else None
        for node in _outermost(tree, skipped):
            yield Text(f"{name}:{node.lineno}", recipe, _written(node))


def _docstrings(tree: ast.AST) -> set[ast.AST]:
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _outermost(node: ast.AST, skipped: set[ast.AST]) -> Iterator[ast.Constant | ast.JoinedStr]:
    for child in ast.iter_child_nodes(node):
        if child in skipped:
            continue
        if isinstance(child, ast.JoinedStr) or (
            isinstance(child, ast.Constant) and isinstance(child.value, str)
        ):
            yield child
        else:
            yield from _outermost(child, skipped)


def _written(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_written(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else HOLE


def commands_in(text: str) -> list[tuple[str, str]]:
    """Return the commands that a text names, each with its words up to the end of the sentence."""
    name = r"pairs (?:split|embed)|retina (?:build|verify)-lmdb|[a-z][a-z-]+"
    words = r"(?:(?!\btunewright\b)[^.,;:`)]|\.(?=\S))*"
    return re.findall(rf"\btunewright ({name})\b({words})", text)


def flags_in(text: str) -> list[str]:
    """Return the flags in a text."""
    return re.findall(r"(?<![\w-])--[a-z][a-z_-]*[a-z]", text)


def settings_in(text: str) -> list[tuple[str, str]]:
    """Return the settings in a text, as key and value; the value is empty where none is given."""
    return re.findall(r"(?<![\w./{}-])([a-z_]+(?:\.[a-z_]+)*)=([^\s,;)`]*)", text)
