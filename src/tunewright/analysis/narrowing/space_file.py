"""The text of a space file with a reason for each domain."""

from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any

from tunewright.runs.atomic import dump_yaml


def space_text(
    specification: Mapping[str, Any], reasons: Mapping[str, str], header: Sequence[str] = ()
) -> str:
    """Return a space file. reasons: by path, as comments. header: lines at its top."""
    lines = [f"# {one}".rstrip() for line in header for one in line.splitlines()]
    for key, value in specification.items():
        if key != "parameters":
            lines.append(dump_yaml({key: value}).rstrip())
            continue
        lines.append("parameters:")
        for path, fields in value.items():
            if path in reasons:
                lines.append(f"  # {' '.join(reasons[path].split())}")
            lines.append(indent(dump_yaml({path: fields}).rstrip(), "  "))
    return "\n".join(lines) + "\n"
