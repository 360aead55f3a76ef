"""Read the JSONL manifest of the long-tail guide: a crop per line, with box, label and split."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

from tunewright.errors import DataError, did_you_mean, quote, shorten
from tunewright.images.image_table import ImageTable, PicturePlace
from tunewright.images.sources.build_table import Naming, TableRow, some, table_of
from tunewright.runs.documents import parse_json
from tunewright.runs.regular_files import exists, read_regular

READY = "manifest_ready.jsonl"
CLASSES = "class_to_idx.json"
KEYS = ("id", "image_path", "crop_path", "bbox_xyxy", "label", "label_idx", "split", "meta")
DECLARED = ("camera_id", "track_id")
Record = dict[str, Any]
TEXT, WORD = "text", "text or a number"
TYPES: Mapping[str, tuple[type | UnionType, str]] = {
    "id": (str | int | float, WORD),
    "image_path": (str, TEXT),
    "crop_path": (str, TEXT),
    "label": (str | int | float, WORD),
    "label_idx": (int, "a whole number"),
    "split": (str, TEXT),
    "meta": (dict, 'an object, such as {"camera_id": 3}'),
}
"""Types of a record's values besides null; `bbox_xyxy` is checked where it is used."""
LABELLING = ("label", "label_idx", "split", "meta")
"""Keys that are read only for training."""


def manifest_in(folder: Path) -> Path | None:
    """Return the manifest of a folder, or None; raises DataError if there are several."""
    found = sorted(folder.glob("manifest*.jsonl"))
    ready = [file for file in found if file.name == READY]
    if len(found) > 1 and not ready:
        raise DataError(
            f"{folder} has {len(found)} manifests ({some(file.name for file in found)})",
            expected=f"one, or {READY}",
            remedy=f"Name one of them: data.dir={found[0]}.",
        )
    return next(iter(ready or found), None)


def read_manifest(
    file: Path, *, labelled: bool, group_by: str | None, multi_label: bool = False
) -> ImageTable:
    """Read the crops that a manifest lists.

    A picture is `crop_path` if given, else `image_path` cut by `bbox_xyxy`. Paths are relative to
    the manifest's folder or to one above it. Classes come from `class_to_idx.json` beside it, else
    from `label_idx`, else from the sorted labels. Groups are camera_id, then track_id, unless
    another key is named; if neither is known and splits are still to be made, the second field of
    the id between underscores, as in the guide's own split. multi_label: `label` is a list of
    labels, which may be empty. Raises DataError, naming the line, for a record that cannot be used.
    """
    records = _records(file)
    several = labelled and multi_label
    lists = [_labels(file, line, record) for line, record in records] if several else []
    for line, record in records:
        _check_types(file, line, record, labelled=labelled)
    root = _root(file, records)
    order = _order(file, records) if labelled else {}
    name_of = {index: name for name, index in order.items()}
    groups = _groups(file, records, group_by) if labelled else [None] * len(records)
    rows = [
        TableRow(
            str(record.get("id", line)),
            _place(file, line, record, root),
            _label(record, name_of) if labelled else None,
            record.get("split") if labelled else None,
            group,
            file,
            line,
        )
        for (line, record), group in zip(records, groups, strict=True)
    ]
    if several:
        rows = [row._replace(labels=found) for row, found in zip(rows, lists, strict=True)]
    return table_of(file, rows, labelled=labelled, naming=Naming(tuple(order) or None))


