"""Rows of embeddings that are equal up to rounding, within a file and across files; no torch.

The last bits of an encoder's output depend on the batch, so equal inputs need not give equal bytes.
Each row is projected on a few random directions, which preserves distances (Johnson and
Lindenstrauss 1984), and assigned to a cell of a grid over the projections. Rows in one cell are
compared. Three shifted grids are used, so that two rows on either side of a cell's edge share a
cell in another grid.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.images.dataset.connected_groups import connected_groups
from tunewright.recipes.pairs.data.array_files import ArrayFile, read_rows, row_chunks

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

ROUNDING = {"float32": 1e-4, "float16": 1e-3, "bfloat16": 8e-3}
"""How far two encodings of one input may be apart, as a share of their length: a unit in the last
place of each number; of float32, where that is 1e-7, what the layers of an encoder make of it.
Embeddings of different texts or pictures are many times as far apart."""
DIRECTIONS = 12
STRETCH = 6.0
"""Along so many directions a distance is 3.5 times as long on average, and hardly ever 6 times."""
CELL = 64.0
"""The side of a cell, in units of `ROUNDING`: wide, so that few pairs stand on either side."""
SHIFTS = (1 / 6, 3 / 6, 5 / 6)
"""Of the grids, in cells; none is 0, on which the lengths of unit vectors would lie."""
CHUNK_BYTES = 1 << 20
"""Read at a time: a few passes over it, so it stays in cache."""


def equal_rows(*files: ArrayFile) -> Indices:
    """Return a number for each row of files of one dtype and width, file after file: [rows of all].

    Rows have the same number if and only if they are equal up to rounding, directly or in a chain.
    Each row that is all zero or not finite has a number of its own. Source: locality-sensitive
    hashing, Datar et al. 2004, with the candidates compared.
    """
    places = np.concatenate([_places(file) for file in files])
    whole = np.isfinite(places).all(axis=1)
    places[~whole] = 0.0
    places /= np.float32(CELL * ROUNDING[files[0].dtype])
    own = np.arange(len(places))
    keys = []
    for cells in _cells(places):
        _, first, number = np.unique(cells, return_index=True, return_inverse=True)
        mates = first[number]  # the first row in the cell of each row
        near = np.linalg.norm(places - places[mates], axis=1) <= STRETCH / CELL
        keys.append(np.where(near & whole & whole[mates], mates, own))
    return connected_groups(keys)


def _places(file: ArrayFile) -> Floats:
    """Return each row's projections and the logarithm of its length: [rows, 13]."""
    random = np.random.default_rng(0)  # the same for every file
    directions = random.standard_normal((file.width, DIRECTIONS), dtype=np.float32)
    places = np.empty((file.rows, DIRECTIONS + 1), dtype=np.float32)
    rows = read_rows(file)
    for chunk in row_chunks(file, CHUNK_BYTES):
        vectors = _numbers(file, rows[chunk])
        with np.errstate(all="ignore"):  # what is broken is for `check_pairs` to refuse
            lengths = np.linalg.norm(vectors, axis=1)
            places[chunk, :-1] = vectors @ directions / lengths[:, None]
            places[chunk, -1] = np.log(lengths)
    return places


def _cells(places: Floats) -> Iterator[npt.NDArray[np.uint64]]:
    """Yield, for each grid, a hash of the cell of every row: [rows]."""
    salts = np.random.default_rng(1).integers(1 << 64, size=places.shape[1], dtype=np.uint64)
    for shift in SHIFTS:
        yield np.floor(places + shift).astype(np.int64).astype(np.uint64) @ salts


def _numbers(file: ArrayFile, stored: npt.NDArray[Any]) -> Floats:
    """Convert stored rows to float32; bfloat16 bits 0x3F80 become 0x3F800000, which is 1.0."""
    if file.dtype == "bfloat16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.asarray(stored, dtype=np.float32)
