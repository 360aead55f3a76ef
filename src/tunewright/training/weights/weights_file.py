"""Read files of weights: safetensors, and state dicts that `torch.save` wrote.

Only tensors are taken. `weights_fault` says without torch, and without executing anything, why a
file cannot be used; `read_weights` loads it, a state dict through `torch.load(weights_only=True)`.
"""

import io
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, BinaryIO, Literal

from safetensors import SafetensorError, safe_open

from tunewright.errors import DataError
from tunewright.runs.regular_files import open_regular

if TYPE_CHECKING:
    from torch import Tensor

EXPECTED = (
    "tensors only: a safetensors file, or a state dict that torch.save wrote; anything else may "
    "contain code and is never unpickled"
)
SAVE_AGAIN = (
    "In the program that made it, write the tensors alone: torch.save(model.state_dict(), FILE)."
)
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""Entries under which training programs keep the state dict, the most common ones first."""
MAX_PICKLE_BYTES = 64 << 20
"""Size of the description of the tensors; that of a model of 3,000 tensors has 0.4 MB."""
_TENSORS = re.compile(
    r"torch\._utils\._rebuild_(tensor_v2|tensor|parameter)|collections\.OrderedDict|"
    r"torch\.(\w+Storage|Size|device|storage\.\w+Storage|serialization\._get_layout)|"
    r"torch\.(b?float\d+|u?int\d+|bool|double|half|long|complex\d+)"
)
"""Names that the pickle of a state dict mentions."""
_DAMAGES = (OSError, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, KeyError)
"""What `zipfile` raises over a damaged file."""
_WRONG_VALUES = (LookupError, ValueError, TypeError, AttributeError)
"""What unpickling raises, besides its own error, over a damaged pickle."""
_CALLS = ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4")
"""Opcodes that look up or make other objects, none of which a state dict needs."""
_LEGACY = ("magic number", "version", "system", "object", "names of storages")
"""The pickles that make a file of torch before 1.6."""


def weights_of(given: Path) -> Path:
    """Return the file of weights that a path stands for: the best ones, of a run folder."""
    given = given.expanduser()
    return given / "checkpoints" / "best.safetensors" if given.is_dir() else given


def weights_fault(file: Path) -> str:
    """Return why a file of weights cannot be used; empty for tensors only.

    Imports no torch, so that a coordinator can refuse a file before any worker starts.
    """
    try:
        with open_regular(file) as opened:
            kind = _kind(opened)
            if kind == "zip":
                return _zip_fault(opened)
            if kind == "pickle":
                return _pickle_fault(opened, _LEGACY)
        with safe_open(file, framework="numpy") as tensors:
            return "" if tensors.keys() else "it holds no tensor"
    except (SafetensorError, *_DAMAGES) as error:
        return str(error) or type(error).__name__


def read_weights(file: Path, key: str = "model.weights") -> "tuple[dict[str, Tensor], list[str]]":
    """Return the tensors of a file by name, and notices on what was set aside.

    key: where the file was set, for messages. Raises DataError for a file that cannot be used.
    """
    if fault := weights_fault(file):
        raise DataError(f"{key} = {file} ({fault})", expected=EXPECTED, remedy=SAVE_AGAIN)
    import torch
    from safetensors.torch import load_file

    with open_regular(file) as opened:
        kind = _kind(opened)
    try:
        if kind == "safetensors":
            return load_file(file), []
        # torch goes by the name, and would read this as the other format
        named = io.BytesIO(file.read_bytes()) if file.suffix == ".safetensors" else file
        stored = torch.load(named, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, *_DAMAGES, *_WRONG_VALUES) as error:
        raise DataError(f"{key} = {file} cannot be read ({error})", expected=EXPECTED) from None
    return _state_dict(stored, f"{key} = {file}")


def _state_dict(stored: object, came: str) -> "tuple[dict[str, Tensor], list[str]]":
    """Return the state dict in what was stored, bare or under one of its entries."""
    if found := _tensors(stored):
        rest = [str(name) for name in stored if name not in found]  # type: ignore[attr-defined]
        return found, _set_aside(rest)
    entries = {
        str(name): found
        for name, value in (stored.items() if isinstance(stored, Mapping) else ())
        if (found := _tensors(value))
    }
    if not entries:
        raise DataError(f"{came} holds no state dict", expected=EXPECTED, remedy=SAVE_AGAIN)
    known = [name for name in WRAPPERS if name in entries]
    chosen = known[0] if known else max(entries, key=lambda name: len(entries[name]))
    assert isinstance(stored, Mapping)
    rest = [str(name) for name in stored if str(name) != chosen]
    return entries[chosen], [f"the weights are its entry {chosen!r}", *_set_aside(rest)]


def _tensors(value: object) -> "dict[str, Tensor]":
    """Return the tensors of a mapping by name; empty where it holds none under a text."""
    from torch import Tensor

    if not isinstance(value, Mapping):
        return {}
    return {
        name: tensor.detach()
        for name, tensor in value.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    }


def _set_aside(names: list[str]) -> list[str]:
    return [f"entries of the file that are left aside: {', '.join(names)}"] if names else []


def _kind(opened: BinaryIO) -> Literal["zip", "pickle", "safetensors"]:
    """Return what a file begins as; it is rewound."""
    start = opened.read(9)
    opened.seek(0)
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    # A safetensors file begins with the length of its header, which may look like a pickle.
    return "pickle" if start.startswith(b"\x80") and not start.endswith(b"{") else "safetensors"


def _zip_fault(opened: BinaryIO) -> str:
    with zipfile.ZipFile(opened) as archive:
        entries = {name.partition("/")[2]: name for name in archive.namelist()}
        if "constants.pkl" in entries or any(name.startswith("code/") for name in entries):
            return "it is a TorchScript program"
        if "data.pkl" not in entries:
            return "it is a zip file without data.pkl"
        if archive.getinfo(entries["data.pkl"]).file_size > MAX_PICKLE_BYTES:
            return f"it describes its tensors in more than {MAX_PICKLE_BYTES:,} bytes"
        with archive.open(entries["data.pkl"]) as pickled:
            return _pickle_fault(pickled, ("object",))


def _pickle_fault(pickled: IO[bytes], parts: tuple[str, ...]) -> str:
    """Return what pickles, one after the other, hold beside tensors by name; nothing is executed.

    parts: what the pickles are; the weights are the `object`.
    """
    tensors = mapping = False
    try:
        for part in parts:
            for opcode, argument, _position in pickletools.genops(pickled):
                mentioned = str(argument).replace(" ", ".") if opcode.name == "GLOBAL" else ""
                if opcode.name in _CALLS:
                    return f"it calls for objects that are no tensors ({opcode.name})"
                if mentioned and not _TENSORS.fullmatch(mentioned):
                    return f"it holds {mentioned[:100]}, not tensors only"
                tensors |= "_rebuild_" in mentioned
                mapping |= part == "object" and opcode.name.startswith("SETITEM")
    except (ValueError, LookupError, AttributeError, UnpicklingError):
        return "it is a damaged pickle"
    if not tensors:
        return "it holds no tensor"
    return "" if mapping else "it holds tensors without names"
