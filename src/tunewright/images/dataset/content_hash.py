"""Hashes of picture files, by which equal pictures are found; kept between runs."""

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable, MutableMapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from tunewright.errors import DataError, NotWritten
from tunewright.images.databases.lmdb_reader import is_database
from tunewright.images.image_table import ImageTable, PicturePlace
from tunewright.images.sources.archive import UNPACKABLE, open_zip
from tunewright.images.sources.reader import PictureReader
from tunewright.images.thread_map import thread_map
from tunewright.runs.atomic import read_json, write_text
from tunewright.runs.cache import cache_folder
from tunewright.runs.callbacks import OnProgress
from tunewright.runs.stamp import file_stamp

VERSION = 2
SETTLED_SECONDS = 2.0
"""A file that changed this recently may change again within one tick of its stamp: not kept."""
UNREADABLE = "unreadable "

Key = tuple[str, str | None]
Mark = list[int]


def content_keys(table: ImageTable, on_progress: OnProgress | None = None) -> tuple[str, ...]:
    """Return a text for each row that is equal for equal bytes, read with equal box and window."""
    found = digests(table, on_progress)
    return tuple(
        " ".join([digest, *(str(part) for part in (place.box, place.window) if part is not None)])
        for digest, place in zip(found, table.places, strict=True)
    )


def digests(table: ImageTable, on_progress: OnProgress | None = None) -> tuple[str, ...]:
    """Hash each row's file with BLAKE2b (16 bytes, hexadecimal), on all cores.

    Results are kept by path and stamp (`runs.stamp`); members of a zip by CRC and size, and by the
    zip's own stamp, so that an unchanged zip is not even opened; pictures of an LMDB by its stamp.
    A file that cannot be read has a text that says so instead of a digest. on_progress: files
    hashed, files to hash. The files of one table are looked at once, and not again for parts of it.
    """
    if table.whole is not None and table.whole_rows is not None:
        every = digests(table.whole, on_progress)
        return tuple(every[row] for row in table.whole_rows.tolist())
    if (known := _KNOWN.get(table)) is None:
        known = _KNOWN[table] = _look_up(table, on_progress)
    return known


_KNOWN: MutableMapping[ImageTable, tuple[str, ...]] = WeakKeyDictionary()
"""By table, for as long as it lives; a later table of the same files looks at them again."""


def _look_up(table: ImageTable, on_progress: OnProgress | None) -> tuple[str, ...]:
    kept = CachedDigests(table.origin)
    keys: list[Key] = [(str(place.file), place.member) for place in table.places]
    found = kept.find(dict.fromkeys(keys))
    missing = {
        key: place for key, place in zip(keys, table.places, strict=True) if key not in found
    }
    if missing:
        fresh = _hash_files(list(missing.values()), on_progress)
        found |= dict(zip(missing, fresh, strict=True))
        kept.add({key: found[key] for key in missing})
    return tuple(found[key] for key in keys)


def joined_digest(parts: Iterable[str]) -> str:
    """Return one hash of many texts, in their order: 16 bytes, hexadecimal."""
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


class CachedDigests:
    """The digests of one source from earlier runs, for files that have not changed."""

    def __init__(self, origin: Path) -> None:
        name = joined_digest([str(origin.resolve())])
        self.file = cache_folder() / "images" / "digests" / f"{name}.json"
        stored: dict[str, Any] = {}
        with contextlib.suppress(OSError):
            stored = read_json(self.file) or {}
        if stored.get("version") != VERSION:
            stored = {"version": VERSION, "files": {}, "archives": {}}
        self._stored = stored
        self._marks: dict[Key, Mark] = {}
        self._stamps: dict[str, Mark] = {}

    def find(self, keys: Iterable[Key]) -> dict[Key, str]:
        """Return the digests that are still valid."""
        found: dict[Key, str] = {}
        members = defaultdict(list)
        files = self._stored["files"]
        for file, member in keys:
            if member is not None:
                members[file].append(member)
                continue
            mark = self._marks[file, None] = _stamp(file)
            entry = files.get(file)
            if entry is not None and entry[:-1] == mark:
                found[file, None] = entry[-1]
        for file, names in members.items():
            self._known_members(file, names, found)
        return found

    def add(self, fresh: dict[Key, str]) -> None:
        """Keep new digests, except of files that changed a moment ago or cannot be read."""
        latest = _settled_before()
        for (file, member), digest in fresh.items():
            mark = self._marks.get((file, member), [])
            if digest.startswith(UNREADABLE) or not mark:
                continue
            if member is not None:
                self._archive(file)["members"][member] = [*mark, digest]
            elif _last_change(mark) < latest:
                self._stored["files"][file] = [*mark, digest]
        for file, stamp in self._stamps.items():
            self._archive(file)["stamp"] = stamp if stamp and _last_change(stamp) < latest else []
        with contextlib.suppress(NotWritten):  # a cache: nothing depends on it
            write_text(self.file, json.dumps(self._stored))

    def _archive(self, file: str) -> dict[str, Any]:
        entry: dict[str, Any] = self._stored["archives"].setdefault(
            file, {"stamp": [], "members": {}}
        )
        return entry

    def _known_members(self, file: str, names: Sequence[str], found: dict[Key, str]) -> None:
        entry = self._archive(file)
        stamp = self._stamps[file] = _stamp(file)
        stored = entry["members"]
        if stamp and entry["stamp"] == stamp and all(name in stored for name in names):
            found.update(((file, name), stored[name][-1]) for name in names)
            return
        # An LMDB has no checksums: while its file is the same, so are its pictures.
        database = (
            is_database(Path(file)) and bool(stamp) and _last_change(stamp) < _settled_before()
        )
        marks = dict.fromkeys(names, stamp) if database else _directory(file)
        for name, mark in marks.items():
            self._marks[file, name] = mark
        for name in names:
            mark = self._marks.get((file, name), [])
            if mark and name in stored and stored[name][:-1] == mark:
                found[file, name] = stored[name][-1]


def _stamp(file: str) -> Mark:
    """Return a file's stamp as JSON holds it; empty if there is no such file."""
    return list(file_stamp(file) or ())


def _last_change(stamp: Mark) -> int:
    """Return when content or file were last changed, in nanoseconds."""
    return max(stamp[1:3])


def _settled_before() -> float:
    """Return the time in nanoseconds before which a change can no longer hide another one."""
    return (time.time() - SETTLED_SECONDS) * 1e9


def _directory(file: str) -> dict[str, Mark]:
    """Return CRC and size of every member of a zip."""
    try:
        with open_zip(Path(file)) as archive:
            return {info.filename: [info.CRC, info.file_size] for info in archive.infolist()}
    except (OSError, *UNPACKABLE):
        return {}


def _hash_files(places: Sequence[PicturePlace], on_progress: OnProgress | None) -> list[str]:
    done: list[str] = []
    reader = PictureReader()

    def digest(place: PicturePlace) -> str:
        try:
            return blake2b(reader.content(place), digest_size=16).hexdigest()
        except DataError:
            return f"{UNREADABLE}{place}"

    def take(_: int, hashed: str) -> None:
        done.append(hashed)
        if on_progress is not None:
            on_progress(len(done), len(places))

    with contextlib.closing(reader):
        thread_map(digest, places, take)
    return done
