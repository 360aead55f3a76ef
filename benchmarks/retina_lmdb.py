"""LMDBs of patients: ours against pickled tuples of the same pictures, written and read.

build    ours: `build_lmdb` from a folder and a table, which also hashes all pictures, splits the
         patients and checks for leaks (the hashes of later rounds are those of the first call).
         pickled: each file read, encoded in base64, both eyes of a patient pickled, in transactions
         of 1,000, and the reports of 5,000, for each of the same splits, as RET-CLIP's script
         writes them
read     every picture file once, in shuffled order, up to its bytes. ours: `PictureReader`.
         pickled: `pickle.loads` and base64, for each picture the patient's pair

    python benchmarks/retina_lmdb.py [--quick]
"""

import argparse
import base64
import csv
import io
import pickle
import random
import shutil
import tempfile
import time
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image, ImageFilter
from rounds import judge, ratio, run_rounds, save

from tunewright.images.sources.reader import PictureReader
from tunewright.recipes.retina.config import EyesConfig
from tunewright.recipes.retina.data.lmdb_build import build_lmdb
from tunewright.recipes.retina.data.open_eyes import open_eyes

SIDE = 224
SPLITS = ("train", "valid", "test")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few patients; nothing is saved")
    options = parser.parse_args()
    patients, rounds = (100, 2) if options.quick else (1000, 7)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        size = write_source(place / "source", patients)
        pictures = 2 * patients

        def ours() -> dict[str, float]:
            shutil.rmtree(place / "ours", ignore_errors=True)
            began = time.perf_counter()
            build_lmdb(EyesConfig(dir=str(place / "source")), place / "ours")
            return {"images_per_s": pictures / (time.perf_counter() - began)}

        def pickled() -> dict[str, float]:
            shutil.rmtree(place / "pickled", ignore_errors=True)
            began = time.perf_counter()
            write_pickled(place / "source", place / "pickled", patients)
            return {"images_per_s": pictures / (time.perf_counter() - began)}

        print(
            f"-- build: {pictures:,} JPEGs of {SIDE} pixels, {size / pictures / 1024:.1f} KiB each"
        )
        built = run_rounds({"ours": ours, "pickled": pickled}, rounds=rounds, null="ours")
        print("-- read, in shuffled order")
        read = run_rounds(
            {
                "ours": lambda: read_ours(place / "ours"),
                "pickled": lambda: read_pickled(place / "pickled"),
            },
            rounds=rounds,
            null="ours",
        )
    parts: dict[str, object] = {}
    for name, measured in (("build", built), ("read", read)):
        ratios = {
            "ours over pickled": ratio(measured, "ours", "pickled", "images_per_s"),
            "ours over ours": ratio(measured, "ours again", "ours", "images_per_s"),
        }
        verdict = judge(ratios["ours over pickled"], at_least=1.0)
        medians = {arm: measured.median(arm, "images_per_s") for arm in ("ours", "pickled")}
        print(f"{name}: {medians}, {ratios['ours over pickled']}, at least 1.0x: {verdict}")
        parts[name] = {
            "median_images_per_s": medians,
            "ratios": ratios,
            "at least 1.0x of a pickled LMDB": verdict,
            "first_calls": measured.first_calls,
            "rounds": measured.rounds,
        }
    if not options.quick:
        facts = {"patients": patients, "pixels": SIDE, "bytes": size}
        path = save("retina_lmdb", "python benchmarks/retina_lmdb.py", None, **facts, **parts)
        print(f"written: {path}")


def write_source(folder: Path, patients: int) -> int:
    """Blurred noise with the size of a fundus photograph's file; returns the bytes of all."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    rows, size = [("patient_id", "left_file", "right_file", "text", "label")], 0
    for number in range(patients):
        names = [f"{number}_{side}.jpg" for side in ("left", "right")]
        for name in names:
            noise = Image.fromarray(draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
            content = io.BytesIO()
            noise.filter(ImageFilter.GaussianBlur(2)).save(content, "JPEG", quality=95)
            (folder / name).write_bytes(content.getvalue())
            size += len(content.getvalue())
        rows.append((str(number), *names, f"report of eyes {number}", "ab"[number % 2]))
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return size


def write_pickled(source: Path, folder: Path, patients: int) -> None:
    held = round(0.15 * patients)
    bounds = (0, patients - 2 * held, patients - held, patients)
    for split, first, end in zip(SPLITS, bounds, bounds[1:], strict=False):
        (folder / split).mkdir(parents=True)
        write_pickled_split(source, folder / split, range(first, end))


def write_pickled_split(source: Path, folder: Path, patients: range) -> None:
    environment = lmdb.open(str(folder / "pairs"), map_size=1 << 40)
    with environment.begin(write=True) as writing:
        for row, number in enumerate(patients):
            value = pickle.dumps((number, row, f"report of eyes {number}"))
            writing.put(str(row).encode(), value)
        writing.put(b"num_samples", str(len(patients)).encode())
    environment.close()
    environment = lmdb.open(str(folder / "imgs"), map_size=1 << 40)
    writing = environment.begin(write=True)
    for row, number in enumerate(patients):
        eyes = tuple(
            base64.urlsafe_b64encode((source / f"{number}_{side}.jpg").read_bytes()).decode()
            for side in ("left", "right")
        )
        writing.put(str(number).encode(), pickle.dumps(eyes))
        if (row + 1) % 1000 == 0:
            writing.commit()
            writing = environment.begin(write=True)
    writing.put(b"num_images", str(len(patients)).encode())
    writing.commit()
    environment.close()


def read_ours(folder: Path) -> dict[str, float]:
    places = list(open_eyes(folder).pictures.places)
    random.Random(0).shuffle(places)
    reader, taken = PictureReader(), 0
    began = time.perf_counter()
    for place in places:
        taken += len(reader.content(place))
    return {"images_per_s": len(places) / (time.perf_counter() - began), "bytes": taken}


def read_pickled(folder: Path) -> dict[str, float]:
    environments = [
        lmdb.open(str(folder / split / "imgs"), readonly=True, lock=False) for split in SPLITS
    ]
    readers = [environment.begin(buffers=True) for environment in environments]
    places = [
        (reading, bytes(key), side)
        for reading in readers
        for key, _ in reading.cursor()
        if bytes(key) != b"num_images"
        for side in (0, 1)
    ]
    random.Random(0).shuffle(places)
    taken = 0
    began = time.perf_counter()
    for reading, key, side in places:
        eyes = pickle.loads(reading.get(key))
        taken += len(base64.urlsafe_b64decode(eyes[side]))
    seconds = time.perf_counter() - began
    for reading, environment in zip(readers, environments, strict=True):
        reading.abort()
        environment.close()
    return {"images_per_s": len(places) / seconds, "bytes": taken}


if __name__ == "__main__":
    main()
