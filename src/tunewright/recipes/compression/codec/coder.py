"""The entropy coder: integers to bytes and back, by tables. The only module that uses constriction.

A step's values are grouped by their table, so that one call codes all values of a table: it costs
nanoseconds a value, instead of making a model for each value.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.errors import DataError
from tunewright.recipes.compression.codec.tables import Tables

Values = npt.NDArray[np.int32]
Indices = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

LARGEST = 2**24
"""Largest magnitude of a value: float32 holds whole numbers exactly up to here."""
FAR_BITS = 25
CHUNK_BITS = 12
SPENT = bytes(8)
"""Zeros appended to a stream when it is read, since trailing zeros are not stored."""


class Coder:
    """Tables, and the coder's model of each, made on first use."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._models: dict[int, Any] = {}

    def model(self, number: int) -> Any:
        """Return constriction's model of a table.

        One count of each value is subtracted, because constriction adds one: the model then has
        exactly the counts of the table.
        """
        if number not in self._models:
            spare = (self.tables.counts[number] - 1).astype(np.float64)
            self._models[number] = _stream().model.Categorical(spare, perfect=False)
        return self._models[number]


class RangeEncoder:
    """Codes values into one stream."""

    def __init__(self, coder: Coder) -> None:
        self._coder, self._encoder = coder, _stream().queue.RangeEncoder()

    def encode(self, values: Values, indices: Indices) -> None:
        """Encode `values` [n], at most LARGEST in magnitude, by the tables `indices` [n].

        A value beyond the reach K of its table is coded as the escape symbol 2 K + 1, the others as
        value + K: with K = 3 the values -3, 0, 3, 5 become 0, 3, 6, 7 (5 is an escape).
        """
        reaches = self._coder.tables.reaches[indices]
        far = np.abs(values) > reaches
        symbols = np.where(far, 2 * reaches + 1, values + reaches)
        order, groups = _by_table(indices)
        symbols = symbols[order]
        for number, part in groups:
            self._encoder.encode(symbols[part], self._coder.model(number))
        if far.any():
            self._put_far(values[far], reaches[far])

    def finish(self) -> bytes:
        """Return the stream, without trailing zeros."""
        words: npt.NDArray[np.uint32] = self._encoder.get_compressed()
        return words.astype(">u4").tobytes().rstrip(b"\0")

    def _put_far(self, values: Values, reaches: Values) -> None:
        """Encode how far values are beyond their tables: sign, number of binary digits, digits.

        For the value 8 and the reach 3: 5 beyond, sign 0, 2 digits after the leading one, 01.
        """
        over = np.abs(values) - reaches
        digits = (np.frexp(over.astype(np.float64))[1] - 1).astype(np.int32)
        self._encoder.encode((values < 0).astype(np.int32), _uniform(1))
        self._encoder.encode(digits, _uniform_of(FAR_BITS))
        rest = over - (1 << digits)
        for count in np.unique(digits[digits > 0]).tolist():
            part = rest[digits == count]
            for shift, width in _chunks(count):
                self._encoder.encode((part >> shift) & ((1 << width) - 1), _uniform(width))


class RangeDecoder:
    """Decodes what a `RangeEncoder` with equal tables has coded."""

    def __init__(self, coder: Coder, content: bytes) -> None:
        padded = content + bytes(-len(content) % 4) + SPENT
        words = np.frombuffer(padded, ">u4").astype(np.uint32)
        self._coder, self._decoder = coder, _stream().queue.RangeDecoder(words)

    def decode(self, indices: Indices) -> Values:
        """Decode the values [n] that were encoded with these tables.

        Raises DataError for what no `RangeEncoder` has written with them.
        """
        reaches = self._coder.tables.reaches[indices]
        order, groups = _by_table(indices)
        symbols = np.empty(len(indices), np.int32)
        try:
            for number, part in groups:
                count = part.stop - part.start
                symbols[part] = self._decoder.decode(self._coder.model(number), count)
            values = np.empty_like(symbols)
            values[order] = symbols
            values -= reaches
            far = values > reaches
            if far.any():
                values[far] = self._take_far(reaches[far])
        except (AssertionError, ValueError) as error:  # what constriction raises
            raise DataError(f"the stream does not decode ({error})") from None
        return values

    def _take_far(self, reaches: Values) -> Values:
        negative = self._decoder.decode(_uniform(1), len(reaches))
        digits = self._decoder.decode(_uniform_of(FAR_BITS), len(reaches))
        over = 1 << digits.astype(np.int64)
        for count in np.unique(digits[digits > 0]).tolist():
            here = digits == count
            for shift, width in _chunks(count):
                chunk = self._decoder.decode(_uniform(width), int(here.sum()))
                over[here] += chunk.astype(np.int64) << shift
        values = reaches + over
        if values.max() > LARGEST:
            raise DataError(f"the stream holds the value {values.max():,}")
        signed: Values = np.where(negative == 1, -values, values).astype(np.int32)
        return signed


def _by_table(indices: Indices) -> tuple[npt.NDArray[np.int64], list[tuple[int, slice]]]:
    """Return an order that groups values by table, and the slice of each table in that order."""
    order = np.argsort(indices, kind="stable")  # a radix sort for numbers this narrow
    counts = np.bincount(indices)
    stops = np.cumsum(counts)
    used = np.flatnonzero(counts)
    return order, [(int(n), slice(int(stops[n] - counts[n]), int(stops[n]))) for n in used]


def _chunks(bits: int) -> Iterator[tuple[int, int]]:
    """Yield shift and width of the parts of a number that are coded at once: 25 gives 12, 12, 1."""
    for shift in range(0, bits, CHUNK_BITS):
        yield shift, min(CHUNK_BITS, bits - shift)


def _uniform(bits: int) -> Any:
    return _uniform_of(1 << bits)


def _uniform_of(size: int) -> Any:
    return _stream().model.Uniform(size)


def _stream() -> Any:
    import constriction

    return constriction.stream
