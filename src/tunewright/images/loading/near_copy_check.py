"""Say which pictures of one split are near copies of those of another. Imports without torch."""

import contextlib
import csv
import io
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from tunewright.errors import NotWritten
from tunewright.images.dataset.content_hash import content_keys
from tunewright.images.dataset.near_copies import (
    BITS,
    KEPT,
    MOST_BITS,
    Hashes,
    near_copies,
    perceptual_hashes,
)
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.store import Store, open_store
from tunewright.images.sources.build_table import EXAMPLES
from tunewright.runs.atomic import write_text, write_with

MOST_PAIRS = 2_000_000_000
"""Pairs of two splits that are compared at most: some ten seconds."""
LISTED = "near_copies.csv"

Row = tuple[str, str, str, str, str]


def near_copy_notices(splits: Mapping[str, tuple[ImageTable, Store]]) -> list[str]:
    """Return a notice with the pairs of near copies that stand in two splits; all are in a file.

    splits: `train`, `valid` and maybe `test`, each with the store of its pictures. Copies byte for
    byte are left to `dataset.leaks`. The hashes are computed from the decoded pictures once, and
    kept beside the store.
    """
    some_store = next(iter(splits.values()))[1]
    if some_store.size < KEPT:
        return []
    hashes = _hashes(some_store)
    found: list[Row] = []
    for (one, first), (other, second) in combinations(splits.items(), 2):
        pairs = len(first[0]) * len(second[0])
        if pairs > MOST_PAIRS:
            return [f"near copies are not looked for: {one} and {other} have {pairs:,} pairs"]
        found += _pairs_of(one, first, other, second, hashes)
    if not found:
        return []
    found.sort(key=lambda row: int(row[4]))
    shown = "; ".join(
        f"{a} in {in_a} and {b} in {in_b}" for a, in_a, b, in_b, _ in found[:EXAMPLES]
    )
    more = f" and {len(found) - EXAMPLES:,} more" if len(found) > EXAMPLES else ""
    count = "1 pair" if len(found) == 1 else f"{len(found):,} pairs"
    listed = _write_list(some_store.file.parent / LISTED, found)
    return [
        f"{count} of near copies in two splits ({shown}{more}; at most {MOST_BITS} of {BITS} bits "
        f"of a perceptual hash differ{listed}): scores on them may be too good; "
        "data.group_by keeps pictures together that belong together"
    ]


def _pairs_of(
    one: str,
    first: tuple[ImageTable, Store],
    other: str,
    second: tuple[ImageTable, Store],
    hashes: Hashes,
) -> list[Row]:
    """Return the pairs of two splits: id and split of both, and the bits that differ."""
    (table, store), (theirs, their_store) = first, second
    rows, their_rows = (np.flatnonzero(each.rows_of >= 0) for each in (store, their_store))
    found = near_copies(hashes[store.rows_of[rows]], hashes[their_store.rows_of[their_rows]])
    if not found:
        return []
    keys, their_keys = content_keys(table), content_keys(theirs)
    pairs = ((rows[pair.one], their_rows[pair.other], pair.bits) for pair in found)
    return [
        (table.ids[row], one, theirs.ids[their_row], other, str(bits))
        for row, their_row, bits in pairs
        if keys[row] != their_keys[their_row]
    ]


def _hashes(store: Store) -> Hashes:
    """Return the hash of each picture of the store's file, from beside it if it was computed."""
    file = store.file.with_name(f"{store.file.name.removesuffix('.npy')}.hashes.npy")
    with contextlib.suppress(OSError, ValueError):
        kept: Hashes = np.load(file)
        if kept.shape == (store.rows, BITS // 64) and kept.dtype == np.uint64:
            return kept
    hashes = perceptual_hashes(open_store(store))

    def write(place: Path) -> None:
        with place.open("wb") as stream:
            np.save(stream, hashes)

    with contextlib.suppress(NotWritten):  # a cache: nothing depends on it
        write_with(file, write)
    return hashes


def _write_list(file: Path, rows: list[Row]) -> str:
    """Write all pairs, and return where they are; empty where that is not possible."""
    text = io.StringIO(newline="")
    table = [("picture", "split", "near_copy", "split", "bits"), *rows]
    csv.writer(text, lineterminator="\n").writerows(table)
    try:
        write_text(file, text.getvalue())
    except (NotWritten, UnicodeEncodeError):
        return ""
    return f"; all are in {file}"
