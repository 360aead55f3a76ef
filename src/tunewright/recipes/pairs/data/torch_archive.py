"""Find where the numbers are inside a `.pt` file, without executing its pickle."""

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


@dataclass(frozen=True)
class _Global:
    """A name that the pickle mentions; it is compared, never imported."""

    name: str


class _Mark:
    """The pickle machine's MARK."""


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
        return _Machine().run(pickled)
    except _RefusedOpcode as refused:
        raise DataError(
            f"{path} contains {refused}, which is not executed",
            expected="a bare tensor",
            remedy=SAVE_AGAIN,
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, struct.error):
        raise DataError(
            f"{path} has a broken pickle",
            expected="a tensor written by torch.save",
            remedy="Copy or download the file again.",
        ) from None


class _RefusedOpcode(Exception):
    """A call, or an opcode, that describing a tensor does not need."""


class _Machine:
    """A pickle machine that knows only the opcodes of plain values and three torch calls."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, pickled: bytes) -> object:
        for opcode, argument, _ in pickletools.genops(pickled):
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name](argument))
            elif name in _LITERALS:
                self.stack.append(argument)
            elif name not in ("PROTO", "FRAME"):
                step = getattr(self, f"op_{name.lower()}", None)
                if step is None:
                    raise _RefusedOpcode(f"the pickle opcode {name}")
                step(argument)
        raise ValueError("no STOP")

    def pop_to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while not isinstance(self.stack[at], _Mark):  # from the end: each item is passed once
            at -= 1
            if at < 0:
                raise ValueError("no MARK")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def op_global(self, argument: str) -> None:
        self.stack.append(_Global(argument.replace(" ", ".")))

    def op_stack_global(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_Global(f"{module}.{name}"))

    def op_binput(self, argument: int) -> None:
        self.memo[argument] = self.stack[-1]

    op_long_binput = op_binput

    def op_memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def op_binget(self, argument: int) -> None:
        self.stack.append(self.memo[argument])

    op_long_binget = op_binget

    def op_tuple(self, _: object) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def op_tuple1(self, _: object) -> None:
        self.stack[-1:] = [tuple(self.stack[-1:])]

    def op_tuple2(self, _: object) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def op_tuple3(self, _: object) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def op_setitem(self, _: object) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][key] = value

    def op_setitems(self, _: object) -> None:
        items = self.pop_to_mark()
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def op_append(self, _: object) -> None:
        value = self.stack.pop()
        self.stack[-1].append(value)

    def op_appends(self, _: object) -> None:
        values = self.pop_to_mark()
        self.stack[-1].extend(values)

    def op_binpersid(self, _: object) -> None:
        tag, kind, key, _device, count = self.stack.pop()
        if tag != "storage" or not isinstance(kind, _Global):
            raise _RefusedOpcode("a foreign persistent id")
        self.stack.append(Storage(kind.name.removeprefix("torch."), key, int(count)))

    def op_reduce(self, _: object) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Global):
            raise _RefusedOpcode("a call of a value")
        if function.name not in _CALLS:
            raise _RefusedOpcode(f"a call of {function.name}")
        self.stack.append(_CALLS[function.name](arguments))


def _tensor(arguments: tuple[Any, ...]) -> TensorRecord:
    storage, start, shape, strides, *_rest = arguments
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without storage")
    if len(shape) != len(strides):
        raise ValueError("a tensor with another number of strides than axes")
    return TensorRecord(storage, int(start), tuple(map(int, shape)), tuple(map(int, strides)))


_CALLS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda arguments: arguments[0],
    "collections.OrderedDict": lambda arguments: {},
}
_CONSTANTS: Mapping[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "MARK": lambda _: _Mark(),
}
_LITERALS = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
)
