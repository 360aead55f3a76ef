"""Write and check a submission ZIP; equal contents give equal bytes. Imports without torch."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tunewright.classification.delivery.predictions_csv import check_predictions, read_predictions
from tunewright.errors import DataError
from tunewright.images.sources.archive import UNPACKABLE
from tunewright.runs.atomic import NAMED, write_with

REQUIRED = (
    "README.md",
    "code/inference.py",
    "code/requirements.txt",
    "code/train.py",
    "requirements.txt",
    "result/predictions.csv",
)
"""Every submission has these, and at least one file of weights under `model/`."""
PREDICTIONS = "result/predictions.csv"
DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a ZIP can hold; a fixed one, so that equal contents give equal bytes."""
STORED = (".safetensors", ".onnx", ".pt2")
"""Weights are not compressed: that takes minutes and saves a few per cent."""
Content = bytes | Path


@dataclass(frozen=True)
class PackedFile:
    """A file of the ZIP and its bytes before compression."""

    name: str
    bytes: int


def write_zip(file: Path, contents: Mapping[str, Content]) -> list[PackedFile]:
    """Write `contents` (bytes, or a file on the disk, by name), sorted by name, with fixed dates.

    Raises DataError if something that a submission needs is missing.
    """
    check_names(file, contents)

    def write(place: Path) -> None:
        with zipfile.ZipFile(place, "w", allowZip64=True) as archive:
            for name in sorted(contents):
                _add(archive, name, contents[name])

    write_with(file, write, remedy=NAMED)
    return verify_zip(file)


def _add(archive: zipfile.ZipFile, name: str, content: Content) -> None:
    entry = zipfile.ZipInfo(name, DATE)
    entry.create_system = 3  # Unix, on every system
    entry.external_attr = 0o100644 << 16
    stored = name.endswith(STORED)
    entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    if isinstance(content, bytes):
        archive.writestr(entry, content, compresslevel=None if stored else 9)
        return
    entry.file_size = content.stat().st_size
    with content.open("rb") as source, archive.open(entry, "w") as target:
        while chunk := source.read(2**20):
            target.write(chunk)


def check_names(file: Path, names: Mapping[str, object] | list[str]) -> None:
    """Raise DataError for missing files of a submission, and for names outside its folder."""
    missing = [name for name in REQUIRED if name not in names]
    if not any(name.startswith("model/") and name.endswith(STORED) for name in names):
        missing.append("model/best_model.safetensors")
    if missing:
        raise DataError(
            f"{file} lacks {', '.join(missing)}",
            expected="all files of a submission",
            remedy="Pack it again: tunewright submit RUN",
        )
    outside = [name for name in names if name.startswith("/") or ".." in name.split("/")]
    if outside:
        raise DataError(f"{file} contains {outside[0]!r}", expected="names inside the archive")


def verify_zip(file: Path) -> list[PackedFile]:
    """Read a whole submission and check its checksums and required files; return what it holds.

    Raises DataError for a file that is damaged, incomplete, or not a ZIP.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
            entries = archive.infolist()
    except (OSError, *UNPACKABLE) as error:
        raise DataError(
            f"{file} is not a readable ZIP ({error})", remedy="Pack it again: tunewright submit RUN"
        ) from None
    if broken is not None:
        raise DataError(f"{file} is damaged: {broken} has a wrong checksum")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise DataError(f"{file} contains a name twice", expected="each name once")
    check_names(file, names)
    return [PackedFile(entry.filename, entry.file_size) for entry in entries]


def verify_predictions(file: Path, *, expected: list[str], classes: list[str]) -> int:
    """Check predictions against the test set and return their number; raises DataError."""
    ids, labels = read_predictions(file)
    check_predictions(file, ids, labels, expected=expected, classes=set(classes))
    return len(ids)
