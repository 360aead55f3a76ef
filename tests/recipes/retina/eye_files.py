"""Small sets of pairs of eyes, made in a test."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

HEADER = ("patient_id", "left_file", "right_file", "text", "label", "split")


def picture(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (24, 24), (number * 7 % 256, number * 31 % 256, number % 256)).save(
        content, "PNG"
    )
    return content.getvalue()


def write_table(
    folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def write_patients(folder: Path, count: int = 24, classes: Sequence[str] = ("a", "b")) -> None:
    """Write patients p0, p1, ... with two pictures and a report each, without splits."""
    rows = []
    for number in range(count):
        names = [f"p{number}_{side}.png" for side in ("left", "right")]
        folder.mkdir(parents=True, exist_ok=True)
        for at, name in enumerate(names):
            (folder / name).write_bytes(picture(2 * number + at))
        label = classes[number % len(classes)]
        rows.append((f"p{number}", *names, f"an eye with {label}", label))
    write_table(folder, rows, HEADER[:-1])
