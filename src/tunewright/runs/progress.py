"""`progress.jsonl`: appended by the worker, followed by the coordinator, read by all."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunewright.errors import DataError
from tunewright.runs.documents import parse_json
from tunewright.runs.record import USAGE, Progress


class ProgressWriter:
    """Appends whole lines; the first one tells at which step this attempt resumes the training.

    A line survives the death of the process as soon as `write` returns. A line torn by a kill is
    closed off by the next attempt and skipped by readers.
    """

    def __init__(self, path: Path, attempt: int, resumed_from: int) -> None:
        self._attempt = attempt
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        size = os.fstat(self._descriptor).st_size
        torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        start = json.dumps({"attempt": attempt, "resumed_from": resumed_from})
        self._append(("\n" if torn else "") + start)

    def write(self, progress: Progress) -> None:
        """Append one report; metrics that are not finite are stored as null."""
        line = asdict(progress)
        for name in ("lr", *USAGE):
            if line[name] is None:
                del line[name]
        line["metrics"] = {k: v if math.isfinite(v) else None for k, v in line["metrics"].items()}
        self._append(json.dumps(line, allow_nan=False))

    def notice(self, text: str) -> None:
        """Append a notice about this run for the user."""
        self._append(json.dumps({"attempt": self._attempt, "notice": text}))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _append(self, line: str) -> None:
        os.write(self._descriptor, (line + "\n").encode())


class ProgressTail:
    """Follows the lines of one attempt while they are written; late lines are dropped.

    notices: those of the run up to the last poll.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        self._path, self._attempt, self._offset = path, attempt, 0
        self.notices: list[str] = []

    def poll(self) -> list[Progress]:
        """Return the reports that were completed since the last poll."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                fresh = stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _unreadable(self._path, error) from None
        whole = fresh.rfind(b"\n") + 1
        self._offset += whole
        lines = [x for x in _json_lines(fresh[:whole]) if x.get("attempt") == self._attempt]
        self.notices += [str(line["notice"]) for line in lines if "notice" in line]
        return [report for line in lines if (report := _parse(line)) is not None]


def read_progress(path: Path, *, before_attempt: int | None = None) -> list[Progress]:
    """Return the valid history of a run, one report per step; the first of several in one attempt.

    Lines past the checkpoint that a later attempt started from are dropped, as are lines that an
    earlier attempt wrote after a later one had begun. before_attempt: leave out this attempt and
    all after it.
    """
    try:
        lines = list(_json_lines(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(path, error) from None
    valid: dict[int, Progress] = {}
    current = 0
    for line in lines:
        attempt = line.get("attempt")
        if not isinstance(attempt, int) or attempt < current:
            continue
        if before_attempt is not None and attempt >= before_attempt:
            continue
        current = attempt
        if "resumed_from" in line:
            first = line["resumed_from"]
            valid = {s: p for s, p in valid.items() if not isinstance(first, int) or s <= first}
        elif (report := _parse(line)) is not None:
            valid.setdefault(report.step, report)
    return [valid[step] for step in sorted(valid)]


def _json_lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        try:
            value = parse_json(line.decode())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be read: {error.strerror or error}",
        expected="a file with one JSON object a line",
        remedy="Make it readable, or move it away; of a study, tunewright repair STUDY does.",
    )


def _parse(line: dict[str, Any]) -> Progress | None:
    """Return the report in a line; None for any other line, and for one that is damaged."""
    metrics = line.get("metrics")
    if not isinstance(line.get("step"), int) or not isinstance(metrics, dict):
        return None
    try:
        return Progress(
            line["attempt"],
            line["step"],
            {k: math.nan if v is None else float(v) for k, v in metrics.items()},
            float(line.get("seconds", 0.0)),
            float(line.get("memory_mib", 0.0)),
            float(line.get("device_mib", 0.0)),
            *(None if line.get(name) is None else float(line[name]) for name in ("lr", *USAGE)),
        )
    except (TypeError, ValueError):
        return None
