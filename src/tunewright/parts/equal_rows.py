"""Rows of embeddings that are equal up to rounding, within a file and across files; no torch.

An encoder gives one input other last bits in another batch, so equal bytes are no test of equal
inputs. Rows are sorted into the cells of a grid over a few random directions, and those that share
a cell are compared as they are; three grids, shifted against each other, so that rows on either
side of an edge meet in another one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.parts.array_files import ArrayFile, read_rows, row_chunks
from tunewright.parts.connected import connected

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

ROUNDING = {"float32": 1e-4, "float16": 1e-3, "bfloat16": 8e-3}
"""How far two encodings of one input may be apart, as a share of their length: a unit in the last
place of each number; of float32, where that is 1e-7, what the layers of an encoder make of it.
Embeddings of different texts or pictures are many times as far apart."""
DIRECTIONS = 12
CELL = 64
"""The side of a cell, in units of `ROUNDING`: wide, so that few pairs stand on either side."""
CHUNK_BYTES = 1 << 20
"""Read at a time: a few passes over it, so it stays in cache."""
SHIFTS = (1 / 6, 3 / 6, 5 / 6)
"""Of the grids, in cells; none is 0, on which the lengths of unit vectors would lie."""


def equal_rows(*files: ArrayFile) -> Indices:
    """Number the rows of files of one dtype and width, one after the other: [rows of all].

    Rows have the same number if and only if they are equal up to rounding, directly or in a chain.
    Source: locality-sensitive hashing, Datar et al. 2004, with the candidates compared.
    """
    rounding = ROUNDING[files[0].dtype]
    own = np.arange(sum(file.rows for file in files))
    keys, seen, near = [], own, np.ones(len(own), dtype=np.bool_)
    for cells in _cells(files, CELL * rounding):
        _, first, number = np.unique(cells, return_index=True, return_inverse=True)
        mates = first[number]  # the first row in the cell of each row
        near = (mates == own) | (near & (mates == seen))
        fresh = np.flatnonzero((mates != own) & (mates != seen))
        near[fresh] = _near(files, fresh, mates[fresh], rounding)
        keys.append(np.where(near, mates, own))
        seen = mates
    return connected(keys)


def _cells(files: Sequence[ArrayFile], side: float) -> Iterator[npt.NDArray[np.uint64]]:
    """For each grid the cell of every row, as a hash: [rows of all]."""
    random = np.random.default_rng(0)  # the same in every process
    directions = random.standard_normal((files[0].width, DIRECTIONS), dtype=np.float32)
    salts = random.integers(1 << 64, size=DIRECTIONS + 1, dtype=np.uint64)
    places = []  # [rows, DIRECTIONS + 1], in cells
    for file in files:
        rows = read_rows(file)
        for chunk in row_chunks(file, CHUNK_BYTES):
            # Broken numbers are for `check_pairs` to refuse; here they are in any cell.
            with np.errstate(all="ignore"):
                vectors = _numbers(file, rows[chunk])
                lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
                place = np.hstack([vectors @ directions / lengths, np.log(lengths)]) / side
            places.append(np.nan_to_num(place, posinf=0.0, neginf=0.0))
    every = np.concatenate(places)
    for shift in SHIFTS:
        yield np.floor(every + shift).astype(np.int64).astype(np.uint64) @ salts


def _near(files: Sequence[ArrayFile], ones: Indices, others: Indices, rounding: float) -> Any:
    """Whether the rows `ones` and `others` are equal up to rounding, in pairs: [pairs] bool."""
    found = np.empty(len(ones), dtype=np.bool_)
    at_once = max(1, CHUNK_BYTES // files[0].row_bytes)
    for at in range(0, len(ones), at_once):
        part = slice(at, at + at_once)
        a, b = _taken(files, ones[part]), _taken(files, others[part])
        with np.errstate(all="ignore"):
            apart = np.linalg.norm(a - b, axis=1)
            found[part] = apart <= rounding * np.linalg.norm(a, axis=1)
        found[part] |= (a == b).all(1)
    return found


def _taken(files: Sequence[ArrayFile], rows: Indices) -> Floats:
    """Rows by their numbers over all files: [len(rows), width]."""
    taken = np.empty((len(rows), files[0].width), dtype=np.float32)
    start = 0
    for file in files:
        here = (rows >= start) & (rows < start + file.rows)
        if here.any():
            taken[here] = _numbers(file, read_rows(file)[rows[here] - start])
        start += file.rows
    return taken


def _numbers(file: ArrayFile, stored: npt.NDArray[Any]) -> Floats:
    """Stored rows as float32, from the bits of bfloat16 too."""
    if file.dtype == "bfloat16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.asarray(stored, dtype=np.float32)
