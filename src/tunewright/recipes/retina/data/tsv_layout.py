"""Read `{split}_imgs.tsv` (patient, left, right in base64) and `{split}_texts.jsonl`."""

import json
import zipfile
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from tunewright.errors import DataError, quote, shorten
from tunewright.images.databases.stored_pictures import from_base64
from tunewright.images.dataset.content_hash import joined_digest
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.build_table import some
from tunewright.recipes.retina.data.eye_table import ClassNaming, EyeRecord
from tunewright.recipes.retina.data.labels_table import LABELS, read_labels
from tunewright.runs.cache import cache_folder, make_once
from tunewright.runs.callbacks import OnProgress
from tunewright.runs.documents import parse_json
from tunewright.runs.stamp import file_stamp

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}
"""What files are named for, and the split they hold."""


def has_tsv(folder: Path) -> bool:
    """Return whether a folder holds pictures in a TSV."""
    return any((folder / f"{name}_imgs.tsv").is_file() for name in SPLITS)


def read_tsv(
    folder: Path, on_progress: OnProgress | None = None
) -> tuple[list[EyeRecord], ClassNaming, list[str]]:
    """Read every split of a folder; the pictures are taken out of the TSV once, into the cache.

    on_progress: called with the bytes read and to read. Raises DataError, naming the line, for what
    is not base64, not JSON, not UTF-8, or names a patient that has no pictures.
    """
    labels = read_labels(folder / LABELS)
    records: list[EyeRecord] = []
    for name, split in SPLITS.items():
        pictures = folder / f"{name}_imgs.tsv"
        if not pictures.is_file():
            continue
        places = _unpack(pictures, on_progress)
        texts = _read_texts(folder / f"{name}_texts.jsonl", set(places))
        for patient, (left, right) in places.items():
            label = labels.get(patient)
            records += [
                EyeRecord(
                    patient,
                    left,
                    right,
                    (text, "", ""),
                    None if label is None else (label,),
                    split,
                    f"patient {patient} of {pictures}",
                )
                for text in texts.get(patient, [""])
            ]
    return records, ClassNaming(), []


def _unpack(
    file: Path, on_progress: OnProgress | None
) -> dict[str, tuple[PicturePlace | None, PicturePlace | None]]:
    """Return the pictures of each patient, as members of a zip in the cache."""
    stamp = joined_digest([str(file.resolve()), *map(str, file_stamp(file) or ())])

    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / "pictures.zip", "w", zipfile.ZIP_STORED) as archive:
            for patient, sides in _lines_of(file, on_progress):
                for side, content in sides.items():
                    archive.writestr(zipfile.ZipInfo(f"{patient}/{side}"), content)

    made = make_once(cache_folder() / "retina" / f"tsv-{stamp}", make) / "pictures.zip"
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
    sides: dict[str, dict[str, PicturePlace]] = {}
    for name in names:
        patient, _, side = name.rpartition("/")
        sides.setdefault(patient, {})[side] = PicturePlace(made, name)
    return {patient: (found.get("left"), found.get("right")) for patient, found in sides.items()}


def _lines_of(file: Path, on_progress: OnProgress | None) -> Iterator[tuple[str, dict[str, bytes]]]:
    seen: set[str] = set()
    total, done = file.stat().st_size, 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            done += len(line)
            where = f"line {number:,} of {file}"
            cells = line.rstrip(b"\r\n").split(b"\t")
            if cells == [b""]:
                continue
            if len(cells) != 3:
                raise DataError(
                    f"{where} has {len(cells)} cells", expected="patient, left and right, with tabs"
                )
            try:
                patient = cells[0].decode().strip()
            except UnicodeDecodeError:
                raise DataError(f"{where} is not UTF-8") from None
            if patient in seen or not patient:
                raise DataError(
                    f"{where} has the patient {quote(patient)}"
                    + (" a second time" if patient else ""),
                    expected="each patient once",
                )
            seen.add(patient)
            named = zip(("left", "right"), cells[1:], strict=True)
            yield (
                patient,
                {
                    side: from_base64(cell, f"the {side} picture in {where}")
                    for side, cell in named
                    if cell
                },
            )
            if on_progress is not None:
                on_progress(done, total)


def _read_texts(file: Path, patients: set[str]) -> dict[str, list[str]]:
    """Return the texts of each patient."""
    try:
        lines = file.read_bytes().decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{file} does not exist", expected="the texts of the pictures") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8 ({error.reason} at byte {error.start:,})",
            remedy="Save it again as UTF-8.",
        ) from None
    found: dict[str, list[str]] = {}
    strangers = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"line {number:,} of {file}"
        entry = _entry(line, where)
        for patient in map(str, entry["image_ids"]):
            if patient not in patients:
                strangers.append(f"{patient} in {where}")
            found.setdefault(patient, []).append(str(entry["text"]))
    if strangers:
        raise DataError(
            f"{len(strangers):,} texts are of patients without pictures ({some(strangers)})",
            expected="patients of the TSV beside it",
        )
    return found


def _entry(line: str, where: str) -> dict[str, Any]:
    try:
        entry = parse_json(line)
    except (JSONDecodeError, ValueError) as error:
        raise DataError(f"{where} is not JSON ({error})", expected='{"text": ...}') from None
    if not isinstance(entry, dict) or not {"text", "image_ids"} <= entry.keys():
        raise DataError(
            f"{where}: {shorten(json.dumps(entry))}",
            expected='{"text_id": ..., "text": ..., "image_ids": [...]}',
        )
    if not isinstance(entry["image_ids"], list):
        raise DataError(f"image_ids of {where} is no list", expected="a list of patients")
    return entry
