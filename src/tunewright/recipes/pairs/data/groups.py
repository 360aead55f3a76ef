"""Group rows that belong together (equal images, equal texts), and assign groups to splits."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.errors import DataError
from tunewright.images.dataset.connected_groups import connected_groups
from tunewright.recipes.pairs.data.equal_rows import equal_rows
from tunewright.recipes.pairs.data.pair_files import PairSet

Indices = npt.NDArray[np.int64]


def text_numbers(pairs: PairSet) -> Indices:
    """Return the number of each row's text, from 0 by first row: [rows].

    If the metadata has a text for a row, that text decides (see `number_texts`), not its embedding,
    whose last bits depend on the encoder's batch. Rows without a text are compared by their
    embeddings: those that are equal up to rounding count as one text.
    """
    given: Sequence[object] = pairs.metadata.get("texts") or [None] * pairs.rows
    texts = ["" if text is None else str(text) for text in given]
    numbers = number_texts(texts)
    unknown = np.array([not text.strip() for text in texts])
    if unknown.any():
        # Numbers past those of the texts that are known, so that the two kinds never meet.
        numbers = np.where(unknown, equal_rows(pairs.texts) + len(texts), numbers)
        numbers = connected_groups([numbers])
    return numbers


def number_texts(texts: Sequence[str]) -> Indices:
    """Return a number for each text, equal if texts differ in case and spaces only: [texts].

    "A cat", "a  cat", "a dog" gives 0 0 1.
    """
    numbers: dict[str, int] = {}  # an array of texts would pad each to the longest
    plain = (" ".join(unicodedata.normalize("NFC", text).casefold().split()) for text in texts)
    return np.array([numbers.setdefault(text, len(numbers)) for text in plain], dtype=np.int64)


def indistinct_texts(pairs: PairSet) -> int:
    """Count the texts whose embedding equals that of another text, up to rounding."""
    if "texts" not in pairs.metadata:
        return 0
    both = np.unique(np.stack([equal_rows(pairs.texts), text_numbers(pairs)]), axis=1)
    _, number, texts = np.unique(both[0], return_inverse=True, return_counts=True)
    return len(np.unique(both[1][texts[number] > 1]))


def image_groups(pairs: PairSet) -> Indices:
    """Return a group number for each row, equal for rows that show one image: [rows].

    Images are equal by id, or by embeddings that are equal up to rounding.
    """
    return connected_groups(_image_keys(pairs))


def image_and_text_groups(pairs: PairSet) -> Indices:
    """Return a group number for each row; equal images or texts join rows, in chains: [rows].

    Texts are equal by `text_numbers`, or by embeddings that are equal up to rounding. For splits
    and for positives in a loss, joining too much is safer than separating equal rows.
    """
    return connected_groups([*_image_keys(pairs), text_numbers(pairs), equal_rows(pairs.texts)])


def straddling(groups: Indices, parts: Indices) -> Indices:
    """Return the groups whose rows are in more than one part."""
    pairs = np.unique(np.stack([groups, parts]), axis=1)
    seen, counts = np.unique(pairs[0], return_counts=True)
    return seen[counts > 1]


def deal(
    groups: Indices, fractions: tuple[float, float, float], rng: np.random.Generator
) -> Indices:
    """Assign whole groups to parts by `fractions` of the rows; return the part of each row.

    Groups are laid end to end in random order, with those larger than the smallest split first,
    where train begins; each goes to the part that contains its middle. With fractions .5 .25 .25
    and groups of 4, 2, 2 rows the middles 2, 5 and 7 of 8 fall into parts 0, 1 and 2.
    Raises DataError for fewer groups than parts.
    """
    sizes = np.bincount(groups)
    wanted = [number for number, fraction in enumerate(fractions) if fraction > 0]
    if len(sizes) < len(wanted):
        raise DataError(
            f"{len(sizes)} groups of equal images or texts",
            expected=f"at least {len(wanted)}, one for each split",
            remedy="Add data, set a fraction to 0, or turn text_groups off.",
        )
    order = rng.permutation(len(sizes))
    smallest = min(fractions[number] for number in wanted) * sizes.sum()
    order = order[np.argsort(sizes[order] <= smallest, kind="stable")]
    middles = np.cumsum(sizes[order]) - sizes[order] / 2
    part_of = np.empty(len(sizes), dtype=np.int64)
    ends = np.cumsum(fractions)[:-1] * sizes.sum()
    part_of[order] = np.searchsorted(ends, middles, side="right")
    for number in wanted:  # in tiny sets a part can stay empty
        if not (part_of == number).any():
            counts = np.bincount(part_of, minlength=len(fractions))
            givers = np.flatnonzero(part_of == counts.argmax())
            part_of[givers[sizes[givers].argmin()]] = number
    return part_of[groups]


def _image_keys(pairs: PairSet) -> list[npt.NDArray[Any]]:
    return [pairs.ids, equal_rows(pairs.images)]
