"""The built-in pairs are real, whole, free of leaks and the same every time."""

import io
import zipfile

import numpy as np
from PIL import Image

from tunewright.recipes.pairs.data.array_files import read_rows
from tunewright.recipes.pairs.data.digits import embedded_digits
from tunewright.recipes.pairs.data.pair_checks import check_leaks, check_pairs
from tunewright.recipes.pairs.data.pair_files import open_pairs


def test_digits(tmp_path):
    folder = embedded_digits(tmp_path)
    sets = {name: open_pairs(folder, name) for name in ("train", "val", "test", "train_tuning")}
    assert sum(sets[name].rows for name in ("train", "val", "test")) == 1797
    assert np.allclose(
        [sets[n].rows / 1797 for n in ("train", "val", "test")], [0.6, 0.2, 0.2], atol=0.01
    )
    for pairs in sets.values():
        check_pairs(pairs)
    check_leaks(sets["train"], [sets["val"], sets["test"]])

    val = sets["val"]
    with zipfile.ZipFile(folder / val.metadata["image_root"]) as archive:
        picture = Image.open(io.BytesIO(archive.read(val.metadata["image_files"][7])))
    assert picture.size == (32, 64)
    shown = np.asarray(picture)[::8, ::8].ravel() / 255
    assert np.abs(shown - read_rows(val.images)[7]).max() < 0.003
    assert val.metadata["texts"][7].startswith("right half of a ")

    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert embedded_digits(tmp_path) == folder
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = embedded_digits(tmp_path / "again")
    assert all((again / name).read_bytes() == (folder / name).read_bytes() for name in before)
