"""What errors about files of embeddings advise, followed by hand: the file is written again."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from mend_as_advised import Advice, obey
from tunewright.recipes.pairs.data.array_files import describe

IMAGES = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)

FILE = "x.pt"


def saved() -> None:
    torch.save(torch.from_numpy(IMAGES), FILE)


def rezip(change: Callable[[str, bytes], bytes | None], compression=zipfile.ZIP_STORED):
    """Write what torch saved again, with entries that are changed, or left out as None."""

    def make() -> None:
        saved()
        with zipfile.ZipFile(FILE) as archive:
            entries = {info.filename: archive.read(info) for info in archive.infolist()}
        with zipfile.ZipFile(FILE, "w", compression) as archive:
            for name, content in entries.items():
                kept = change(name.partition("/")[2], content)
                if kept is not None:
                    archive.writestr(name, kept)

    return make


def only(entry: str, change: Callable[[bytes], bytes | None]):
    """Return a change of one entry."""
    return rezip(lambda name, content: change(content) if name == entry else content)


def clone() -> None:
    """Write the plain matrix again, as the remedy shows it."""
    embeddings = torch.from_numpy(IMAGES)
    torch.save(embeddings.detach().clone(), FILE)


def save_legacy() -> None:
    torch.save(torch.from_numpy(IMAGES), FILE, _use_new_zipfile_serialization=False)


def load_legacy() -> None:
    path = FILE
    torch.save(torch.load(path, weights_only=True), path)


def flipped(after: bytes, at: int) -> Callable[[], None]:
    """Write a file with a wrong byte."""

    def make() -> None:
        saved()
        content = bytearray(Path(FILE).read_bytes())
        content[content.find(after) + at] ^= 0xF7
        Path(FILE).write_bytes(content)

    return make


def headed(header: bytes) -> None:
    """Write a safetensors file with this header."""
    Path("x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(96))


TWICE = b'{"embeddings":{"dtype":"F32","shape":[4,6],"data_offsets":[0,96],"more":{"a":1,"a":2}}}'
AGAIN = "Copy or download the file again"
CLONE = "torch.save(embeddings.detach().clone(), path)"
ARRAYS = {
    "a zip without a tensor": (only("data.pkl", lambda _: None), CLONE, clone),
    "big-endian": (only("byteorder", lambda _: b"big"), CLONE, clone),
    "a description of 9 MB": (only("data.pkl", lambda held: held + bytes(9 << 20)), CLONE, clone),
    "no numbers": (only("data/0", lambda _: None), CLONE, clone),
    "compressed": (rezip(lambda _, held: held, zipfile.ZIP_DEFLATED), CLONE, clone),
    "fewer numbers than announced": (only("data/0", lambda held: held[:-8]), AGAIN, saved),
    "a shape larger than the numbers": (
        only("data.pkl", lambda held: held.replace(b"K<K\x06\x86", b"K=K\x06\x86")), AGAIN, saved
    ),
    "cut short": (lambda: (saved(), Path(FILE).write_bytes(Path(FILE).read_bytes()[:-40])),
                  AGAIN, saved),
    "damaged": (flipped(b"PK\x01\x02", 6), AGAIN, saved),
    "a damaged description": (flipped(b"_rebuild", 3), AGAIN, saved),
    "a format from before 1.6": (
        save_legacy, "torch.load(path, weights_only=True) and save again", load_legacy
    ),
    "several tensors": (
        lambda: torch.save({"a": torch.ones(2, 2), "b": torch.ones(2, 2)}, FILE), CLONE, clone
    ),
    "an object": (lambda: torch.save(Path("x"), FILE), CLONE, clone),
    "a broken pickle": (only("data.pkl", lambda held: held[:-20]), AGAIN, saved),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS)
def test_a_torch_file_saved_as_advised_is_read(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, said, mend = ARRAYS[case]
    obey(Advice(lambda: describe(Path(FILE)), said, None, before, mend))
    assert describe(Path(FILE)).rows == 60


def test_a_header_of_safetensors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("x.safetensors")
    obey(
        Advice(
            lambda: describe(file), "has a damaged header", None, lambda: headed(TWICE),
            lambda: save_file({"embeddings": IMAGES}, file),
        )
    )  # fmt: skip
