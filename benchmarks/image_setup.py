"""What setting up a trial on pictures costs the first time, and every time after it.

From a checked configuration to the first batch on the training device: finding and splitting the
pictures, hashing and decoding them into the shared store, the model, the first augmented batch.
Each round is a fresh Python process with an empty cache, which sets up the same configuration
three times, as a warm worker does for three trials; imports come before the first and are in
none of them. The pictures are drawn by this script: 3,000 JPEG files of 320 x 240 in class folders.

    python benchmarks/image_setup.py [--quick]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES, CLASSES, WIDTH, HEIGHT, SIZE = 3_000, 10, 320, 240, 128
TARGET = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="300 pictures, 2 rounds; not saved")
    parser.add_argument("--set-up", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.set_up:
        print(json.dumps(set_up_three_times(options.set_up)))
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    from rounds import judge, run_rounds, save, summarise

    pictures, rounds = (300, 2) if options.quick else (PICTURES, options.rounds)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        write_pictures(folder, pictures)
        in_a_fresh_process(folder)  # the files are in the system's cache from here on
        every: list[Mapping[str, float]] = []

        def whole() -> Mapping[str, float]:
            every.append(in_a_fresh_process(folder))
            return {f"{name}_seconds": seconds for name, seconds in every[-1].items()}

        measured = run_rounds({"a worker": whole}, rounds=rounds, warm_ups=0)
    second = summarise([one["second"] / one["first"] for one in every])
    third = summarise([one["third"] / one["first"] for one in every])
    verdict = judge(second, at_most=TARGET)
    print(f"second over first: {second}; third over first: {third}")
    print(f"at most {TARGET:.0%} of the first: {verdict}")
    if not options.quick:
        command = f"python benchmarks/image_setup.py --rounds {rounds}"
        written = save(
            "image_setup", command, measured, pictures=pictures, pixels=[WIDTH, HEIGHT],
            store_pixels=SIZE, second_over_first=second, third_over_first=third, verdict=verdict,
        )  # fmt: skip
        print(f"written: {written}")


def in_a_fresh_process(folder: Path) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory() as home:
        words = [sys.executable, __file__, "--set-up", str(folder)]
        done = subprocess.run(
            words, check=True, env={**os.environ, "HOME": home}, capture_output=True, text=True
        )
    found: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def set_up_three_times(folder: Path) -> dict[str, float]:
    import torch

    from tunewright.classification.setup import make_setup
    from tunewright.config.compose import compose
    from tunewright.recipes.registry import find_recipe

    words = [f"data.dir={folder}", f"data.image_size={SIZE}", "model.fusion=global_concat"]
    config = compose(find_recipe("longtail"), words).config
    seconds = {}
    for name in ("first", "second", "third"):
        began = time.perf_counter()
        setup = make_setup(config, torch.device("cpu"))
        next(iter(setup.train.epoch(0)))
        seconds[name] = time.perf_counter() - began
        del setup
    return seconds


def write_pictures(folder: Path, count: int) -> None:
    draws = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class {number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = draws.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        picture.save(place / f"{number:05}.jpg", quality=90)


if __name__ == "__main__":
    main()
