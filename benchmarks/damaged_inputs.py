"""How many damaged files of each kind end in anything but success or one sentence.

    python benchmarks/damaged_inputs.py --inputs 10000

Each input is a whole file with a few bytes flipped, inserted, cut or repeated, or with pieces of
YAML and JSON put in; seeds are fixed, so that input number N is always the same. An error that is
not ours counts as a traceback, more than ten seconds of processor time as a hang.
"""

import argparse
import io
import json
import os
import random
import signal
import struct
import tempfile
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from PIL import Image
from safetensors.numpy import save_file

import tunewright
from tunewright.errors import TunewrightError
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

RESULT = Path(__file__).parent / "results" / "damaged_inputs.json"
SECONDS = 10
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA")
CORNERS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x80\0\0\0")
PIECES = [
    *(b"&a ", b"*a", b"!!int ", b"!!python/name:os.system ", b"!x ", b"<<: ", b"? ", b"|\n", b"\t"),
    *(b"[", b"]", b"{", b"}", b": ", b"- ", b"'", b'"', b"\n  ", b"---\n", b"%YAML 9.9\n", b","),
    *(b"null", b"~", b"true", b"1e-3", b".nan", b"-1", b"9" * 400, b"${seed}", b"${a", b"\\ud800"),
    *(b"type: ", b"when: ", b"choices: ", b"low: ", b"fits: ", b"forbid: ", b"parameters: "),
    *(b"value % 2 == 0", b"9**9**9 > value", b"'a' * 10**10", b"defaults: ", b"NaN", b"[" * 99),
]
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

Door = Callable[[random.Random], object]


