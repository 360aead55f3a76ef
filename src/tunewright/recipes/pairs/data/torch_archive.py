"""Find where the numbers are inside a `.pt` file, without executing its pickle."""

import io
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.errors import DataError
from tunewright.images.sources.archive import UNPACKABLE, why

MAX_PICKLE_BYTES = 8 << 20
"""Size of the description of a tensor, which may hold a list of ids beside it."""
LOCAL_HEADER_BYTES = 30  # the fixed part of a zip entry's local header (APPNOTE.TXT 4.3.7)
MAX_TUPLES = 50_000
"""Each may hold the one before it, and Python overflows its stack on millions of those."""
SAVE_AGAIN = "Write the plain matrix again: torch.save(embeddings.detach().clone(), path)."


@dataclass(frozen=True)
class Storage:
    """A tensor's reference to its numbers: torch's storage class, the zip entry, how many."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class TensorRecord:
    """One tensor as the pickle describes it; `start` and `strides` count elements."""

    storage: Storage
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_record(path: Path) -> tuple[TensorRecord, int, int]:
    """Return the embedding tensor of `path`, and the offset and size of its storage in bytes.

    Accepts what `torch.save` writes for a tensor, a parameter, or a dictionary that holds one
    tensor or an entry `embeddings`. Only opcodes that build plain values are followed, so a
    hostile pickle is described or refused, never run. Raises DataError. Source of the layout:
    torch/csrc/jit/serialization (a zip of `data.pkl` and uncompressed `data/<key>` entries).
    """
    with _open_archive(path) as archive:
        try:
            return _read(path, archive)
        except (KeyError, OSError, *UNPACKABLE) as error:
            raise DataError(
                f"{path} is damaged ({why(error)})", remedy="Copy or download the file again."
            ) from None


def _read(path: Path, archive: zipfile.ZipFile) -> tuple[TensorRecord, int, int]:
    entries = {name.partition("/")[2]: name for name in archive.namelist()}
    if "data.pkl" not in entries:
        raise DataError(
            f"{path} is a zip without data.pkl",
            expected="a tensor written by torch.save",
            remedy=SAVE_AGAIN,
        )
    if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
        raise DataError(f"{path} was written on a big-endian machine", remedy=SAVE_AGAIN)
    size = archive.getinfo(entries["data.pkl"]).file_size
    if size > MAX_PICKLE_BYTES:
        raise DataError(
            f"{path} describes its tensor in {size:,} bytes",
            expected=f"at most {MAX_PICKLE_BYTES:,}",
            remedy=SAVE_AGAIN,
        )
    record = _choose(path, _interpret(path, archive.read(entries["data.pkl"])))
    entry = entries.get(f"data/{record.storage.key}")
    if entry is None:
        raise DataError(f"{path} lacks the numbers of its tensor", remedy=SAVE_AGAIN)
    info = archive.getinfo(entry)
    if info.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"{path} is a compressed zip",
            expected="uncompressed numbers, as torch.save writes them",
            remedy=SAVE_AGAIN,
        )
    archive.open(info).close()  # compares the entry with what the directory says of it
    return record, _data_offset(path, info), info.file_size


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic.startswith(b"PK"):
            came, remedy = f"{path} is cut short", "Copy or download the file again."
        elif magic.startswith(b"\x80"):
            came, remedy = (
                f"{path} is a bare pickle or in torch's format from before 1.6",
                "If you trust it, load it with torch.load(path, weights_only=True) and save again.",
            )
        else:
            came, remedy = f"{path} is no torch file", SAVE_AGAIN
        raise DataError(came, expected="the zip that torch.save writes", remedy=remedy) from None
    except (OSError, *UNPACKABLE) as error:
        raise DataError(
            f"{path} is damaged ({why(error)})", remedy="Copy or download the file again."
        ) from None


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Return the offset of an entry's first byte, from the lengths in its local header."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(LOCAL_HEADER_BYTES)
    name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
    return int(info.header_offset + LOCAL_HEADER_BYTES + name_bytes + extra_bytes)


def _choose(path: Path, value: object) -> TensorRecord:
    if isinstance(value, TensorRecord):
        return value
    if isinstance(value, dict):
        tensors = {key: item for key, item in value.items() if isinstance(item, TensorRecord)}
        if "embeddings" in tensors:
            return tensors["embeddings"]
        if len(tensors) == 1:
            return next(iter(tensors.values()))
        came = f"{path} holds a dictionary with the tensors {sorted(map(str, tensors)) or 'none'}"
    else:
        came = f"{path} holds no tensor"
    raise DataError(came, expected="one tensor, or one under 'embeddings'", remedy=SAVE_AGAIN)


def _interpret(path: Path, pickled: bytes) -> object:
    """Return the pickle's value with tensors as records; raise DataError for any other call."""
    try:
        tuples = 0
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name not in _OPCODES:
                raise _Refusal(f"the pickle opcode {opcode.name}")
            tuples += opcode.name.startswith("TUPLE")
            if tuples > MAX_TUPLES:
                raise _Refusal(f"more than {MAX_TUPLES:,} tuples")
            if opcode.name == "LONG_BINPUT" and int(argument or 0) > len(pickled):  # reserves that
                raise ValueError("more values than bytes")
        return _Unpickler(io.BytesIO(pickled)).load()
    except _Refusal as refused:
        raise DataError(
            f"{path} contains {refused}, which is not executed",
            expected="a bare tensor",
            remedy=SAVE_AGAIN,
        ) from None
    except _BROKEN:
        raise DataError(
            f"{path} has a broken pickle",
            expected="a tensor written by torch.save",
            remedy="Copy or download the file again.",
        ) from None


class _Refusal(Exception):
    """A call, or an opcode, that describing a tensor does not need."""


@dataclass(frozen=True)
class _Global:
    """A name that the pickle mentions; its call is refused."""

    name: str

    def __call__(self, *_: object) -> None:
        raise _Refusal(f"a call of {self.name}")


class _Unpickler(pickle.Unpickler):
    """Python's unpickler, with names that are compared and never imported."""

    def find_class(self, module: str, name: str) -> Any:
        """Return our own function in place of one of torch's three, else only the name."""
        found = f"{module}.{name}"
        return _CALLS.get(found) or _Global(found)

    def persistent_load(self, pid: Any) -> Storage:
        """Return the reference to a tensor's numbers."""
        tag, kind, key, _device, count = pid
        if tag != "storage" or not isinstance(kind, _Global):
            raise _Refusal("a foreign persistent id")
        return Storage(kind.name.removeprefix("torch."), key, int(count))


def _tensor(*arguments: Any) -> TensorRecord:
    storage, start, shape, strides, *_rest = arguments
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without storage")
    if len(shape) != len(strides):
        raise ValueError("a tensor with another number of strides than axes")
    return TensorRecord(storage, int(start), tuple(map(int, shape)), tuple(map(int, strides)))


def _first(value: object, *_rest: object) -> object:
    return value


_CALLS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "collections.OrderedDict": dict,
}
_BROKEN = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, struct.error),
    pickle.PickleError,
)
_NEEDED = """
PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE
SHORT_BINUNICODE BINUNICODE8 EMPTY_TUPLE EMPTY_DICT EMPTY_LIST TUPLE TUPLE1 TUPLE2 TUPLE3 SETITEM
SETITEMS APPEND APPENDS GLOBAL STACK_GLOBAL BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET BINPERSID
REDUCE
"""
_OPCODES = frozenset(_NEEDED.split())
"""What describing a tensor needs: plain values, names, calls, references to numbers."""
