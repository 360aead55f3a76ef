"""A small real data set that needs no download: the two halves of handwritten digits as pairs."""

import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tunewright.recipes.pairs.data.pair_files import open_pairs, save_pairs
from tunewright.recipes.pairs.data.split import SplitRule, TuningSubset, split_pairs
from tunewright.runs.cache import make_once

NAME = "digits"
ARCHIVE = "digits.zip"
BRIGHTEST = 16  # a pixel of the set is an integer from 0 to 16
ENLARGED = 8  # pixels on a side that show one pixel of the set
ZIP_DATE = (1998, 7, 1, 0, 0, 0)  # the month the set was donated; any constant would do


def embedded_digits(folder: Path | str) -> Path:
    """Make, once, the pairs of left and right halves in `folder`/digits, and return that folder.

    For demonstrations and tests: 1,797 pairs of float32 [32], the pixels of a half divided by
    16, as the sets train, val, test (60/20/20) and train_tuning, with pictures in a zip. The
    same files each time. Source: UCI "Optical Recognition of Handwritten Digits" (Alpaydin and
    Kaynak 1998), as scikit-learn ships it.
    """
    return make_once(Path(folder) / NAME, _make)


def _make(folder: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    left, right = np.split(digits.images.astype(np.float32), 2, axis=2)  # two of [N, 8, 4]
    rows = range(len(left))
    metadata = {
        "dataset_name": NAME,
        "total_pairs": len(left),
        "unique_images": len(left),
        "image_ids": list(rows),
        "source": "sklearn.datasets.load_digits",
        "texts": [f"right half of a {digits.target[row]}, no. {row}" for row in rows],
        "image_root": ARCHIVE,
        "image_files": [f"left/{row:04d}.png" for row in rows],
        "text_root": ARCHIVE,
        "text_files": [f"right/{row:04d}.png" for row in rows],
    }
    images, texts = (half.reshape(len(half), -1) / BRIGHTEST for half in (left, right))
    save_pairs(folder, NAME, images, texts, metadata)
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        for side, halves in (("left", left), ("right", right)):
            for row in rows:
                entry = zipfile.ZipInfo(f"{side}/{row:04d}.png", ZIP_DATE)
                archive.writestr(entry, _png(halves[row]))
    split_pairs(
        open_pairs(folder, NAME), folder, SplitRule(fractions=(0.6, 0.2, 0.2)), TuningSubset(600)
    )
    for path in folder.glob(f"{NAME}_*"):
        path.unlink()


def _png(half: npt.NDArray[np.float32]) -> bytes:
    grey = (half * (255 / BRIGHTEST)).round().astype(np.uint8)
    height, width = grey.shape
    picture = Image.fromarray(grey).resize(
        (width * ENLARGED, height * ENLARGED), Image.Resampling.NEAREST
    )
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()
