"""Open any source of pictures: class folders, CSV, manifest, zip, index."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tunewright.errors import ConfigError, DataError
from tunewright.images.image_table import ImageTable
from tunewright.images.sources.archive import (
    BACKSLASHES,
    UNPACK,
    FileListing,
    is_picture,
    list_files,
    suffix_of,
)
from tunewright.images.sources.build_table import SPLIT_WORDS, Naming, TableRow, some, table_of
from tunewright.images.sources.columns import USUAL_COLUMNS, Columns
from tunewright.images.sources.csv_rows import read_csv
from tunewright.images.sources.csv_sources import (
    INDEX,
    TRAIN,
    read_competition,
    read_index,
    read_listed,
)
from tunewright.images.sources.jsonl_manifest import manifest_in, read_manifest
from tunewright.images.sources.split_folders import Layout, layout_of
from tunewright.images.sources.unicode_forms import form_notices
from tunewright.runs.regular_files import exists

RECOGNISED = (
    "class folders (train/CLASS/*.jpg with valid/ and test/, CLASS/train/*.jpg, or CLASS/*.jpg); "
    "index.csv (file, label, and maybe class and split) with pictures or a zip beside it, or in a "
    "zip; train.csv (image_id, label) or train_labels.csv (filename, category_id) with train/; "
    "manifest*.jsonl"
)
TABLES = (".csv", ".tsv")
BESIDE = (*TABLES, ".txt", ".md", ".json", ".jsonl", ".zip", ".xml", ".yaml", ".npy", ".html")
"""Suffixes that are clearly not pictures; other files that are left out get a notice."""


def open_table(
    place: Path,
    *,
    labelled: bool = True,
    group_by: str | None = "auto",
    columns: Columns = USUAL_COLUMNS,
    fewest_classes: int = 2,
) -> ImageTable:
    """Find out what is at `place` and list its pictures, without decoding them.

    labelled: false for pictures to predict: those that a CSV file or a manifest lists, in its
    order, or all in a folder or zip in natural order; in a competition's folder, those in test/.
    group_by: the column, or key of `meta`, that says which pictures belong together; `auto` or
    None. columns: where a table has other columns than the usual ones. fewest_classes: how many a
    training needs. Raises DataError that lists
    what is recognised and what was found, ConfigError for columns of what is no table.
    """
    place = place.expanduser().absolute()
    if not exists(place):
        raise DataError(f"{place} does not exist", expected=RECOGNISED, remedy="Check the path.")
    table = _open(place, labelled, group_by, columns)
    if labelled and len(table.classes) < fewest_classes:
        raise DataError(
            f"{place} has one class only ({table.classes[0]!r})",
            expected="at least two",
            remedy=_name_the_table(place, read=[INDEX, *TRAIN])
            or _other_place(place, table.classes[0]),
        )
    return table


def _other_place(place: Path, only: str) -> str:
    """Return where several classes are: one level below, where a folder shows them."""
    below = place / only
    if below.is_dir():
        with suppress(DataError):
            if len(_open(below, True, None, USUAL_COLUMNS).classes) > 1:
                return f"The classes lie one level below: use data.dir={below}."
    if suffix_of(place.name) == ".zip":
        return "Unpack it, and set data.dir to the folder that holds the class folders."
    return "Add pictures of a second class, or name another folder: data.dir=FOLDER."


def _open(place: Path, labelled: bool, group_by: str | None, columns: Columns) -> ImageTable:
    if not place.is_dir():
        return _open_file(place, labelled, group_by, columns)
    if (manifest := manifest_in(place)) is not None:
        _check_no_columns(manifest, columns)
        return _manifest(manifest, labelled, group_by, columns)
    if not labelled and (place / "test.csv").is_file():
        return read_listed(place / "test.csv", labelled=False, group_by=group_by, columns=columns)
    if (place / INDEX).is_file():
        return read_index(place, labelled=labelled, group_by=group_by, columns=columns)
    if any((place / name).is_file() for name in TRAIN):
        if not labelled and (place / "test").is_dir():
            return _all_pictures(list_files(place / "test"))
        return read_competition(place, labelled=labelled, group_by=group_by, columns=columns)
    listing = list_files(place)
    if not labelled:
        return _all_pictures(listing)
    only_zips = [name for name in listing.names if suffix_of(name) == ".zip"]
    if len(only_zips) == 1 and not listing.pictures:
        return _open_file(place / only_zips[0], labelled, group_by, columns)
    if (table := _table_with(listing, columns)) is not None:
        return read_listed(table, labelled=True, group_by=group_by, columns=columns)
    _check_no_columns(place, columns)
    _check_one_label(place, columns)
    return _class_folders(listing, group_by)


def _manifest(file: Path, labelled: bool, group_by: str | None, columns: Columns) -> ImageTable:
    return read_manifest(
        file, labelled=labelled, group_by=group_by, multi_label=columns.multi_label
    )


def _open_file(place: Path, labelled: bool, group_by: str | None, columns: Columns) -> ImageTable:
    kind = suffix_of(place.name)
    if kind == ".jsonl":
        _check_no_columns(place, columns)
        return _manifest(place, labelled, group_by, columns)
    if kind == ".csv" and place.name == INDEX:
        return read_index(place.parent, labelled=labelled, group_by=group_by, columns=columns)
    if kind in TABLES:
        return read_listed(place, labelled=labelled, group_by=group_by, columns=columns)
    if kind != ".zip":
        raise DataError(f"{place} is a {kind or 'nameless'} file", expected=RECOGNISED)
    listing = list_files(place)
    if INDEX in listing.names or INDEX in listing.strip_single_root().names:
        return read_index(place, labelled=labelled, group_by=group_by, columns=columns)
    if not labelled:
        return _all_pictures(listing)
    if (place.parent / INDEX).is_file():
        return read_index(place, labelled=labelled, group_by=group_by, columns=columns)
    inner = listing.strip_single_root()
    if inner.prefix.rstrip("/").casefold() in SPLIT_WORDS:  # train/ alone is a split, not a wrapper
        inner = listing
    _check_no_columns(place, columns)
    _check_one_label(place, columns)
    return _class_folders(inner, group_by)


def _table_with(listing: FileListing, columns: Columns) -> Path | None:
    """Return the only table of a folder that has all of the columns that are named, or None.

    Where a picture may have several labels, the only table is that one without any name.
    """
    if not columns.names and not columns.multi_label:
        return None
    named = [*columns.names.values(), *columns.classes]
    found = [
        file
        for file in map(listing.place.joinpath, _tables(listing))
        if len(read_csv(file).all_of(named)) == len(named)
    ]
    return found[0] if len(found) == 1 else None


def _tables(listing: FileListing) -> list[str]:
    """Return the tables at the top of a folder."""
    return [name for name in listing.names if "/" not in name and suffix_of(name) in TABLES]


def _name_the_table(place: Path, read: Sequence[str] = ()) -> str:
    """Return the remedy for a folder that has a table which is not read by itself.

    read: names of tables that are; beside one of them another table is not meant.
    """
    tables = _tables(list_files(place)) if place.is_dir() else []
    if {*tables} & {*read}:
        return ""
    return f"Name the table: data.dir={place / tables[0]}." if tables else ""


def _check_no_columns(place: Path, columns: Columns) -> None:
    """Refuse columns that are named for what has none."""
    if columns.names and columns.required:
        raise ConfigError(
            f"data.columns names {', '.join(columns.names)}, and {place} is no table",
            expected="data.columns for a .csv or .tsv file, or a folder with such a table",
            remedy=_name_the_table(place),
        )


def _check_one_label(place: Path, columns: Columns) -> None:
    """Refuse class folders for pictures of several labels: a folder gives each picture one."""
    if columns.multi_label:
        raise DataError(
            f"data.multi_label = true, and {place} has no table of labels",
            expected="index.csv, train.csv or another table, with several labels in a cell or a "
            "column of 0 and 1 for each class; or a manifest",
            remedy=_name_the_table(place) or "Leave out data.multi_label for class folders.",
        )


def _all_pictures(listing: FileListing) -> ImageTable:
    rows = [TableRow(name, listing.at(name)) for name in listing.pictures]
    if not rows:
        raise DataError(
            f"{listing.place} holds no pictures, but {_contents(listing)}",
            expected="files such as .jpg or .png, a CSV file with a column image_id, or a manifest",
        )
    table = table_of(listing.place, rows, labelled=False, notices=_left_out(listing))
    return replace(table, named_by_files=True)


def _class_folders(listing: FileListing, group_by: str | None) -> ImageTable:
    if group_by not in (None, "auto"):
        raise DataError(
            f"data.group_by = {group_by!r}",
            expected="null: class folders define no groups",
            where=str(listing.place),
            remedy="List the pictures in an index.csv with such a column.",
        )
    for name in listing.names:
        if name.casefold() in SPLIT_WORDS:
            raise DataError(
                f"{listing.at(name)} is not a folder, or is a broken link",
                expected="class folders in it, as in train",
                remedy="Repair the link, or remove it.",
            )
    layout = layout_of(listing)
    inside = layout.listing.prefix.removeprefix(listing.prefix)
    rows, bare = [], []
    for name in listing.pictures:
        folders = name.removeprefix(inside).split("/")[:-1]
        found = layout.read(folders) if name.startswith(inside) else None
        if found is None:
            bare.append(name)
        else:
            rows.append(TableRow(name, listing.at(name), *found))
    if not rows or (layout.splits and not any(row.split == "train" for row in rows)):
        raise _unrecognised_source(listing)
    notices = [*_left_out(listing), *layout.notices]
    if bare:
        notices.append(
            f"{len(bare):,} pictures lie outside the class folders and are left out ({some(bare)})"
        )
    split_of = {row.split for row in rows}
    idle = [name for name, split in layout.splits.items() if split not in split_of]
    if idle:
        notices.append(f"no pictures in class folders: {some(f'{name}/' for name in idle)}")
    notices += form_notices(row.label for row in rows if row.label)
    naming = Naming(known=tuple(_empty_folders(layout)))
    return table_of(listing.place, rows, labelled=True, naming=naming, notices=notices)


def _empty_folders(layout: Layout) -> set[str]:
    """Return the class folders without any file: classes that exist without pictures."""
    filled: set[str] = set()
    for folder in {name.rpartition("/")[0] for name in layout.listing.names}:
        parts = folder.split("/")
        filled |= {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    empty = (folder.split("/") for folder in layout.listing.folders if folder not in filled)
    found = ((layout.read(parts), layout.read(parts[:-1])) for parts in empty)
    return {here[0] for here, above in found if here is not None and above is None}


def _left_out(listing: FileListing) -> list[str]:
    """Return notices on files that may be meant as pictures, and on links not followed."""
    others = [name for name in listing.names if not is_picture(name)]
    strange = [name for name in others if suffix_of(name) not in BESIDE]
    notices = []
    if strange:
        notices.append(f"{len(strange):,} files of an unknown kind are left out ({some(strange)})")
    if listing.circles:
        notices.append(
            f"{len(listing.circles):,} links to a folder that contains them are left out "
            f"({some(listing.circles)})"
        )
    return notices


def _unrecognised_source(listing: FileListing) -> DataError:
    return DataError(
        f"{listing.place} is not a source of labelled pictures: found {_contents(listing)}"
        + (f"; {BACKSLASHES}" if listing.has_backslashes else ""),
        expected=RECOGNISED,
        remedy=UNPACK if listing.has_backslashes else _name_the_table(listing.place),
    )


def _contents(listing: FileListing) -> str:
    """Describe what is at the top, and how many files there are of each kind."""
    if not listing.names:
        return "nothing"
    tops = dict.fromkeys(name.partition("/")[0] + "/" * ("/" in name) for name in listing.names)
    kinds = Counter(suffix_of(name) or "no suffix" for name in listing.names)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(4))
    return f"{some(tops)} ({counted})"
