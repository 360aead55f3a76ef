"""Describe, map and create matrices on disk (`.npy`, `.safetensors`, `.pt`), without copies.

Nothing here imports torch or unpickles anything. A file is described by its header alone; its
rows are then read through the page cache, which every process on the machine shares.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from tunewright.errors import DataError
from tunewright.recipes.pairs.data.torch_archive import read_record
from tunewright.runs.documents import parse_json
from tunewright.runs.regular_files import exists, is_file
from tunewright.training.memory.limit import make_room_to_map

# dtype -> how numpy holds it; numpy has no bfloat16, its bits travel as uint16
STORED_AS: Mapping[str, npt.DTypeLike] = {"float16": "<f2", "float32": "<f4", "bfloat16": "<u2"}
SAFETENSORS = {"F16": "float16", "F32": "float32", "BF16": "bfloat16"}
TORCH_STORAGE = {
    "HalfStorage": "float16",
    "FloatStorage": "float32",
    "BFloat16Storage": "bfloat16",
}
CHUNK_BYTES = 1 << 26  # 64 MiB: large enough for full disk speed, small beside the machine


@dataclass(frozen=True)
class ArrayFile:
    """A matrix in a file, as its header describes it.

    dtype: `float16`, `float32` or `bfloat16`. shape: (rows, width). offset: of the first
    number, in bytes from the start of the file.
    """

    path: Path
    dtype: str
    shape: tuple[int, int]
    offset: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return self.shape[1]

    @property
    def row_bytes(self) -> int:
        """The size of one row in bytes."""
        return self.width * np.dtype(STORED_AS[self.dtype]).itemsize


def describe(path: Path | str) -> ArrayFile:
    """Read a file's header, when it is opened, and check that it holds one matrix of floats.

    Raises DataError for a file that is missing, cut short, foreign, not two-dimensional, not
    contiguous, or not float16, float32 or bfloat16.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise DataError(f"{path}", expected=f"a file ending in {', '.join(_READERS)}")
    if not is_file(path):
        there = "is neither a file nor a link to one" if exists(path) else "is missing"
        raise DataError(f"{path} {there}", expected="a file of embeddings")
    found = reader(path)
    needed = found.offset + found.rows * found.row_bytes
    if path.stat().st_size < needed:
        raise DataError(
            f"{path} is cut short at {path.stat().st_size:,} bytes",
            expected=f"{needed:,} bytes for {found.rows:,} rows of {found.width} {found.dtype}",
            remedy="Copy or download the file again.",
        )
    return found


def read_rows(file: ArrayFile) -> np.memmap[Any, np.dtype[Any]]:
    """Map a described file read-only: [rows, width], bfloat16 as its uint16 bits."""
    return map_rows(file, "r")


def map_rows(file: ArrayFile, mode: Literal["r", "r+", "c"]) -> np.memmap[Any, np.dtype[Any]]:
    """Map a described file read-only (r), for writing (r+), or with private writes (c)."""
    stored = np.dtype(STORED_AS[file.dtype])
    if mode == "c":
        make_room_to_map(math.prod(file.shape) * stored.itemsize + file.offset)
    return np.memmap(file.path, dtype=stored, mode=mode, offset=file.offset, shape=file.shape)


def create_rows(path: Path, dtype: str, shape: tuple[int, int]) -> np.memmap[Any, np.dtype[Any]]:
    """Make a `.npy` or `.safetensors` file of this shape and map it for writing.

    For sets larger than memory: rows are written through the mapping, then `flush()`ed.
    numpy's format cannot name bfloat16, so that takes `.safetensors`.
    """
    stored = np.dtype(STORED_AS[dtype])
    if path.suffix == ".npy":
        return np.lib.format.open_memmap(path, mode="w+", dtype=stored, shape=shape)
    nbytes = math.prod(shape) * stored.itemsize
    names = {dtype: name for name, dtype in SAFETENSORS.items()}
    entry = {"dtype": names[dtype], "shape": list(shape), "data_offsets": [0, nbytes]}
    header = json.dumps({"embeddings": entry}).encode()
    header += b" " * (-len(header) % 8)  # the format aligns the numbers to 8 bytes
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        out.truncate(8 + len(header) + nbytes)
    return map_rows(ArrayFile(path, dtype, shape, 8 + len(header)), "r+")


