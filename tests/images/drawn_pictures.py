"""Small pictures that tests draw themselves, each unlike all others, and sources made of them."""

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def picture(number, size=(12, 10), mode="RGB"):
    """Blocks of colour that JPEG keeps nearly as they are."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.NEAREST).convert(mode)


def encoded(number, kind="PNG", size=(12, 10), **options):
    file = io.BytesIO()
    picture(number, size).save(file, kind, **options)
    return file.getvalue()


def draw(path, number, **options):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    path.write_bytes(encoded(number, kind, **options))
    return path


def class_folders(folder, counts, start=0):
    """`{"train/rose": 3}` is three pictures in that folder."""
    number = start
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for at in range(count):
            draw(folder / name / f"{at}.png", number)
            number += 1
    return folder


def write_csv(path, rows, bom=False):
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_jsonl(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_zip(path, members, compression=zipfile.ZIP_STORED):
    """`{"a/1.png": number or bytes}` as an archive."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, encoded(content) if isinstance(content, int) else content)
    return path