def _records(file: Path) -> list[tuple[int, Record]]:
    try:
        text = read_regular(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read ({error})") from None
    records = []
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        try:
            record = parse_json(written)
        except ValueError as error:
            raise DataError(
                f"line {line:,} of {file} is not JSON ({getattr(error, 'msg', error)})",
                expected="one object a line",
                remedy="Write null for a missing value. If the last line is incomplete, copy the "
                "file again.",
            ) from None
        if not isinstance(record, dict):
            raise DataError(f"line {line:,} of {file} is not a JSON object", expected="{...}")
        records.append((line, record))
    return records


def _check_types(file: Path, line: int, record: Record, *, labelled: bool) -> None:
    """Raise DataError for a value of another type; convert whole floats to integers in place."""
    for key, (kind, expected) in TYPES.items():
        value = record.get(key)
        if value is None or (key in LABELLING and not labelled):
            continue
        if key in ("label", "label_idx"):
            value = record[key] = _whole(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(
                f"{key} = {quote(value)} in line {line:,} of {file}",
                expected=f"{expected}, or null",
                remedy="Correct the line, or take it out.",
            )


def _whole(value: Any) -> Any:
    """Return 1 for 1.0, as pandas writes it if other rows have none; else the value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _place(file: Path, line: int, record: Record, root: Path) -> PicturePlace:
    crop, image = record.get("crop_path"), record.get("image_path")
    if not crop and not image:
        near = next(
            filter(None, (did_you_mean(key, KEYS) for key in record if key not in KEYS)), ""
        )
        raise DataError(
            f"line {line:,} of {file} names no picture, but {', '.join(record) or 'nothing'}",
            expected="crop_path, or image_path and bbox_xyxy",
            remedy=near,
        )
    if crop:
        return PicturePlace(root / str(crop))
    box = record.get("bbox_xyxy")
    return PicturePlace(root / str(image), box=None if box is None else _box(file, line, box))


def _box(file: Path, line: int, box: Any) -> tuple[float, float, float, float]:
    numbers = isinstance(box, list) and all(
        isinstance(edge, int | float)
        and not isinstance(edge, bool)
        and abs(edge) <= sys.float_info.max
        for edge in box
    )
    if not numbers or len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise DataError(
            f"bbox_xyxy = {quote(box)} in line {line:,} of {file}",
            expected="[left, top, right, bottom] in pixels, with left < right and top < bottom",
            remedy="Convert boxes of the form [x, y, width, height].",
        )
    left, top, right, bottom = map(float, box)
    return left, top, right, bottom


def _root(file: Path, records: Sequence[tuple[int, Record]]) -> Path:
    """Find the folder that the paths are relative to, by the first picture."""
    if not records:
        raise DataError(f"{file} has no records", expected="one JSON object a line")
    first = _place(file, *records[0], Path()).file
    above = [file.resolve().parent, *file.resolve().parents[1:4], Path.cwd()]
    found = next((folder for folder in above if exists(folder / first)), None)
    if found is None:
        raise DataError(
            f"{shorten(str(first))} of {file} does not exist",
            expected=f"a path relative to {above[0]} or one of the folders above it",
            remedy="Move the pictures there, or write their full paths.",
        )
    missing = [
        shorten(str(place.file))
        for place in {_place(file, line, record, found) for line, record in records}
        if not exists(place.file)
    ]
    if missing:
        raise DataError(
            f"{len(missing):,} pictures of {file} do not exist ({some(sorted(missing))})",
            remedy="Copy the missing files, or take their lines out of the manifest.",
        )
    return found


def _groups(
    file: Path, records: Sequence[tuple[int, Record]], group_by: str | None
) -> list[str | None]:
    known = [{**record, **(record.get("meta") or {})} for _, record in records]
    if group_by is None:
        return [None] * len(known)
    if group_by != "auto":
        for (line, _), keys in zip(records, known, strict=True):
            if keys.get(group_by) is None:
                raise DataError(
                    f"data.group_by = {group_by!r}, and line {line:,} of {file} has no such key",
                    expected=f"one of {', '.join(keys)}, or null",
                    remedy=did_you_mean(group_by, keys),
                )
        return [str(_whole(keys[group_by])) for keys in known]
    declared = any(keys.get(key) is not None for keys in known for key in DECLARED)
    if not declared and all(record.get("split") for _, record in records):
        return [None] * len(known)  # a guess may guide a split, but cannot fault a given one
    return [_group(keys, line) for keys, (line, _) in zip(known, records, strict=True)]


def _group(keys: Record, line: int) -> str:
    for key in DECLARED:
        if keys.get(key) is not None:
            return f"{key} {_whole(keys[key])}"
    name = str(keys.get("id", line))
    fields = name.split("_")
    return f"id field {fields[1]}" if len(fields) > 1 else f"id {name}"


def _label(record: Record, name_of: Mapping[int, str]) -> str | None:
    label, index = record.get("label"), record.get("label_idx")
    if label is not None and str(label).strip():
        return str(label).strip()
    return None if index is None else name_of.get(index, str(index))


def _labels(file: Path, line: int, record: Record) -> tuple[str, ...]:
    """Take the list of labels out of a record; a single label is a list of one."""
    given = record.pop("label", None)
    listed = given if isinstance(given, list) else [] if given is None else [given]
    words = [_whole(each) for each in listed]
    if not all(isinstance(word, str | int) and not isinstance(word, bool) for word in words):
        raise DataError(
            f"label = {quote(given)} in line {line:,} of {file}",
            expected='a list of labels, such as ["red", "round"], or [] for none',
            remedy="Correct the line, or take it out.",
        )
    record.pop("label_idx", None)  # the number of one label
    return tuple(dict.fromkeys(filter(None, (str(word).strip() for word in words))))


def _order(file: Path, records: Sequence[tuple[int, Record]]) -> dict[str, int]:
    """Map class to label in the order of the labels, as far as they are given; else empty."""
    beside = file.parent / CLASSES
    given = _class_to_idx(beside) if beside.is_file() else {}
    label_of = dict(given)
    for line, record in records:
        label, index = _label(record, {}), record.get("label_idx")
        if record.get("label") is None or index is None or (given and label not in given):
            continue  # a label that is not in the file is refused with what it knows
        if label_of.setdefault(str(label), index) != index:
            raise DataError(
                f"line {line:,} of {file} gives {quote(label)} the label_idx {index}",
                expected=f"{label_of[str(label)]}, as in {CLASSES if given else 'an earlier line'}",
            )
    if len(set(label_of.values())) < len(label_of) or (
        given and set(label_of.values()) != set(range(len(label_of)))
    ):
        raise DataError(
            f"the classes of {beside if given else file} are numbered "
            f"{some(f'{name}: {index}' for name, index in label_of.items())}",
            expected=f"0 to {len(label_of) - 1}, each once",
        )
    return {name: label_of[name] for name in sorted(label_of, key=label_of.__getitem__)}


def _class_to_idx(file: Path) -> Mapping[str, int]:
    try:
        read = parse_json(read_regular(file).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error})") from None
    if not isinstance(read, dict) or not all(type(value) is int for value in read.values()):
        raise DataError(
            f"{file} does not map classes to numbers", expected='{"black": 0, "blue": 1, ...}'
        )
    return read
