"""Read patients from LMDBs: `<place>/<split>/imgs` and `/pairs`, ours and those of RET-CLIP.

Ours hold raw picture files and JSON. In those of RET-CLIP and Chinese-CLIP the values are pickled
tuples, which are read by `images.databases.pickled_tuples` and never unpickled.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tunewright.errors import DataError, quote, shorten
from tunewright.images.databases.lmdb_reader import FILE, Database, open_database
from tunewright.images.databases.pickled_tuples import BUILD_AGAIN, read_tuple
from tunewright.images.databases.stored_pictures import SIDES, pickled_pair
from tunewright.images.dataset.content_hash import joined_digest
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.build_table import SPLIT_WORDS, some
from tunewright.recipes.retina.data.eye_table import ClassNaming, EyeRecord
from tunewright.recipes.retina.data.labels_table import LABELS, read_labels
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.cache import cache_folder
from tunewright.runs.callbacks import OnProgress
from tunewright.runs.documents import parse_json
from tunewright.runs.stamp import file_stamp

IMAGES, PAIRS = "imgs", "pairs"
"""Folders of the pictures and of the patients with their reports, in that of a split."""
SPLITS = ("train", "valid", "val", "test")
"""Folders that stand for a split."""
ABOUT = "about"
"""Key of what our LMDBs say about themselves, in the pairs."""
FORMAT, VERSION = "tunewright.eyes", 1


class SplitFolder(NamedTuple):
    """The LMDBs of one split. split: None where its folder is not named for one."""

    path: Path
    split: str | None

    @property
    def images(self) -> Path:
        """The file of the pictures."""
        return self.path / IMAGES / FILE

    @property
    def pairs(self) -> Path:
        """The file of the patients."""
        return self.path / PAIRS / FILE


class LmdbSource(NamedTuple):
    """What LMDBs hold, before the pictures are looked at."""

    records: list[EyeRecord]
    naming: ClassNaming
    class_names: dict[str, str]
    notices: list[str]


def has_lmdb(place: Path) -> bool:
    """Return whether a folder holds LMDBs, of one split or of several."""
    return bool(_split_folders(place))


def split_folders(place: Path) -> tuple[list[SplitFolder], list[str]]:
    """Return the splits that a place stands for, and notices.

    It is the folder of all splits, or that of one. With the folder `train` come valid and test
    beside it, so that they need not be held out of it.
    """
    found = _split_folders(place)
    own = _is_split(place)
    if not own or SPLIT_WORDS.get(place.name.casefold()) != "train":
        return ([SplitFolder(place, None)] if own else found), []
    beside = [one for one in _split_folders(place.parent) if one.split != "train"]
    role = {"valid": "validation", "test": "test"}
    notices = [f"{one.path}, beside {place}, is the {role[str(one.split)]} set" for one in beside]
    return [SplitFolder(place, "train" if beside else None), *beside], notices


def read_lmdb(place: Path, on_progress: OnProgress | None = None) -> LmdbSource:
    """Read the patients of every split at a place, in the order of the LMDBs.

    on_progress: patients read and to read, of an LMDB of another program that is read for the first
    time. Raises DataError that names the key for what cannot be used.
    """
    folders, notices = split_folders(place)
    records: list[EyeRecord] = []
    abouts = []
    for folder in folders:
        found, about = read_split(folder, on_progress)
        records += found
        abouts += [] if about is None else [about]
    if len(abouts) not in (0, len(folders)):
        raise DataError(
            f"{place} holds LMDBs of Tunewright beside pickled ones", expected="one kind of them"
        )
    known = {json.dumps([a["classes"], a["single"], a["class_names"]]): a for a in abouts}
    if len(known) > 1:
        raise DataError(
            f"the LMDBs in {place} have different classes: {some(known)}",
            expected="splits that were built together",
            remedy=BUILD_AGAIN,
        )
    for about in known.values():
        classes = tuple(about["classes"]) or None
        naming = ClassNaming(classes, bool(about["single"]))
        return LmdbSource(records, naming, dict(about["class_names"]), notices)
    return LmdbSource(records, ClassNaming(), {}, notices)


def read_split(
    folder: SplitFolder, on_progress: OnProgress | None = None
) -> tuple[list[EyeRecord], dict[str, Any] | None]:
    """Return the patients of a split, and what it says about itself as `read_about` does."""
    about = read_about(folder)
    if about is None:
        return _pickled_records(folder, on_progress), None
    return _own_records(folder, about), about


def read_about(folder: SplitFolder) -> dict[str, Any] | None:
    """Return what an LMDB of ours says about itself, None for one of another program."""
    for file in (folder.images, folder.pairs):
        if not file.is_file():
            raise DataError(f"{file} does not exist", expected=f"{IMAGES} and {PAIRS} beside it")
    found = open_database(folder.pairs).get(ABOUT)
    if found is None:
        return None
    about = _parse(found, ABOUT, folder.pairs)
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        raise DataError(
            f"{folder.pairs} is of the format {quote(about.get('format'))}, version "
            f"{about.get('version')}",
            expected=f"{FORMAT}, version {VERSION}",
            remedy=BUILD_AGAIN,
        )
    return about


def own_entries(folder: SplitFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield key and content of each patient of an LMDB of ours, in their order."""
    pairs = open_database(folder.pairs)
    count = _number(pairs, "num_samples")
    seen = 0
    for key, value in pairs.items():
        if key.isdecimal():
            seen += 1
            yield key, _parse(value, key, folder.pairs)
    if seen != count:
        raise DataError(f"{folder.pairs} has {seen:,} of {count:,} patients", remedy=BUILD_AGAIN)


