"""Check sets of pairs: rows without a direction, ids that cannot be compared, leaked images."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tunewright.errors import DataError
from tunewright.recipes.pairs.data.array_files import row_peaks
from tunewright.recipes.pairs.data.equal_rows import equal_rows
from tunewright.recipes.pairs.data.pair_files import Array, PairSet

EXAMPLES = 5  # how many offenders an error names


def check_pairs(pairs: PairSet) -> None:
    """Read both matrices once and refuse rows that cannot be normalised.

    Raises DataError with counts and row numbers for NaN, infinity and all-zero rows: a zero
    vector has no direction, so every similarity with it would be made up.
    """
    problems = []
    for file in (pairs.images, pairs.texts):
        for bad, what in zip(row_peaks(file), ("NaN or infinite", "all-zero"), strict=True):
            if bad.any():
                where = _some(np.flatnonzero(bad))
                problems.append(f"{file.path} has {bad.sum():,} {what} rows (rows {where})")
    if problems:
        raise DataError(
            "; ".join(problems),
            expected="finite, non-zero embeddings",
            remedy="Embed these rows again or drop them from all three files.",
        )


def integer_ids(*sets: PairSet) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the image ids of several sets as int64, equal if and only if the ids are equal.

    Integers stay as they are; text is numbered over all sets together. Raises DataError when
    some sets use integers and others text, because 7 and "007" cannot be compared.
    """
    _same_kind_of_ids(sets)
    if not sets or sets[0].ids.dtype.kind == "i":
        return tuple(pairs.ids.astype(np.int64) for pairs in sets)
    _, numbers = np.unique(np.concatenate([pairs.ids for pairs in sets]), return_inverse=True)
    ends = np.cumsum([pairs.rows for pairs in sets])[:-1]
    return tuple(part.astype(np.int64) for part in np.split(numbers, ends))


def check_leaks(train: PairSet, others: Sequence[PairSet]) -> None:
    """Refuse sets that share an image with `train`, by its id or its embedding up to rounding.

    Called before training, because a score on images that were trained on means nothing.
    Raises DataError with counts and examples.
    """
    _same_kind_of_ids((train, *others))
    for other in others:
        same_id = np.isin(other.ids, train.ids)
        same_row = np.zeros(other.rows, dtype=np.bool_)
        if (other.images.dtype, other.images.width) == (train.images.dtype, train.images.width):
            known, numbers = np.split(equal_rows(train.images, other.images), [train.rows])
            same_row = np.isin(numbers, known)
        leaked = same_id | same_row
        if leaked.any():
            raise DataError(
                f"{leaked.sum():,} of {other.rows:,} rows of {other.name!r} show an image that "
                f"{train.name!r} also holds ({same_id.sum():,} by id, {same_row.sum():,} by equal "
                f"embedding; image ids {_some(np.unique(other.ids[leaked]))})",
                expected="no image in two splits",
                remedy="Split again by image with `tunewright pairs split`.",
            )


def _same_kind_of_ids(sets: Sequence[PairSet]) -> None:
    if len({pairs.ids.dtype.kind for pairs in sets}) > 1:
        kinds = {"i": "integers", "U": "text"}
        found = ", ".join(f"{pairs.name}: {kinds[pairs.ids.dtype.kind]}" for pairs in sets)
        raise DataError(
            f"image ids of different types ({found})",
            expected="one type in all sets of a folder",
            remedy="Write all image_ids as integers, or all as text.",
        )


def _some(values: Array) -> str:
    more = ", …" if len(values) > EXAMPLES else ""
    return ", ".join(str(value) for value in values[:EXAMPLES]) + more
