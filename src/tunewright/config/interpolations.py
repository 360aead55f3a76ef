"""Bound what interpolations expand to: ten lines of ten `${...}` each make a text of gigabytes."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tunewright.errors import ConfigError

MAX_CHARACTERS = 100_000
"""Of all texts of a configuration, after interpolation."""
MAX_REFERENCES = 1_000
INNERMOST = re.compile(r"\$\{([^${}]*)\}")
NESTED = re.compile(r"\$\{[^{}]*\$\{")


def check_interpolations(tree: Mapping[str, Any]) -> None:
    """Raise ConfigError if the texts of a configuration refer to themselves or grow too long.

    The bound is computed without expanding anything. `${a.${b}}` may refer to any text, so such
    texts multiply each other.
    """
    texts = {path: text for path, text in _texts(tree, "") if isinstance(text, str)}
    references = sum(text.count("${") for text in texts.values())
    if not references:
        return
    if references > MAX_REFERENCES:
        raise ConfigError(f"{references:,} interpolations", expected=f"at most {MAX_REFERENCES:,}")
    lengths: dict[str, int] = {}
    for path in texts:
        _measure(path, texts, lengths)
    nested = [text.count("${") for text in texts.values() if NESTED.search(text)]
    longest = max(lengths.values())
    expanded = sum(lengths.values()) + (longest * math.prod(nested) if nested else 0)
    if expanded > MAX_CHARACTERS:
        widest = max(lengths, key=lengths.__getitem__)
        raise ConfigError(
            f"the interpolations expand to {expanded:,} characters, most of them in {widest}",
            expected=f"at most {MAX_CHARACTERS:,}",
        )


def _texts(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple):
        for at, value in enumerate(node):
            yield from _texts(value, f"{path}.{at}" if path else str(at))
    else:
        yield path, node


def _measure(path: str, texts: Mapping[str, str], lengths: dict[str, int]) -> None:
    """Store the expanded length of a text, and of all that it refers to, with its own stack."""
    waiting = [path]
    inside: set[str] = set()
    while waiting:
        here = waiting[-1]
        if here in lengths:
            waiting.pop()
            continue
        named = INNERMOST.findall(texts[here])
        meant = [name for reference in named for name in _referenced_texts(reference, here, texts)]
        missing = [name for name in dict.fromkeys(meant) if name not in lengths]
        if any(name in inside or name == here for name in missing):
            raise ConfigError(
                f"the interpolation in {here} refers to itself",
                expected="a chain of references that ends",
            )
        if missing:
            inside.add(here)
            waiting += missing
            continue
        inside.discard(here)
        lengths[here] = min(10**18, len(texts[here]) + sum(lengths[name] for name in meant))
        waiting.pop()


def _referenced_texts(reference: str, here: str, texts: Mapping[str, str]) -> Iterator[str]:
    """Yield the texts that a reference stands for: one, or all below a section."""
    if ":" in reference:
        return  # a resolver, such as oc.env
    dots = len(reference) - len(reference.lstrip("."))
    name = re.sub(r"\[(.*?)\]", r".\1", reference.strip()[dots:]).strip(".")
    if dots:
        above = here.split(".")[:-dots]
        name = ".".join([*above, name])
    for path in texts:
        if path == name or path.startswith(f"{name}."):
            yield path
