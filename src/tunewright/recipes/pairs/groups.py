"""Rows that belong together (equal images, equal texts), and dealing them out to splits."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.errors import DataError
from tunewright.parts.array_files import row_fingerprints
from tunewright.parts.connected import connected
from tunewright.recipes.pairs.files import PairSet

Indices = npt.NDArray[np.int64]


def image_groups(pairs: PairSet) -> Indices:
    """Number the groups of rows that show one image, by id or by equal embedding: [rows]."""
    return connected(_image_keys(pairs))


def image_and_text_groups(pairs: PairSet) -> Indices:
    """Number the groups of rows that equal images or equal texts connect, in chains too: [rows].

    Texts are equal when their embeddings are, or their captions but for case and spaces.
    """
    return connected([*_image_keys(pairs), *_text_keys(pairs)])


def straddling(groups: Indices, parts: Indices) -> Indices:
    """The groups whose rows stand in more than one part."""
    pairs = np.unique(np.stack([groups, parts]), axis=1)
    seen, counts = np.unique(pairs[0], return_counts=True)
    return seen[counts > 1]


def deal(
    groups: Indices, fractions: tuple[float, float, float], rng: np.random.Generator
) -> Indices:
    """Deal whole groups out by `fractions` of the rows: the part number of every row.

    Groups are laid end to end in random order, those that do not fit the smallest split
    first, where train begins; each goes to the part that holds its middle.
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
    return [pairs.ids, row_fingerprints(pairs.images)]


def _text_keys(pairs: PairSet) -> list[npt.NDArray[Any]]:
    keys: list[npt.NDArray[Any]] = [row_fingerprints(pairs.texts)]
    if "texts" in pairs.metadata:
        numbers: dict[str, int] = {}  # an array of captions would pad each to the longest
        plain = (" ".join(str(text).casefold().split()) for text in pairs.metadata["texts"])
        keys.append(np.array([numbers.setdefault(text, len(numbers)) for text in plain]))
    return keys
