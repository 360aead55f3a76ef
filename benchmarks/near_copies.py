"""Which distance of two perceptual hashes tells near copies from other pictures.

Counts, for distances from 0 to 64 of 256 bits, the pairs of different files in each set that are
at most so far apart, and the share of pictures whose changed version is: saved as JPEG of quality
50, at half the size, 20 % lighter, 20 % less contrast, grey, 4 % and 10 % cropped, mirrored.

    python benchmarks/near_copies.py FOLDER

FOLDER holds the sets cifar10_lt, flowers17, fashion_pairs and odir_pairs, each an index.csv with
a zip beside it. Sets of more than 3,000 pictures are sampled.
"""

import argparse
import io
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance
from rounds import save

from tunewright.images.dataset.near_copies import MOST_BITS, hash_distances, perceptual_hashes
from tunewright.images.loading.square import as_uint8

SETS = {"cifar10_lt": 32, "flowers17": 144, "fashion_pairs": 80, "odir_pairs": 128}
"""Name of the set and the side of its pictures in pixels."""
PICTURES, CHANGED = 3_000, 400
DISTANCES = (0, 8, 16, 24, 32, 40, 48, 56, 64)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = {name: measure(folder / name / f"{name}.zip", side) for name, side in SETS.items()}
    facts = {"most_bits": MOST_BITS, "pictures_at_most": PICTURES, "changed": CHANGED}
    path = save("near_copies", "python benchmarks/near_copies.py FOLDER", None, **facts, **found)
    print(f"written: {path}")


def measure(archive: Path, side: int) -> dict[str, object]:
    """Counts and shares of one set, by distance."""
    pictures = load(archive)
    began = time.perf_counter()
    hashes = hashed(pictures, side)
    each = (time.perf_counter() - began) / len(pictures)
    counts = np.zeros(258, dtype=np.int64)
    for start, distances in hash_distances(hashes, hashes):
        rows = np.arange(len(distances))
        distances[rows, start + rows] = 257  # not with itself
        counts += np.bincount(distances.ravel(), minlength=258)
    pairs = np.cumsum(counts) // 2
    shares = {}
    for name, change in CHANGES.items():
        changed = hashed([change(picture) for picture in pictures[:CHANGED]], side)
        bits = np.bitwise_count(hashes[:CHANGED] ^ changed).sum(1)
        shares[name] = {str(most): round(float((bits <= most).mean()), 4) for most in DISTANCES}
    print(archive.stem, len(pictures), {most: int(pairs[most]) for most in DISTANCES})
    for name, by_distance in shares.items():
        print(f"  {name:<14}", by_distance)
    return {
        "pictures": len(pictures),
        "side": side,
        "microseconds_with_decoding_done": round(each * 1e6),
        "pairs": len(pictures) * (len(pictures) - 1) // 2,
        "pairs_within": {str(most): int(pairs[most]) for most in DISTANCES},
        "changed_found_within": shares,
    }


def load(archive: Path) -> list[Image.Image]:
    """A sample of the pictures of a zip."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(n for n in opened.namelist() if n.lower().endswith((".jpg", ".png")))
        draws = np.random.default_rng(0)
        if len(names) > PICTURES:
            names = [names[at] for at in draws.choice(len(names), PICTURES, replace=False)]
        return [Image.open(io.BytesIO(opened.read(name))).convert("RGB") for name in names]


def hashed(pictures: list[Image.Image], side: int) -> np.ndarray:
    return perceptual_hashes(np.stack([as_uint8(picture, side) for picture in pictures]))


def recoded(picture: Image.Image) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=50)
    return Image.open(content).convert("RGB")


def cropped(picture: Image.Image, share: float) -> Image.Image:
    right, down = (round(length * share / 2) for length in picture.size)
    return picture.crop((right, down, picture.width - right, picture.height - down))


CHANGES = {
    "jpeg 50": recoded,
    "half the size": lambda p: p.resize((p.width // 2, p.height // 2), Image.Resampling.BICUBIC),
    "20 % lighter": lambda p: ImageEnhance.Brightness(p).enhance(1.2),
    "less contrast": lambda p: ImageEnhance.Contrast(p).enhance(0.8),
    "grey": lambda p: p.convert("L").convert("RGB"),
    "4 % cropped": lambda p: cropped(p, 0.04),
    "10 % cropped": lambda p: cropped(p, 0.10),
    "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


if __name__ == "__main__":
    main()
