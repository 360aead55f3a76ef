"""Build LMDBs of patients: raw picture files and JSON, one pair of LMDBs for each split."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.errors import DataError, NotWritten
from tunewright.images.databases.lmdb_reader import FILE
from tunewright.images.databases.lmdb_writer import FIRST_MAP_BYTES, LmdbWriter
from tunewright.images.databases.stored_pictures import SIDES
from tunewright.images.dataset.content_hash import digests, joined_digest
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.reader import PictureReader
from tunewright.recipes.retina.config import EyesConfig
from tunewright.recipes.retina.data.datasets import open_parts, table_hash
from tunewright.recipes.retina.data.eye_table import EyeTable
from tunewright.recipes.retina.data.lmdb_layout import ABOUT, FORMAT, IMAGES, PAIRS, VERSION
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.callbacks import OnProgress

BATCH_BYTES = 64 << 20
"""Pictures of about this size are written in one transaction, which a killed build keeps."""
STATE = "build.json"
LOCK = "build.lock"
DIGITS = 8
"""Of a key, so that keys in their order are rows in their order."""


@dataclass(frozen=True)
class BuiltSplit:
    """What was written for a split. had: how many of its pictures an earlier build left ready."""

    patients: int
    pictures: int
    bytes: int
    had: int


@dataclass(frozen=True)
class BuildReport:
    """What a build wrote, by split. notices: on the data, as training gives them."""

    folder: Path
    splits: Mapping[str, BuiltSplit]
    notices: tuple[str, ...]


def build_lmdb(
    data: EyesConfig,
    output: Path,
    *,
    overwrite: bool = False,
    map_bytes: int = FIRST_MAP_BYTES,
    progress: Callable[[str], OnProgress | None] = lambda _: None,
) -> BuildReport:
    """Write the patients of a source into `output`/train, valid and test, each with imgs and pairs.

    The splits are those of a training on `data`. A build that was interrupted goes on where it
    stopped; `output` appears when all of it is written. map_bytes: of address space for each LMDB
    to begin with. progress: from the name of what is being done to its callback.

    Raises DataError for an output that exists, for one that another process builds or began to
    build of other data, and for pictures that cannot be read; NotWritten where the disk is full.
    """
    output = output.expanduser().absolute()
    if output.exists() and not overwrite:
        raise DataError(
            f"{output} exists already", expected="a new folder", remedy="Add --overwrite."
        )
    opened = open_parts(data, progress("reading patients"))
    begun = output.with_name(f".{output.name}.part")
    with _only_builder(begun):
        parts = {name: part for name, part in opened.parts.items() if len(part)}
        _begin(begun, parts, fresh=overwrite)
        splits = {
            name: _build_split(part, name, begun / name, map_bytes, progress(name))
            for name, part in parts.items()
        }
        (begun / STATE).unlink()
        _move(begun, output)
    (output / LOCK).unlink(missing_ok=True)
    return BuildReport(output, splits, opened.notices)


@contextlib.contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    """Hold the lock of a build, which the system releases however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise NotWritten(
            f"{folder} cannot be written: {error.strerror}", remedy="Choose another --output."
        ) from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(
                f"another process builds {folder} right now",
                expected="one build of a folder at a time",
                remedy="Wait for it, or choose another --output.",
            ) from None
        yield
    finally:
        os.close(held)


def _begin(begun: Path, parts: Mapping[str, EyeTable], *, fresh: bool) -> None:
    """Go on with what an earlier build of the same data left, or begin."""
    source = joined_digest([f"{name} {table_hash(part)}" for name, part in parts.items()])
    state = {"version": VERSION, "source": source}
    stored = read_json(begun / STATE)
    if stored == state:
        return
    if stored is not None and not fresh:
        raise DataError(
            f"{begun} holds the begun build of other data, or of the data before they changed",
            expected="the same data",
            remedy="Add --overwrite to begin anew, or choose another --output.",
        )
    for left in begun.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
    write_json(begun / STATE, state)


def _move(begun: Path, output: Path) -> None:
    """Put a complete build in its place; what was there is removed afterwards."""
    former = output.with_name(f".{output.name}.former")
    try:
        if output.exists():
            output.rename(former)
        begun.rename(output)
    except OSError as error:
        raise NotWritten(f"{output} cannot be written: {error.strerror}") from None
    if former.is_dir():
        shutil.rmtree(former, ignore_errors=True)


def _build_split(
    table: EyeTable, split: str, folder: Path, map_bytes: int, on_progress: OnProgress | None
) -> BuiltSplit:
    rows = list(dict.fromkeys(at for at in table.eyes.reshape(-1).tolist() if at >= 0))
    keys = {row: f"{number:0{DIGITS}}" for number, row in enumerate(rows)}
    with LmdbWriter(folder / IMAGES, map_bytes=map_bytes) as images:
        had = _write_pictures(images, [table.pictures.places[row] for row in rows], on_progress)
    if (folder / PAIRS).exists():  # of a build that was killed here: small, and written anew
        shutil.rmtree(folder / PAIRS)
    with LmdbWriter(folder / PAIRS, map_bytes=map_bytes) as pairs:
        hashes = digests(table.pictures)
        entries = [
            (f"{row:0{DIGITS}}", _entry(table, row, keys, hashes)) for row in range(len(table))
        ]
        about = {
            "format": FORMAT,
            "version": VERSION,
            "split": split,
            "classes": list(table.classes),
            "single": table.single,
            "class_names": dict(table.class_names),
        }
        pairs.write(
            [
                *entries,
                (ABOUT, json.dumps(about).encode()),
                ("num_samples", str(len(table)).encode()),
            ]
        )
        pairs.fill_up()
    taken = sum((folder / part / FILE).stat().st_size for part in (IMAGES, PAIRS))
    return BuiltSplit(len(table), len(rows), taken, had)


def _write_pictures(
    images: LmdbWriter, places: list[PicturePlace], on_progress: OnProgress | None
) -> int:
    """Write the pictures that are not there yet, and return how many were."""
    last = images.last_key
    if last == "num_images":
        return len(places)
    had = 0 if last is None else int(last) + 1
    waiting: list[tuple[str, bytes]] = []
    size = 0
    with contextlib.closing(PictureReader()) as reader:
        for number in range(had, len(places)):
            content = reader.content(places[number])
            waiting.append((f"{number:0{DIGITS}}", content))
            size += len(content)
            if size >= BATCH_BYTES:
                images.write(waiting)
                waiting, size = [], 0
            if on_progress is not None:
                on_progress(number + 1, len(places))
    images.write([*waiting, ("num_images", str(len(places)).encode())])
    images.fill_up()
    return had


def _entry(table: EyeTable, row: int, keys: Mapping[int, str], hashes: tuple[str, ...]) -> bytes:
    """Return what is stored of a patient.

    Where one text serves both eyes it is stored once, so that it is read as one again.
    """
    eyes = {
        side: None if at < 0 else {"key": keys[at], "blake2b": hashes[at]}
        for side, at in zip(SIDES, table.eyes[row].tolist(), strict=True)
    }
    texts = [table.texts[at] if at >= 0 else "" for at in table.text_of[row].tolist()]
    labels = table.labels[row]
    entry = {
        "patient_id": table.patients[row],
        **eyes,
        "texts": texts if table.per_eye else [texts[0], "", ""],
        "labels": None
        if not len(labels) or labels[0] < 0
        else [table.classes[at] for at in np.flatnonzero(labels == 1).tolist()],
    }
    return json.dumps(entry, ensure_ascii=False).encode()