def _own_records(folder: SplitFolder, about: dict[str, Any]) -> list[EyeRecord]:
    there = set(open_database(folder.images).keys())
    records, lost = [], []
    for key, entry in own_entries(folder):
        where = f"key {key!r} of {folder.pairs}"
        eyes: list[PicturePlace | None] = []
        try:
            for side in SIDES:
                name = None if entry[side] is None else str(entry[side]["key"])
                if name is not None and name not in there:
                    lost.append(f"{name!r}, the {side} eye of {entry['patient_id']}")
                eyes.append(None if name is None else PicturePlace(folder.images, name))
            patient_text, left_text, right_text = map(str, entry["texts"])
            labels = None if entry["labels"] is None else tuple(map(str, entry["labels"]))
            records.append(
                EyeRecord(
                    str(entry["patient_id"]),
                    left=eyes[0],
                    right=eyes[1],
                    texts=(patient_text, left_text, right_text),
                    labels=labels,
                    split=folder.split,
                    where=where,
                )
            )
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"{where} holds {shorten(json.dumps(entry))}",
                expected="a patient as build-lmdb writes it",
                remedy=BUILD_AGAIN,
            ) from None
    unknown = {name for one in records for name in one.labels or ()} - set(about["classes"])
    if unknown:
        raise DataError(
            f"{folder.pairs} has patients of {some(sorted(unknown))}",
            expected=f"classes of its own list: {some(about['classes'])}",
            remedy=BUILD_AGAIN,
        )
    if lost:
        raise DataError(
            f"{folder.images} lacks {len(lost):,} keys ({some(lost)})", remedy=BUILD_AGAIN
        )
    return records


def _pickled_records(folder: SplitFolder, on_progress: OnProgress | None) -> list[EyeRecord]:
    """Return the patients of an LMDB of pickled tuples; what it holds is kept in the cache."""
    stamps = [str(stamp) for file in (folder.images, folder.pairs) for stamp in (file_stamp(file),)]
    name = joined_digest([str(folder.path.resolve()), *stamps])
    kept = cache_folder() / "retina" / f"lmdb-{name}.json"
    stored = read_json(kept)
    if stored is None:
        stored = {"pairs": list(_pickled_pairs(folder, on_progress))}
        write_json(kept, stored)
    labels = read_labels(folder.path.parent / LABELS) or read_labels(folder.path / LABELS)
    records = []
    for number, (patient, text, has_left, has_right) in enumerate(stored["pairs"]):
        label = labels.get(patient)
        left, right = (
            PicturePlace(folder.images, f"{patient}/{side}") if present else None
            for side, present in zip(SIDES, (has_left, has_right), strict=True)
        )
        records.append(
            EyeRecord(
                patient,
                left,
                right,
                texts=(text, "", ""),
                labels=None if label is None else (label,),
                split=folder.split,
                where=f"key '{number}' of {folder.pairs}",
            )
        )
    return records


def _pickled_pairs(
    folder: SplitFolder, on_progress: OnProgress | None
) -> Iterator[tuple[str, str, bool, bool]]:
    """Yield patient, text, and whether there is a picture of the left and of the right eye."""
    pairs = open_database(folder.pairs)
    count = _number(pairs, "num_samples")
    eyes: dict[str, tuple[bool, bool]] = {}
    for number in range(count):
        key = str(number)
        values = read_tuple(pairs.require(key), f"key {key!r} in {folder.pairs}")
        if len(values) != 3 or not isinstance(values[2], str):
            raise DataError(
                f"the value of key {key!r} in {folder.pairs} is {quote(values)}",
                expected="a tuple of patient, text id and text",
                remedy=BUILD_AGAIN,
            )
        patient = values[0].decode() if isinstance(values[0], bytes) else str(values[0])
        if patient not in eyes:
            left, right = pickled_pair(folder.images, patient)
            eyes[patient] = left is not None, right is not None
        yield patient, values[2], *eyes[patient]
        if on_progress is not None:
            on_progress(number + 1, count)


def _number(database: Database, key: str) -> int:
    found = database.require(key)
    try:
        return int(found)
    except ValueError:
        raise DataError(
            f"the key {key!r} of {database.file} holds {quote(found[:40])}",
            expected="a number",
            remedy=BUILD_AGAIN,
        ) from None


def _parse(value: bytes, key: str, file: Path) -> dict[str, Any]:
    try:
        found = parse_json(value.decode())
    except ValueError as error:
        raise DataError(
            f"the key {key!r} of {file} is not JSON ({error})", remedy=BUILD_AGAIN
        ) from None
    if not isinstance(found, dict):
        raise DataError(
            f"the key {key!r} of {file} holds {quote(found)}", expected="a JSON object",
            remedy=BUILD_AGAIN,
        )  # fmt: skip
    return found


def _is_split(folder: Path) -> bool:
    return (folder / IMAGES / FILE).is_file() or (folder / PAIRS / FILE).is_file()


def _split_folders(place: Path) -> list[SplitFolder]:
    if _is_split(place):
        return [SplitFolder(place, None)]
    return [
        SplitFolder(place / name, SPLIT_WORDS[name]) for name in SPLITS if _is_split(place / name)
    ]
