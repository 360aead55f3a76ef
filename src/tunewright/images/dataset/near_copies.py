"""Find near copies of pictures: re-encoded, resized, lighter, darker or grey; not cut or mirrored.

Imports without torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

KEPT = 16
"""Side of the square of lowest frequencies that are hashed, and the smallest side of a picture."""
BITS = KEPT * KEPT
MOST_BITS = 24
"""Largest distance of near copies, of 256 bits: measured by `benchmarks/near_copies.py`."""
FLAT = 2.0
"""Standard deviation, of 255 grey levels, below which a picture has nothing to tell it by."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
PAIRS_AT_ONCE = 1 << 20
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class NearCopy:
    """Two pictures by their rows, and in how many of 256 bits their hashes differ."""

    one: int
    other: int
    bits: int


def perceptual_hashes(pixels: npt.NDArray[np.uint8]) -> Hashes:
    """Return 256 bits for each picture, uint8 [N, 3, S, S], as uint64 [N, 4]; 0 for flat ones.

    A bit says whether one of the 16 x 16 lowest frequencies of the grey picture (discrete cosine
    transform, without the mean) is above their median, so that light and contrast do not matter.
    Source: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", with
    8 x 8 frequencies. Raises ValueError for sides below 16.
    """
    side = pixels.shape[-1]
    if side < KEPT:
        raise ValueError(f"a side of {KEPT} pixels or more, not {side}")
    waves = np.arange(KEPT)[:, None] * (2 * np.arange(side) + 1) * (np.pi / (2 * side))
    basis = (np.cos(waves) * np.sqrt(2.0 / side)).astype(np.float32)  # [16, S], orthonormal
    basis[0] = np.sqrt(1.0 / side)
    found = np.zeros((len(pixels), BITS // 64), dtype=np.uint64)
    for start in range(0, len(pixels), ROWS_AT_ONCE):
        part = np.asarray(pixels[start : start + ROWS_AT_ONCE], dtype=np.float32)
        grey = np.tensordot(LUMA, part, axes=(0, 1))  # [n, S, S]
        low = (basis @ grey @ basis.T).reshape(len(part), BITS)
        low[:, 0] = 0.0
        bits = low > np.median(low, axis=1, keepdims=True)
        told = np.sqrt(np.square(low).sum(1)) / side >= FLAT
        packed = np.packbits(bits, axis=1).view(np.uint64)
        found[start : start + len(part)] = np.where(told[:, None], packed, 0)
    return found


def near_copies(ones: Hashes, others: Hashes, most_bits: int = MOST_BITS) -> list[NearCopy]:
    """Return the pairs of a row of `ones` [N, 4] and a row of `others` [M, 4] that are near.

    Sorted by distance, the nearest first. Flat pictures are like none.
    """
    found = []
    for start, distances in hash_distances(ones, others):
        rows, columns = np.nonzero(distances <= most_bits)
        near = zip(rows.tolist(), columns.tolist(), distances[rows, columns].tolist(), strict=True)
        found += [NearCopy(start + row, column, bits) for row, column, bits in near]
    return sorted(found, key=lambda pair: (pair.bits, pair.one, pair.other))


def hash_distances(ones: Hashes, others: Hashes) -> Iterator[tuple[int, npt.NDArray[np.uint16]]]:
    """Yield the first row of each part of `ones`, and its distances [rows, M] in bits.

    A flat picture is further than any other: 256 bits and one.
    """
    flat = ~others.any(1)
    step = max(1, PAIRS_AT_ONCE // max(1, len(others)))
    for start in range(0, len(ones), step):
        part = ones[start : start + step]
        distances = np.zeros((len(part), len(others)), dtype=np.uint16)
        for word in range(part.shape[1]):
            distances += np.bitwise_count(part[:, word, None] ^ others[None, :, word])
        distances[:, flat] = BITS + 1
        distances[~part.any(1)] = BITS + 1
        yield start, distances
