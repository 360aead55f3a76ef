"""List the files of a folder or a zip, in the same way for both."""

import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from tunewright.errors import DataError
from tunewright.images.image_table import PicturePlace
from tunewright.runs.regular_files import open_regular, read_regular
from tunewright.runs.stamp import Stamp, file_stamp

PICTURES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".avif"}
PICTURES |= {".heic", ".heif", ".jp2", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"}
"""Suffixes of picture files."""
CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini", "__pycache__", "@eadir"})
CLUTTER |= {"$recycle.bin", "lost+found", "system volume information"}
"""What file managers and file systems leave behind, in lower case."""
TEXTS = (".txt", ".md", ".rst", ".pdf", ".html", "")
"""Suffixes of what lies beside the one folder of a zip, such as README.md and LICENSE."""
BACKSLASHES = "its names have backslashes, which separate folders only on Windows"
UNPACK = "Unpack it (7z x, or unzip), and set data.dir to the folder."
"""What is wrong with a zip whose names have backslashes, and the remedy."""
MAX_FILE_BYTES = 1 << 30
"""Size of a picture or table that is unpacked from a zip."""
MAX_DIGITS = 300
"""Digits of a number by which names are sorted."""


@dataclass(frozen=True)
class FileListing:
    """A folder or zip, listed once.

    names: of all files, relative, with forward slashes, in natural order, without hidden files and
    what file managers leave behind. folders: likewise. prefix: what precedes the names at the
    place. circles: links to a folder that contains them, which are not followed.
    """

    place: Path
    archive: bool
    names: tuple[str, ...]
    folders: tuple[str, ...]
    prefix: str = ""
    circles: tuple[str, ...] = ()

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names with the suffix of a picture."""
        return tuple(name for name in self.names if is_picture(name))

    @property
    def has_backslashes(self) -> bool:
        """Whether it is a zip whose folders end in backslashes, as some programs write them."""
        return self.archive and any("\\" in name for name in self.names)

    def at(self, name: str) -> PicturePlace:
        """Return where the file of that name is."""
        name = self.prefix + name
        return PicturePlace(self.place, name) if self.archive else PicturePlace(self.place / name)

    def below(self, folder: str) -> "FileListing":
        """Return the listing of one of the folders, with names relative to it."""
        inside = f"{folder}/"
        return replace(
            self,
            names=tuple(n.removeprefix(inside) for n in self.names if n.startswith(inside)),
            folders=tuple(n.removeprefix(inside) for n in self.folders if n.startswith(inside)),
            prefix=self.prefix + inside,
        )

    def strip_single_root(self) -> "FileListing":
        """Return the listing below the one folder that holds everything, as in many zips.

        Texts beside that folder, such as a README, do not count.
        """
        tops = {name.partition("/")[0] for name in self.names if "/" in name}
        beside = [name for name in self.names if "/" not in name]
        if len(tops) != 1 or any(suffix_of(name) not in TEXTS for name in beside):
            return self
        return self.below(tops.pop())

    def content(self, name: str) -> bytes:
        """Return the bytes of a small file; raises DataError if it cannot be read."""
        try:
            if not self.archive:
                return read_regular(self.place / (self.prefix + name))
            with open_zip(self.place) as archive:
                return unpack(archive, self.prefix + name)
        except (KeyError, OSError, *UNPACKABLE) as error:
            raise DataError(
                f"{self.at(name)} cannot be read ({why(error)})", remedy="Copy it again."
            ) from None


def list_files(place: Path) -> FileListing:
    """List a folder, with everything below it, or a zip; raises DataError for anything else."""
    try:
        found = place.stat()
    except OSError as error:
        raise DataError(
            f"{place} cannot be opened ({error.strerror})", expected="a folder or zip of pictures"
        ) from None
    if stat.S_ISDIR(found.st_mode):
        return _walk(place)
    return _zip(place, file_stamp(place))


def is_picture(name: str) -> bool:
    """Return whether a file has the suffix of a picture."""
    return suffix_of(name) in PICTURES


def suffix_of(name: str) -> str:
    """Return `.jpg` for `a/b.JPG`; far faster than a Path for each of a million names."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > name.rfind("/") else ""


def natural(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts 9.jpg before 10.jpg."""
    parts = re.split(r"(\d+)", name.casefold())
    return [whole_number(part) if at % 2 else part for at, part in enumerate(parts)], name


def whole_number(digits: str) -> int:
    """Return a sort key for a whole number; all that are too long for one sort alike."""
    return int(digits) if len(digits) <= MAX_DIGITS else 10**MAX_DIGITS


def open_zip(place: Path) -> zipfile.ZipFile:
    """Open a zip that is a regular file; raises OSError, KeyError or one of UNPACKABLE."""
    open_regular(place).close()
    return zipfile.ZipFile(place)


def unpack(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of a file in a zip; raises KeyError, OSError or one of UNPACKABLE."""
    size = archive.getinfo(name).file_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"it would take {size:,} bytes, more than {MAX_FILE_BYTES:,}")
    return archive.read(name)


def why(error: Exception) -> str:
    """Return the reason why a file could not be read, in words."""
    if isinstance(error, KeyError):
        return "there is no such file in the zip"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _walk(top: Path) -> FileListing:
    """List everything below a folder; what links give several names is listed by each of them."""
    names: list[str] = []
    folders: list[str] = []
    circles: list[str] = []
    waiting = [("", tuple(_key(folder) for folder in top.resolve().parents))]
    while waiting:
        inside, above = waiting.pop()
        here = top / inside
        try:
            key = _key(here)
            if key in above:
                circles.append(inside)
                continue
            if inside:
                folders.append(inside)
            with os.scandir(here) as entries:
                kept = [entry for entry in entries if not is_clutter(entry.name)]
        except OSError as error:
            raise DataError(
                f"{here} cannot be listed ({error.strerror})",
                expected="a folder that this user may read",
                remedy="Give yourself access to it, or move it elsewhere.",
            ) from None
        for entry in kept:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if _is_folder(entry):
                waiting.append((name, (*above, key)))
            else:
                names.append(name)
    every, below, back = (tuple(sorted(each, key=natural)) for each in (names, folders, circles))
    return FileListing(top, False, every, below, circles=back)


def _key(folder: Path) -> tuple[int, int]:
    """Identify a folder, whichever of its names is used."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: no folder, and reading it as a file says so
        return False


@lru_cache(maxsize=8)  # reading a zip's directory is the slowest part of opening it
def _zip(place: Path, _stamp: Stamp | None) -> FileListing:
    try:
        with open_zip(place) as archive:
            listed = archive.namelist()
    except (OSError, *UNPACKABLE) as error:
        raise DataError(
            f"{place} is not a zip file, or is incomplete ({why(error)})",
            expected="a folder or zip of pictures",
            remedy="Copy or download it again.",
        ) from None
    kept = [
        name for name in listed if not any(is_clutter(part) for part in name.split("/") if part)
    ]
    names = [name for name in kept if not name.endswith("/")]
    folders = {name.rstrip("/") for name in kept if name.endswith("/")}
    for name in names:
        parts = name.split("/")[:-1]
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return FileListing(
        place,
        True,
        tuple(sorted(names, key=natural)),
        tuple(sorted(folders, key=natural)),
    )


def is_clutter(name: str) -> bool:
    """Return whether a file or folder is hidden, or left behind by a file manager or system."""
    return name.startswith(".") or name.casefold() in CLUTTER


UNPACKABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    OverflowError,
    IndexError,
)
"""Errors of unpacking, besides OSError, which unreadable files raise too."""
