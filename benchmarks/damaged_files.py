"""Damaged files that are read one by one: settings, tables, pictures, arrays, archives."""

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from damage import FOREIGN, Door, cut, cut_row, damage, lose_cell, refuse, require, reword
from PIL import Image
from safetensors.numpy import save_file

import tunewright
from tunewright.images.sources.decode import rgb
from tunewright.images.sources.open_source import open_table
from tunewright.images.sources.reader import PictureReader
from tunewright.recipes.compression.codec.container import (
    FINGERPRINT_BYTES,
    Container,
    pack,
    unpack,
)
from tunewright.recipes.pairs.data.array_files import describe
from tunewright.recipes.pairs.data.pair_files import open_pairs
from tunewright.runs.stored_yaml import read_stored

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA")
SPACES = (
    b"parameters:\n  model.type: {choices: [clip, mlp]}\n  model.hidden_dim:\n"
    b"    choices: [256, 512]\n    when: {model.type: [clip, mlp]}\n    fits: value <= rows\n"
    b"  optim.lr: {type: float, low: 1e-5, high: 1e-2, log: true}\n"
    b"forbid:\n  - {model.type: mlp, model.hidden_dim: 256}\nsettings: {study: {trials: 3}}\n",
    b"study: {name: a, direction: maximize, metric: val_t2i_recall_1, n_trials: 3, pruner: asha}\n"
    b"hyperparameters:\n  lr: {type: float, low: 1e-5, high: 1e-2, log: true}\n"
    b"  seed: {type: categorical, choices: [1, 2]}\nfixed: {training.epochs: 3}\n",
)
CONFIGURATION = (
    b"recipe: pairs\nseed: 3\noptim: {type: adamw, lr: 1e-3, weight_decay: 0.1}\n"
    b"training:\n  epochs: 3\n  batch_size: 64\nmodel: {type: clip, hidden_dim: 256}\n"
)
NAMES = [f"{label}/{number}.png" for label in "ab" for number in range(3)]
SEEN = 0.3
"""Share of the inputs whose damage can be seen, which must be refused."""

Spoil = Callable[[bytes, random.Random], bytes]


def file_doors() -> Mapping[str, Door]:
    """Write whole files into the working folder; return what reads damaged ones, by kind."""
    return {**_text_doors(), **_picture_doors(), **_array_doors()}


def _written(name: str, content: bytes) -> Path:
    Path(name).write_bytes(content)
    return Path(name)


def _text_door(
    file: str, contents: tuple[bytes, ...], read: Callable[[Path], object], *spoils: Spoil
) -> Door:
    """Return what reads a text with random damage, or with one that must be refused.

    spoils: such damages beside a file of another type.
    """

    def door(rng: random.Random) -> None:
        content = rng.choice(contents)
        if rng.random() > SEEN:
            read(_written(file, reword(content, rng)))
            return
        spoil = rng.choice([None, *spoils])
        spoiled = rng.choice(FOREIGN) if spoil is None else spoil(content, rng)
        what = "another type" if spoil is None else spoil.__name__.strip("_")
        refuse(lambda: read(_written(file, spoiled)), what)

    return door


def _text_doors() -> Mapping[str, Door]:
    table = "file,label,split\n" + "".join(f"{name},{name[0]},train\n" for name in NAMES)
    records = [
        {"id": name, "image_path": name, "label": name[0], "bbox_xyxy": [0, 0, 8, 8], "meta": {}}
        for name in NAMES
    ]
    manifest = "".join(json.dumps(record) + "\n" for record in records)
    metadata = json.dumps({"image_ids": list(range(40)), "texts": ["x"] * 40})
    curve = json.dumps({"bpp": [0.1, 0.2, 0.4, 0.8], "psnr": [30.0, 33.0, 36.0, 39.0]})
    Path("other.json").write_text(curve)

    def stored(file: Path) -> None:
        read = read_stored(file)
        require(file.read_bytes() not in FOREIGN, f"another type is read as {read}")

    def configuration(file: Path) -> None:
        tunewright.show("pairs", str(file))
        require(file.read_bytes() not in FOREIGN, "another type")

    def stored_door(rng: random.Random) -> None:
        spoiled = rng.random() < SEEN
        content = rng.choice(FOREIGN) if spoiled else reword(CONFIGURATION, rng)
        rng.choice([stored, configuration])(_written("c.yaml", content))

    return {
        "space": _text_door(
            "c.yaml", SPACES, lambda file: tunewright.space(str(file), recipe="pairs")
        ),
        "configuration": stored_door,
        "metadata": _text_door(
            "t_metadata.json",
            (metadata.encode(),),
            lambda _: open_pairs(Path(), "t"),
            cut,
            _lose_entry,
        ),
        "tables": _text_door("c.csv", (table.encode(),), open_table, lose_cell, cut_row),
        "manifests": _text_door("c.jsonl", (manifest.encode(),), open_table, _cut_line),
        "curves": _text_door(
            "c.json",
            (curve.encode(),),
            lambda file: tunewright.bd_rate(str(file), "other.json"),
            cut,
            _lose_entry,
        ),
    }


