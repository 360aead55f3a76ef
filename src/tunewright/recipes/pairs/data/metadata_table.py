"""Read the metadata of a set of pairs from a table: one row a pair, in the order of the rows."""

from pathlib import Path
from typing import Any

from tunewright.errors import DataError
from tunewright.images.sources.columns import IMAGE, SPLIT, TEXT
from tunewright.images.sources.csv_rows import read_csv

SUFFIXES = (".csv", ".tsv")
IDS = ("image_ids", *IMAGE)
KEYS = {
    "texts": ("texts", *TEXT),
    "image_files": ("image_files", "image_file", *(name for name in IMAGE if name != "image_id")),
    "text_files": ("text_files", "text_file"),
    "split": SPLIT,
}
"""Keys of the metadata besides `image_ids`, and the columns that they are read from."""


def read_metadata_table(path: Path) -> dict[str, Any]:
    """Return the metadata in a table, as `NAME_metadata.json` would hold them.

    Ids are integers if all of them are, else text. Raises DataError for a table that cannot be
    read, or that has no column of ids.
    """
    table = read_csv(path)
    column = table.one_of(IDS)
    if column is None:
        raise DataError(
            f"{path} has no column with the image ids, but {', '.join(table.columns)}",
            expected="a column image_id",
            remedy="Add the column image_id: without it, captions of one image would count as "
            "negatives of each other.",
        )
    ids = [cell.strip() for cell in table.raw(column)]
    whole = all(cell.isdecimal() and len(cell) < 19 and cell == str(int(cell)) for cell in ids)
    metadata: dict[str, Any] = {"image_ids": [int(cell) for cell in ids] if whole else ids}
    for key, names in KEYS.items():
        if (found := table.one_of(names)) is not None and found != column:
            metadata[key] = table.raw(found)
    return metadata
