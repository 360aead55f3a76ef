"""The source of each value of a configuration: file and line, override, or default."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tunewright.config.tree import flatten
from tunewright.runs.documents import MAX_YAML_BYTES, YamlProblem, parse_yaml
from tunewright.runs.regular_files import read_regular


@dataclass(frozen=True)
class Source:
    """The source of a value. line: 1-based, when the key stands literally in a file."""

    file: Path | None = None
    line: int | None = None
    override: str | None = None

    def __str__(self) -> str:
        if self.override is not None:
            return f"override {self.override!r}"
        if self.file is None:
            return "default"
        return f"{self.file}:{self.line}" if self.line is not None else str(self.file)


DEFAULT = Source()


def lines_of(file: Path) -> dict[str, int]:
    """Return the line of every key in a YAML file, by dotted path."""
    found: dict[str, int] = {}
    try:
        parse_yaml(read_regular(file, most=MAX_YAML_BYTES).decode("utf-8-sig"), found)
    except (YamlProblem, OSError, UnicodeDecodeError):
        return {}
    return found


def sources_in(file: Path, tree: Mapping[str, object], package: str = "") -> dict[str, Source]:
    """Return the sources of all leaves that `file` sets under `package`."""
    lines = lines_of(file)
    prefix = f"{package}." if package else ""
    return {f"{prefix}{path}": Source(file, _line(lines, path)) for path in flatten(tree)}


def overlay_sources(below: Mapping[str, Source], above: Mapping[str, Source]) -> dict[str, Source]:
    """Return the sources of `below` with `above` over it; a new leaf removes those below it."""
    ended = tuple(f"{path}." for path in above)
    return {p: s for p, s in below.items() if not p.startswith(ended)} | dict(above)


def source_of(sources: Mapping[str, Source], path: str) -> Source:
    """Return the source of a path, of something below it, or of the nearest branch above it."""
    for inner, source in sources.items():
        if inner.startswith(f"{path}."):
            return source
    while path:
        if path in sources:
            return sources[path]
        path = path.rpartition(".")[0]
    return DEFAULT


def _line(lines: Mapping[str, int], path: str) -> int | None:
    while path:
        if path in lines:
            return lines[path]
        path = path.rpartition(".")[0]
    return None
