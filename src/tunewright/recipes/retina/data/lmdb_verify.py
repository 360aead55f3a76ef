"""Check LMDBs of patients: every key is there, and every picture is whole and can be decoded."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from multiprocessing.connection import Connection
from pathlib import Path

from tunewright.errors import DataError
from tunewright.images.databases.pickled_tuples import BUILD_AGAIN
from tunewright.images.databases.stored_pictures import SIDES
from tunewright.images.dataset.unreadable import reason
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.decode import rgb
from tunewright.images.sources.reader import PictureReader
from tunewright.images.thread_map import thread_map
from tunewright.recipes.retina.data.lmdb_layout import (
    SplitFolder,
    own_entries,
    read_split,
    split_folders,
)
from tunewright.runs.callbacks import OnProgress


@dataclass(frozen=True)
class VerifiedSplit:
    """What a split holds. pickled: whether it was written by another program, as pickled tuples."""

    patients: int
    pictures: int
    reports: int
    pickled: bool


@dataclass(frozen=True)
class VerifyReport:
    """What was found, by the folder of the split; problems name split and key."""

    splits: Mapping[str, VerifiedSplit]
    problems: tuple[str, ...]


def verify_lmdb(
    place: Path, progress: Callable[[str], OnProgress | None] = lambda _: None
) -> VerifyReport:
    """Read and decode everything in the LMDBs of a place.

    progress: from the name of what is being done to its callback. Raises DataError where there is
    no LMDB; what is wrong inside one is in the report.
    """
    place = place.expanduser().absolute()
    folders, _ = split_folders(place)
    if not folders:
        raise DataError(
            f"{place} holds no LMDB",
            expected="a folder with train/imgs and train/pairs, or with imgs and pairs",
            remedy="Build one: tunewright retina build-lmdb PLACE --output FOLDER.",
        )
    splits: dict[str, VerifiedSplit] = {}
    problems: list[str] = []
    for folder in folders:
        name = folder.path.name
        try:
            splits[name], found = _verify_split(folder, progress(name))
            problems += [f"{name}: {problem}" for problem in found]
        except DataError as error:
            problems.append(f"{name}: {reason(error)}")
    return VerifyReport(splits, tuple(problems))


def verify_apart(
    place: Path, progress: Callable[[str], OnProgress | None] = lambda _: None
) -> VerifyReport:
    """Do what `verify_lmdb` does in a process of its own.

    A damaged page of a memory map may end the process that reads it; that is then a problem like
    others. Raises DataError as `verify_lmdb` does.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_send_report, args=(place, sending), daemon=True)
    child.start()
    sending.close()
    shown: dict[str, OnProgress | None] = {}
    try:
        while True:
            message = receiving.recv()
            if isinstance(message, VerifyReport):
                return message
            if isinstance(message, Exception):
                raise message
            name, done, total = message
            if name not in shown:
                shown[name] = progress(name)
            if (on_progress := shown[name]) is not None:
                on_progress(done, total)
    except EOFError:
        child.join()
        where = f"{list(shown)[-1]}: " if shown else ""
        return VerifyReport({}, (f"{where}{_describe_death(child.exitcode or 0)}",))
    finally:
        receiving.close()
        child.join()


def _describe_death(code: int) -> str:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return (
        f"the process that read it ended with {how}: its pages are damaged. Copy it again. "
        f"{BUILD_AGAIN}"
    )


def _send_report(place: Path, sending: Connection) -> None:
    try:
        report = verify_lmdb(
            place, lambda name: lambda done, total: sending.send((name, done, total))
        )
        sending.send(report)
    except DataError as error:
        sending.send(DataError(str(error)))
    finally:
        sending.close()


def _verify_split(
    folder: SplitFolder, on_progress: OnProgress | None
) -> tuple[VerifiedSplit, list[str]]:
    records, about = read_split(folder)
    owners = {
        place: f"{side} eye of {record.patient}, key {place.member!r}"
        for record in records
        for side, place in zip(SIDES, (record.left, record.right), strict=True)
        if place is not None
    }
    hashes = _stored_hashes(folder) if about is not None else {}
    reader, problems = PictureReader(), []

    def check(place: PicturePlace) -> str:
        try:
            content = reader.content(place)
            stored = hashes.get(str(place.member))
            if stored is not None and blake2b(content, digest_size=16).hexdigest() != stored:
                return "its bytes are not those that were written"
            rgb(content, place)
        except DataError as error:
            return reason(error)
        return ""

    places = list(owners)

    def take(row: int, problem: str) -> None:
        if problem:
            problems.append(f"{owners[places[row]]}: {problem}")
        if on_progress is not None:
            on_progress(row + 1, len(places))

    with contextlib.closing(reader):
        thread_map(check, places, take)
    patients = len({record.patient for record in records})
    reports = sum(any(text.strip() for text in record.texts) for record in records)
    return VerifiedSplit(patients, len(places), reports, about is None), problems


def _stored_hashes(folder: SplitFolder) -> dict[str, str]:
    """Return the hash of each picture as it was written, by its key."""
    eyes = [entry[side] for _, entry in own_entries(folder) for side in SIDES]
    return {str(eye["key"]): str(eye["blake2b"]) for eye in eyes if eye is not None}