def damage(content: bytes, rng: random.Random) -> bytes:
    """Change a few bytes or stretches of a file."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(6) if data else 3:
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.randrange(256)
            case 2:
                del data[at : at + rng.randrange(1, 20)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 8))
            case 4:
                other = rng.randrange(len(data))
                data[at:at] = data[other : other + rng.randrange(1, 60)]
            case _:
                data[at : at + 4] = rng.choice(CORNERS)
    return bytes(data)


def reword(content: bytes, rng: random.Random) -> bytes:
    """Put pieces of YAML or JSON into a text."""
    data = bytearray(damage(content, rng) if rng.random() < 0.5 else content)
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.choice(PIECES)
    return bytes(data)


def doors() -> Mapping[str, Door]:
    """Write whole files into the working folder; return what reads damaged ones, by kind."""
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8))
    pictures: dict[str, bytes] = {}
    for kind in FORMATS:
        file = io.BytesIO()
        picture.save(file, kind)
        pictures[kind] = file.getvalue()
    matrix = rng.normal(size=(40, 16)).astype(np.float32)
    np.save("whole.npy", matrix)
    torch.save({"embeddings": torch.from_numpy(matrix)}, "whole.pt")
    save_file({"embeddings": matrix}, "whole.safetensors")
    arrays = {kind: Path(f"whole{kind}").read_bytes() for kind in (".npy", ".pt", ".safetensors")}
    for side in ("image", "text"):
        np.save(f"t_{side}_embeddings.npy", matrix)
    names = [f"{label}/{number}.png" for label in "ab" for number in range(3)]
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(pictures["PNG"])
    table = "file,label,split\n" + "".join(f"{name},{name[0]},train\n" for name in names)
    records = [
        {"id": name, "image_path": name, "label": name[0], "bbox_xyxy": [0, 0, 8, 8], "meta": {}}
        for name in names
    ]
    manifest = "".join(json.dumps(record) + "\n" for record in records)
    metadata = json.dumps({"image_ids": list(range(40)), "captions": ["x"] * 40})
    points = {"bpp": [0.1, 0.2, 0.4, 0.8], "psnr": [30.0, 33.0, 36.0, 39.0]}
    curve = json.dumps(points)
    Path("other.json").write_text(curve)
    coded = pack(
        Container(bytes(FINGERPRINT_BYTES), 64, 48, False, 1, "cpu", 12, (b"abcd", b"efgh"))
    )

    def written(name: str, content: bytes) -> Path:
        Path(name).write_bytes(content)
        return Path(name)

    def embeddings(rng: random.Random) -> object:
        kind = rng.choice(list(arrays))
        head = rng.choice([128, len(arrays[kind])])
        content = damage(arrays[kind][:head], rng) + arrays[kind][head:]
        return describe(written(f"c{kind}", content))

    def archive(rng: random.Random) -> None:
        file = io.BytesIO()
        packing = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        with zipfile.ZipFile(file, "w", packing) as made:
            for name in names:
                made.writestr(name, pictures["PNG"])
            if rng.random() < 0.5:
                made.writestr("index.csv", table)
        reader = PictureReader()
        try:
            for place in open_table(written("c.zip", damage(file.getvalue(), rng))).places:
                reader.picture(place)
        finally:
            reader.close()

    def of(file: str, content: bytes, read: Callable[[Path], object]) -> Door:
        return lambda rng: read(written(file, reword(content, rng)))

    return {
        "space": lambda rng: tunewright.space(
            str(written("c.yaml", reword(rng.choice(SPACES), rng))), recipe="pairs"
        ),
        "configuration": of("c.yaml", CONFIGURATION, lambda f: tunewright.show("pairs", str(f))),
        "stored YAML": of("c.yaml", CONFIGURATION, read_stored),
        "pictures": lambda rng: rgb(damage(pictures[rng.choice(FORMATS)], rng), "c"),
        "embeddings": embeddings,
        "metadata": of("t_metadata.json", metadata.encode(), lambda _: open_pairs(Path(), "t")),
        "zips": archive,
        "tables": of("c.csv", table.encode(), open_table),
        "manifests": of("c.jsonl", manifest.encode(), open_table),
        "curves": of(
            "c.json", curve.encode(), lambda file: tunewright.bd_rate(str(file), "other.json")
        ),
        "compressed": lambda rng: unpack(_sealed(damage(coded[:-4], rng)), "c.twc"),
    }


def _sealed(body: bytes) -> bytes:
    """Append the checksum of a compressed picture, which would end the reading at once."""
    return body + struct.pack("<I", zlib.crc32(body))


class _Hang(BaseException):
    """A reader that used too much processor time."""


def try_inputs(count: int, seed: int = 0) -> dict[str, Any]:
    """Read `count` damaged inputs of all kinds in turn; return counts by kind, and the faults."""
    found: dict[str, dict[str, int]] = {}
    faults: list[str] = []

    def stop(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGVTALRM, stop)
    with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        readers = doors()
        for number in range(count):
            kind = list(readers)[number % len(readers)]
            tally = found.setdefault(
                kind, {"accepted": 0, "refused": 0, "tracebacks": 0, "hangs": 0}
            )
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                readers[kind](random.Random(f"{seed} {number}"))
                tally["accepted"] += 1
            except TunewrightError:
                tally["refused"] += 1
            except _Hang:
                tally["hangs"] += 1
                faults.append(f"{kind} {number}: hang")
            except Exception as error:
                tally["tracebacks"] += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                faults.append(
                    f"{kind} {number}: {type(error).__name__} in {Path(where.filename).name}:"
                    f"{where.lineno}"
                )
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)
    return {"inputs": count, "seed": seed, "kinds": found, "faults": faults}


def main() -> None:
    """Try the inputs, print and store the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    result = {"machine": describe_machine(), **try_inputs(asked.inputs, asked.seed)}
    for kind, tally in result["kinds"].items():
        print(f"{kind:<14}", "  ".join(f"{name} {count:,}" for name, count in tally.items()))
    print("\n".join(result["faults"]) or "no faults")
    RESULT.write_text(json.dumps(result, indent=2) + os.linesep)


if __name__ == "__main__":
    main()
