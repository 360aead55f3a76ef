"""Embeddings and metadata that are damaged end in one sentence that names the file."""

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch

from tunewright.errors import DataError
from tunewright.recipes.pairs.data.array_files import describe
from tunewright.recipes.pairs.data.pair_files import open_pairs

BASE = np.arange(320, dtype=np.float32).reshape(20, 16)


def refused(path, match):
    with pytest.raises(DataError, match=match) as caught:
        describe(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 16",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 20}",
        "{'descr': ['<f4'], 'fortran_order': False, 'shape': (20, 16)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (20, 16)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 16), 3: 4}",
        "{'descr': 'x9', 'fortran_order': False, 'shape': (20, 16)}",
        "[" * 3000,
        "'''",
        "{'a': b'\\xzz'}",
    ],
)
def test_headers_of_npy(tmp_path, header):
    text = header.encode()
    file = tmp_path / "x.npy"
    file.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + BASE.tobytes())
    refused(file, r"cut short or no \.npy file")


class Pickler(pickle.Pickler):
    """Writes the storage of a tensor as torch does."""

    def persistent_id(self, value):
        return value[1] if isinstance(value, tuple) and value[:1] == ("PID",) else None


class Described:
    """A tensor with any shape and strides."""

    def __init__(self, shape, strides):
        self.shape, self.strides = shape, strides

    def __reduce__(self):
        storage = ("PID", ("storage", torch.FloatStorage, "0", "cpu", 320))
        return torch._utils._rebuild_tensor_v2, (storage, 0, self.shape, self.strides, False, {})


@pytest.mark.parametrize(
    ("shape", "strides"),
    [((20, 16), ()), ((20,), (16, 1)), ((20, 16), (16, 1, 1)), ((), (1,)), ((-1, 16), (16, 1))],
)
def test_shapes_and_strides_of_pt(tmp_path, shape, strides):
    described, file = io.BytesIO(), tmp_path / "x.pt"
    Pickler(described, 2).dump(Described(shape, strides))
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x/data.pkl", described.getvalue())
        archive.writestr("x/data/0", BASE.tobytes())
    refused(file, "broken pickle|has the shape")


@pytest.mark.parametrize("at", [6, 10, 28, 42, 46])
def test_the_directory_of_pt(tmp_path, at):
    file = tmp_path / "x.pt"
    torch.save(torch.from_numpy(BASE), file)
    content = bytearray(file.read_bytes())
    content[content.find(b"PK\x01\x02") + at] ^= 0xF7
    file.write_bytes(content)
    refused(file, "damaged|cut short|without data.pkl|compressed")


def test_a_pickle_of_marks_without_end(tmp_path):
    file = tmp_path / "x.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + b"(t" * 200_000 + b".")
    refused(file, "contains more than 50,000 tuples")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\0" * (9 << 20))
    refused(file, "describes its tensor in 9,437,184 bytes")


def test_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    refused(tmp_path / "x.npy", "neither a file nor a link to one")
    refused(tmp_path / ("n" * 400 + ".npy"), "is missing")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"image_ids": ' + "{" * 90 + "}" * 90 + "}", "is not JSON"),
        ('{"image_ids": [' + "5" * 4400 + "]}", "a number of 4,400 digits"),
        ('{"image_ids": [1], "image_ids": [2]}', "duplicate key 'image_ids'"),
        ('{"image_ids": ["\\udcff"]}', "half a character"),
        (json.dumps({"image_ids": ["x"] * 19 + ["y" * 5000]}), "an image id .* 5,000 characters"),
    ],
)
def test_metadata(tmp_path, text, match):
    for side in ("image", "text"):
        np.save(tmp_path / f"t_{side}_embeddings.npy", BASE)
    (tmp_path / "t_metadata.json").write_text(text)
    with pytest.raises(DataError, match=match):
        open_pairs(tmp_path, "t")


def test_a_folder_or_pipe_in_place_of_metadata(tmp_path):
    for side in ("image", "text"):
        np.save(tmp_path / f"t_{side}_embeddings.npy", BASE)
    (tmp_path / "t_metadata.json").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        open_pairs(tmp_path, "t")
    (tmp_path / "t_metadata.json").rmdir()
    os.mkfifo(tmp_path / "t_metadata.json")
    with pytest.raises(DataError, match="it is a pipe"):
        open_pairs(tmp_path, "t")