def row_chunks(file: ArrayFile, chunk_bytes: int = CHUNK_BYTES) -> list[slice]:
    """Slices over the rows of `file` of about `chunk_bytes` each."""
    step = max(1, chunk_bytes // file.row_bytes)
    return [slice(at, min(at + step, file.rows)) for at in range(0, file.rows, step)]


def row_peaks(file: ArrayFile) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which rows hold NaN or infinity, and which hold only zeros: two masks [rows].

    Without their sign the bits of IEEE floats sort like the numbers, so one maximum a row
    answers both: at or above the all-ones exponent is not finite, 0 is a zero row.
    """
    infinity = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000}[file.dtype]
    rows = read_rows(file)
    bits = rows.view(f"<u{rows.itemsize}")
    without_sign = bits.dtype.type((1 << (8 * rows.itemsize - 1)) - 1)
    peaks = np.empty(file.rows, dtype=bits.dtype)
    for chunk in row_chunks(file):
        peaks[chunk] = (bits[chunk] & without_sign).max(axis=1)
    return peaks >= infinity, peaks == 0


def content_hash(file: ArrayFile) -> str:
    """Return a hash of dtype, shape and all numbers, independent of the file's format and path."""
    digest = blake2b(f"{file.dtype} {file.rows} {file.width}".encode(), digest_size=8)
    rows = read_rows(file)
    for chunk in row_chunks(file):
        digest.update(np.ascontiguousarray(rows[chunk]).data)
    return digest.hexdigest()


def _describe(path: Path, dtype: str | None, shape: Any, offset: int, came: str) -> ArrayFile:
    """Check dtype and rank, for all three formats; raises DataError."""
    if dtype is None:
        raise DataError(
            f"{path} holds {came}",
            expected="float32, float16 or bfloat16",
            remedy="Convert the embeddings, to float32 if in doubt, and save them again.",
        )
    if len(shape) != 2 or min(shape) < 1:
        raise DataError(
            f"{path} has the shape {list(shape)}",
            expected="[rows, width], one embedding a row",
            remedy="Drop or flatten the other axes and save again.",
        )
    return ArrayFile(path, dtype, (int(shape[0]), int(shape[1])), offset)


def _read_npy(path: Path) -> ArrayFile:
    with path.open("rb") as file:
        try:
            shape, fortran, stored = _npy_header(file)
        except Exception:  # numpy reads the header as Python, which fails in many ways
            raise DataError(
                f"{path} is cut short or no .npy file",
                expected="a file written by numpy.save",
                remedy="Copy the file again, or save it again with numpy.save(path, embeddings).",
            ) from None
        offset = file.tell()
    if fortran and len(shape) > 1:
        raise DataError(
            f"{path} is stored column by column",
            expected="rows that lie together",
            remedy="Save numpy.ascontiguousarray(embeddings).",
        )
    dtype = {"<f2": "float16", "<f4": "float32"}.get(stored.str)
    came = f"numbers of the type {stored.name}"
    if stored.str == ">f4":
        came += " in big-endian order"
    elif stored.kind == "V":
        came += " (bfloat16 has no name in this format; use .safetensors for it)"
    found = _describe(path, dtype, shape, offset, came)
    beyond = path.stat().st_size - offset - found.rows * found.row_bytes
    if beyond > 0:
        raise DataError(
            f"{path} has {beyond:,} bytes after its matrix",
            expected=f"{found.rows:,} rows of {found.width} {found.dtype}, and nothing else",
            remedy="Bytes were inserted, or several arrays saved: copy the file again, or save one "
            "array with numpy.save.",
        )
    return found


def _npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read: Callable[[BinaryIO], Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version, _unknown_version)
    shape, fortran, stored = read(file)
    return shape, fortran, stored


def _unknown_version(file: BinaryIO) -> Any:
    raise ValueError(f"{file.name} has an unknown .npy version")


def _read_safetensors(path: Path) -> ArrayFile:
    try:
        with safe_open(path, framework="numpy"):  # refuses what its header does not describe
            pass
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path} is damaged or no safetensors file ({error})",
            expected="8 bytes of length, a JSON header and the numbers, and nothing else",
            remedy="Copy the file again, or save it again with safetensors' save_file.",
        ) from None
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        try:
            header = parse_json(file.read(length).decode())
        except ValueError as error:
            raise DataError(
                f"{path} has a damaged header ({error})", remedy="Copy the file again."
            ) from None
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if len(tensors) != 1 and "embeddings" not in tensors:
        raise DataError(
            f"{path} holds the tensors {', '.join(map(repr, tensors)) or 'none'}",
            expected="one tensor, or one named 'embeddings'",
            remedy="Save the embeddings alone: save_file({'embeddings': matrix}, path).",
        )
    entry = tensors.get("embeddings") or next(iter(tensors.values()))
    kind, offset = entry["dtype"], 8 + length + entry["data_offsets"][0]
    return _describe(path, SAFETENSORS.get(kind), entry["shape"], offset, f"{kind} numbers")


def _read_pt(path: Path) -> ArrayFile:
    record, offset, storage_bytes = read_record(path)
    kind = record.storage.kind
    dtype = TORCH_STORAGE.get(kind)
    found = _describe(path, dtype, record.shape, 0, f"a tensor of {kind.removesuffix('Storage')}")
    # the stride of a lone row is never used, and torch does not normalise it
    if record.strides[1] != 1 or (found.rows > 1 and record.strides[0] != found.width):
        raise DataError(
            f"{path} holds a transposed or strided view",
            expected="rows that lie together",
            remedy="Save embeddings.contiguous().clone().",
        )
    itemsize = found.row_bytes // found.width
    if storage_bytes != record.storage.count * itemsize:
        raise DataError(
            f"{path} holds {storage_bytes:,} bytes of numbers",
            expected=f"{record.storage.count * itemsize:,}, as it says itself",
            remedy="Copy or download the file again.",
        )
    end = record.start * itemsize + found.rows * found.row_bytes
    if record.start < 0 or end > storage_bytes:
        raise DataError(
            f"{path} describes {end:,} bytes of numbers and holds {storage_bytes:,}",
            remedy="Copy or download the file again.",
        )
    return ArrayFile(path, found.dtype, found.shape, offset + record.start * itemsize)


_READERS: Mapping[str, Callable[[Path], ArrayFile]] = {
    ".npy": _read_npy,
    ".safetensors": _read_safetensors,
    ".pt": _read_pt,
}
SUFFIXES = tuple(_READERS)
