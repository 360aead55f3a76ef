"""Match the picture names of a table to files."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tunewright.errors import DataError, did_you_mean, nearest_name
from tunewright.images.image_table import ImageTable, PicturePlace
from tunewright.images.sources.archive import (
    BACKSLASHES,
    UNPACK,
    FileListing,
    is_picture,
    list_files,
    suffix_of,
)
from tunewright.images.sources.build_table import SPLIT_WORDS, some
from tunewright.images.sources.unicode_forms import by_form, to_nfc

_DIGITS = re.compile(r"\d")


def places_of(
    names: Sequence[str], table: Path, listings: Iterable[FileListing]
) -> list[PicturePlace]:
    """Find the picture of each name, in the first listing that has all of them.

    names: paths in the listing, or whole ones, with or without the suffix of the file. table: for
    messages. Raises DataError that names what is missing in the best listing, and for a name
    without a suffix that fits two files.
    """
    best: tuple[int, FileListing, list[PicturePlace | None]] | None = None
    plain = [_plain(name) for name in names]
    for listing in listings:
        if not listing.pictures:
            continue
        inside = f"{(listing.place / listing.prefix).as_posix()}/"
        found = _on(listing, [name.removeprefix(inside) for name in plain], table)
        hits = sum(place is not None for place in found)
        if hits == len(names):
            return [place for place in found if place is not None]
        if best is None or hits > best[0]:
            best = hits, listing, found
    if best is None:
        raise DataError(
            f"there are no pictures beside {table}",
            expected="a folder or a zip of pictures",
        )
    hits, listing, found = best
    missing = [name for name, place in zip(names, found, strict=True) if place is None]
    where = listing.place / listing.prefix
    raise DataError(
        f"{len(missing):,} of {len(names):,} pictures of {table} are not in {where} "
        f"({some(missing)})" + (f"; {BACKSLASHES}" if listing.has_backslashes else ""),
        expected="every picture of the table, in the folder or in a zip beside it",
        remedy=(UNPACK if listing.has_backslashes else "")
        or _relative(missing[0], where)
        or suggest_picture(missing[0], listing.pictures[:10_000])
        or "Copy the missing files, or take their rows out of the table.",
    )


def suggest_picture(name: str, names: Iterable[str]) -> str:
    """Return `Did you mean 'x'?` for a picture that is not there, or an empty string.

    A name with other digits is another picture (img_7 for img_8), which would get a label, a text
    or a patient that is not its own. An equal suffix does not make two names alike.
    """
    digits, stem, suffix = _DIGITS.findall(name), _stem(name), suffix_of(name)

    def alike(other: str) -> bool:
        if _DIGITS.findall(other) != digits:
            return False
        return suffix_of(other) != suffix or bool(nearest_name(stem, [_stem(other)]))

    return did_you_mean(name, filter(alike, names))


def has_bare_ids(table: ImageTable) -> bool:
    """Return whether every id lacks the suffix of its file, as in `img_1` for `img_1.jpg`."""
    return all(
        not is_picture(name) and is_picture(place.member or place.file.name)
        for name, place in zip(table.ids, table.places, strict=True)
    )


def with_bare_ids(table: ImageTable) -> ImageTable:
    """Return the table with ids without suffix; as it is, with a notice, if two would be equal."""
    ids = tuple(_stem(name) for name in table.ids)
    if len(set(ids)) == len(ids):
        return replace(table, ids=ids)
    twice, _ = Counter(ids).most_common(1)[0]
    notice = (
        "the training table writes ids without a suffix; here two files would have the id "
        f"{twice!r}, so that ids keep it"
    )
    return replace(table, notices=(*table.notices, notice))


def _relative(name: str, where: Path) -> str:
    """Return how to write the full path of a file that is there, or an empty string."""
    if not Path(name).is_absolute() or not Path(name).is_file():
        return ""
    if not Path(name).is_relative_to(where):
        return f"Copy the pictures into {where}, and write their names as they are there."
    return f"Write it as a path in {where}: {str(Path(name).relative_to(where))!r}."


def listings_beside(table: Path, preferred: Sequence[str]) -> Iterator[FileListing]:
    """Yield where pictures of a table may be, most likely first: a folder, its own folder, a zip.

    The only other folder of pictures comes last; folders of splits do not, since another split may
    have pictures of the same names. preferred: names of folders and, with `.zip`, of archives
    beside the table.
    """
    folder = table.parent
    for name in preferred:
        if (folder / name).is_dir():
            yield list_files(folder / name)
    own = list_files(folder)
    yield own
    zips = [name for name in own.names if "/" not in name and suffix_of(name) == ".zip"]
    likely = [f"{name}.zip" for name in (*preferred, folder.resolve().name)]
    zips.sort(key=lambda name: likely.index(name) if name in likely else len(likely))
    for name in zips:
        listing = list_files(folder / name)
        yield listing
        if listing.strip_single_root() is not listing:
            yield listing.strip_single_root()
    tops = {name.partition("/")[0] for name in own.pictures if "/" in name} - {*preferred}
    others = [top for top in tops if top.casefold() not in SPLIT_WORDS]
    if len(others) == 1:
        yield own.below(others[0])


def _on(listing: FileListing, names: Sequence[str], table: Path) -> list[PicturePlace | None]:
    there = set(listing.names)
    if there.issuperset(names):
        return [listing.at(name) for name in names]
    forms = by_form(listing.names)
    by_stem: dict[str, list[str]] = {}
    for name in listing.pictures:
        by_stem.setdefault(to_nfc(_stem(name)), []).append(name)
    found: list[PicturePlace | None] = []
    for name in names:
        if name in there:
            found.append(listing.at(name))
            continue
        form = to_nfc(name)
        others = forms.get(form) or by_stem.get(form) or []
        if not others and is_picture(name):
            others = by_stem.get(_stem(form), [])
        if len(others) > 1:
            raise DataError(
                f"{name!r} of {table} may be {' or '.join(others)}",
                expected="one file of that name",
                where=str(listing.place / listing.prefix),
                remedy="Write the suffix in the table, or remove the other file.",
            )
        found.append(listing.at(others[0]) if others else None)
    return found


def _plain(name: str) -> str:
    name = name.strip().replace("\\", "/").removeprefix("./")
    return re.sub(r"/+", "/", name) if "//" in name else name


def _stem(name: str) -> str:
    return name[: len(name) - len(suffix_of(name))]
