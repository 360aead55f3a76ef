"""Atomic files, either whole or absent: written beside their place, then renamed into it."""

import contextlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from errno import EDQUOT, EFBIG, EIO, ENOSPC, EROFS
from pathlib import Path
from typing import Any

import yaml

from tunewright.errors import ConfigError, DataError, NotWritten, quote
from tunewright.runs.documents import MAX_YAML_BYTES, YamlProblem, parse_json, parse_yaml
from tunewright.runs.regular_files import read_regular

IN_RUNS = "Free space or choose a writable folder with --runs-dir; the same command then resumes."
"""Hint for a file of a run folder that could not be written."""
NAMED = "Free space or choose another path."
"""Hint for a file that an option names."""


def write_with(path: Path, write: Callable[[Path], object], *, remedy: str = IN_RUNS) -> None:
    """Let `write` fill a temporary neighbour of `path`, then move it into place.

    Raises NotWritten, with the operating system's message, when the folder cannot be written or the
    disk is full; the former file at `path` then stays.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = f".{path.name[:100]}.{secrets.token_hex(4)}"
        # Made here with 0666, so that the umask and the folder's own rules decide who may read it.
        made = os.open(path.parent / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        temporary = path.parent / name
        try:
            mode = stat.S_IMODE(os.fstat(made).st_mode)
        finally:
            os.close(made)
        write(temporary)
        if stat.S_IMODE(temporary.stat().st_mode) != mode:  # safetensors puts another one there
            temporary.chmod(mode)
        temporary.replace(path)
    except Exception as error:
        if not (why := _disk_fault(error)):
            raise
        taken = path.is_dir() or isinstance(error, FileExistsError | NotADirectoryError)
        if taken and remedy is IN_RUNS:
            remedy = (
                "Move away what is in its place, or choose another folder with --runs-dir; the "
                "same command then resumes."
            )
        raise NotWritten(f"{path} cannot be written: {why}", remedy=remedy) from error
    finally:
        if temporary is not None and temporary.exists():
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_text(path: Path, text: str, *, remedy: str = IN_RUNS) -> None:
    """Write UTF-8 text atomically."""
    write_with(path, lambda file: _fill(file, text), remedy=remedy)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically; floats that are not finite are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_yaml(path: Path, tree: Mapping[str, Any], *, header: str = "") -> None:
    """Write a YAML mapping atomically, under comment lines taken from `header`."""
    comments = "".join(f"# {line}\n" for line in header.splitlines())
    write_text(path, comments + dump_yaml(tree))


def dump_yaml(tree: Mapping[str, Any]) -> str:
    """Return a mapping as block YAML in its own order; short lists stay on one line."""
    text: str = yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object at `path`, or None when it is absent or not (yet) whole.

    Raises DataError for a folder in its place, and where it may not be read.
    """
    try:
        value = parse_json(read_regular(path).decode())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}",
            expected="a file with a JSON object",
            remedy="Make it readable, or move it away; of a study, tunewright repair STUDY does.",
        ) from None
    return value if isinstance(value, dict) else None


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, unresolved; `1e-4` is a number.

    Raises ConfigError when the file is missing, is not YAML or holds no mapping.
    """
    try:
        tree = parse_yaml(read_regular(path, most=MAX_YAML_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", remedy="Check the path.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder", expected="a YAML file") from None
    except (YamlProblem, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not readable as YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        kind = "a YAML list" if isinstance(tree, list) else f"{quote(tree)} only"
        raise ConfigError(
            f"{path} holds {kind}", expected="a mapping (key: value) at the top of the file"
        )
    return {str(key): value for key, value in tree.items()}


def _disk_fault(error: Exception) -> str:
    """Return the operating system's message in an error of any library; empty for other errors."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    faults = [os.strerror(code) for code in (ENOSPC, EDQUOT, EFBIG, EIO, EROFS)]
    found = [fault for fault in faults if fault in str(error)]
    texts = ("failed writing file", "unexpected pos")  # of torch, which leaves the reason out
    if not found and any(text in str(error) for text in texts):
        return "the disk may be full"
    return found[0] if found else ""


def _fill(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


_Emitter: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # slower without libyaml


class _Dumper(_Emitter):  # type: ignore[misc]
    """Block style for mappings, flow style for lists of plain values."""


def _represent_list(dumper: yaml.SafeDumper, value: Any) -> yaml.Node:
    plain = all(not isinstance(item, dict | list | tuple) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)


# Our reader takes 1e-3 for a number, so a text that looks like one must be quoted.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[\d_]*\.?[\d_]+[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)