def _cut_line(lines: bytes, rng: random.Random) -> bytes:
    """Leave out the end of a file, in the middle of a line."""
    while (spoiled := cut(lines, rng))[-1:] in (b"\n", b"}", b""):
        pass
    return spoiled


def _lose_entry(text: bytes, rng: random.Random) -> bytes:
    """Leave out one entry of one of the lists that stand for the same things."""
    lists = json.loads(text)
    key = rng.choice(list(lists))
    del lists[key][rng.randrange(len(lists[key]))]
    return json.dumps(lists).encode()


def _picture_doors() -> Mapping[str, Door]:
    noise = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    pictures: dict[str, bytes] = {}
    for kind in FORMATS:
        file = io.BytesIO()
        picture.save(file, kind)
        pictures[kind] = file.getvalue()
    whole = {kind: np.asarray(rgb(content, "c")) for kind, content in pictures.items()}
    for name in NAMES:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(pictures["PNG"])
    coded = pack(
        Container(bytes(FINGERPRINT_BYTES), 64, 48, False, 1, "cpu", 12, (b"abcd", b"efgh"))
    )

    def decode(rng: random.Random) -> None:
        kind = rng.choice(FORMATS)
        if rng.random() > SEEN:
            rgb(damage(pictures[kind], rng), "c")
        elif rng.random() < 0.5:
            refuse(lambda: rgb(rng.choice(FOREIGN), "c"), "another type")
        else:
            read = np.asarray(rgb(cut(pictures[kind], rng), "c"))
            require(np.array_equal(read, whole[kind]), f"a {kind} without its end")

    def archive(rng: random.Random) -> None:
        file = io.BytesIO()
        packing = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        with zipfile.ZipFile(file, "w", packing) as made:
            for name in NAMES:
                made.writestr(name, pictures["PNG"])
            if rng.random() < 0.5:
                made.writestr("index.csv", "file,label\n" + "".join(f"{n},{n[0]}\n" for n in NAMES))
        spoil = rng.choice([damage, damage, cut])
        content = rng.choice(FOREIGN) if rng.random() < 0.1 else spoil(file.getvalue(), rng)
        reader = PictureReader()
        try:
            places = open_table(_written("c.zip", content)).places
            read = [np.asarray(reader.picture(place)) for place in places]
        finally:
            reader.close()
        require(len(read) == len(NAMES), f"{len(read)} of {len(NAMES)} pictures")
        # The checksums of the archive tell a picture that has changed.
        require(all(np.array_equal(one, noise) for one in read), "a picture that has changed")

    def compressed(rng: random.Random) -> None:
        if rng.random() > SEEN:
            body = damage(coded[:-4], rng)  # with its checksum, which would end the reading
            unpack(body + struct.pack("<I", zlib.crc32(body)), "c.twc")
            return
        content = rng.choice([damage, cut])(coded, rng)
        unpack(content, "c.twc")
        require(content == coded, "a changed file")

    return {"pictures": decode, "zips": archive, "compressed": compressed}


def _array_doors() -> Mapping[str, Door]:
    matrix = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    np.save("whole.npy", matrix)
    torch.save({"embeddings": torch.from_numpy(matrix)}, "whole.pt")
    save_file({"embeddings": matrix}, "whole.safetensors")
    arrays = {kind: Path(f"whole{kind}").read_bytes() for kind in (".npy", ".pt", ".safetensors")}
    for side in ("image", "text"):
        np.save(f"t_{side}_embeddings.npy", matrix)
        np.save(f"u_{side}_embeddings.npy", matrix)

    def embeddings(rng: random.Random) -> None:
        kind = rng.choice(list(arrays))
        head = rng.choice([128, len(arrays[kind])])
        if rng.random() > SEEN:
            content = damage(arrays[kind][:head], rng) + arrays[kind][head:]
            describe(_written(f"c{kind}", content))
            return
        match rng.randrange(3):
            case 0:
                refuse(lambda: describe(_written(f"c{kind}", rng.choice(FOREIGN))), "another type")
            case 1:
                spoiled = cut(arrays[kind], rng)
                refuse(lambda: describe(_written(f"c{kind}", spoiled)), f"a {kind} without its end")
            case _:
                np.save("u_text_embeddings.npy", matrix[: rng.randrange(1, 40)])
                refuse(lambda: open_pairs(Path(), "u"), "a table with lost rows")

    return {"embeddings": embeddings}
