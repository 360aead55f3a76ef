"""Read an offline run of Weights & Biases: its configuration, history, summary and end."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.errors import DataError
from tunewright.runs.atomic import read_json, read_yaml
from tunewright.runs.documents import parse_json
from tunewright.runs.wandb.record_log import RecordLogDamage, message_fields, read_records

# Fields of the messages in wandb/proto/wandb_internal.proto.
HISTORY, SUMMARY, CONFIG, RUN, EXIT = 2, 3, 5, 17, 18  # of Record
ITEM, STEP, UPDATE, EXIT_CODE, STEP_NUMBER = 1, 2, 1, 1, 1
KEY, NESTED_KEY, VALUE = 1, 2, 16
RUN_ID, RUN_CONFIG, RUN_SUMMARY, GROUP, DISPLAY_NAME = 1, 4, 5, 6, 8
MAX_STEPS = 1_000_000
"""Reports of one run that are kept."""
RUN_FOLDERS = ("offline-run-*", "run-*")


@dataclass
class OfflineRun:
    """What W&B stored of one run.

    config: nested as it was given. history: the numbers of each report, by step. summary: the last
    value of each metric, or what the script set. exit_code: None where the run did not end, as
    after a kill. notices: what could not be read.
    """

    folder: Path
    name: str = ""
    group: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    notices: list[str] = field(default_factory=list)


def find_offline_runs(folder: Path) -> list[Path]:
    """Return the W&B run folders directly in a folder, or in its folder `wandb`."""
    places = (folder, folder / "wandb")
    found = {path for place in places for name in RUN_FOLDERS for path in place.glob(name)}
    return sorted(path for path in found if path.is_dir() and _is_run(path))


def read_offline_run(folder: Path) -> OfflineRun:
    """Read the `.wandb` file of a run folder, and where there is none `files/` of an older W&B.

    A file that ends in the middle of a record, as after a kill, is read up to there, with a notice.
    Nothing is unpickled, and the package of W&B is not needed. Raises DataError for a folder that
    holds neither.
    """
    run = OfflineRun(folder)
    logs = sorted(folder.glob("*.wandb"))
    if logs:
        _read_log(logs[0], run)
    for key, value in (read_json(folder / "files" / "wandb-summary.json") or {}).items():
        run.summary.setdefault(key, value)
    config = folder / "files" / "config.yaml"
    if not run.config and config.is_file() and config.stat().st_size:
        stored = read_yaml(config)
        run.config = {
            key: entry["value"]
            for key, entry in stored.items()
            if isinstance(entry, Mapping) and "value" in entry
        }
    run.config.pop("_wandb", None)
    if not run.config and not run.history and not run.summary:
        raise DataError(
            f"{folder} holds no run of W&B that can be read"
            + (f" ({run.notices[0]})" if run.notices else ""),
            expected="run-ID.wandb, or files/wandb-summary.json and files/config.yaml",
        )
    return run


def _is_run(folder: Path) -> bool:
    return any(folder.glob("*.wandb")) or (folder / "files" / "wandb-summary.json").is_file()


def _read_log(file: Path, run: OfflineRun) -> None:
    count = 0
    try:
        for record in read_records(file):
            _take(record, run)
            count += 1
    except RecordLogDamage as damage:
        run.notices.append(f"{file}: {damage}; {count:,} records before it are read")
    except ValueError as error:
        run.notices.append(f"{file}: record {count + 1:,} is damaged ({error})")
    except (OSError, DataError) as error:
        run.notices.append(f"{file} cannot be read: {error}")


def _take(record: bytes, run: OfflineRun) -> None:
    for number, content in message_fields(record):
        if not isinstance(content, bytes):
            continue
        if number == HISTORY and len(run.history) < MAX_STEPS:
            run.history.append(_report(content, len(run.history)))
        elif number == SUMMARY:
            _update(run.summary, content)
        elif number == CONFIG:
            _update(run.config, content)
        elif number == EXIT:
            run.exit_code = 0  # a field with the value 0 is not stored
            for inner, code in message_fields(content):
                if inner == EXIT_CODE and isinstance(code, int):
                    run.exit_code = code
        elif number == RUN:
            for inner, value in message_fields(content):
                if not isinstance(value, bytes):
                    continue
                if inner == RUN_CONFIG:
                    _update(run.config, value)
                elif inner == RUN_SUMMARY:
                    _update(run.summary, value)
                elif inner in (DISPLAY_NAME, RUN_ID) and (inner == DISPLAY_NAME or not run.name):
                    run.name = value.decode(errors="replace")
                elif inner == GROUP:
                    run.group = value.decode(errors="replace")


def _report(content: bytes, count: int) -> tuple[int, dict[str, float]]:
    """Return the step and the finite numbers of one report; count: of the reports before it."""
    step, numbers = count, {}
    for number, value in message_fields(content):
        if number == STEP and isinstance(value, bytes):
            step = next((int(n) for i, n in message_fields(value) if i == STEP_NUMBER), 0)
    for path, found in _items(content, ITEM):
        name = ".".join(path)
        if name == "_step" and isinstance(found, int):
            step = found
        elif isinstance(found, int | float) and not isinstance(found, bool):
            numbers[name] = float(found)
    finite = {n: v for n, v in numbers.items() if math.isfinite(v) and not n.startswith("_")}
    return step, finite


def _update(tree: dict[str, Any], content: bytes) -> None:
    """Set the values of a summary or configuration record."""
    for path, value in _items(content, UPDATE):
        inner = tree
        for key in path[:-1]:
            below = inner.get(key)
            if not isinstance(below, dict):
                below = inner[key] = {}
            inner = below
        inner[path[-1]] = value


def _items(content: bytes, wanted: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of each item that is JSON."""
    for number, item in message_fields(content):
        if number != wanted or not isinstance(item, bytes):
            continue
        path, text = [], ""
        for inner, value in message_fields(item):
            if isinstance(value, bytes) and inner in (KEY, NESTED_KEY) and value:
                path.append(value.decode(errors="replace"))
            elif isinstance(value, bytes) and inner == VALUE:
                text = value.decode(errors="replace")
        try:
            if path:
                yield tuple(path), parse_json(text, finite=False)
        except ValueError:
            continue
