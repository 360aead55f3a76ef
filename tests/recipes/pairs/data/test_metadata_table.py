"""The metadata of a set of pairs in a table."""

import numpy as np
import pytest

from tunewright.errors import DataError
from tunewright.recipes.pairs.data.pair_files import open_pairs, save_pairs


def with_table(folder, text, name="a_metadata.csv"):
    rows = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    save_pairs(folder, "a", rows, rows, {"image_ids": [0, 1, 2]})
    (folder / "a_metadata.json").unlink()
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_takes_the_place_of_the_json(tmp_path, mark):
    text = "image_id,caption,split\n7,a cat,train\n7,a dog,train\n9,no,val\n".replace(",", mark)
    pairs = open_pairs(with_table(tmp_path, text), "a")
    assert pairs.ids.tolist() == [7, 7, 9]
    assert pairs.metadata["texts"] == ["a cat", "a dog", "no"]
    assert pairs.metadata["split"] == ["train", "train", "val"]


def test_ids_with_leading_zeros_are_text(tmp_path):
    place = with_table(tmp_path, "Image_ID\tfile\n007\tx.jpg\n8\ty.jpg\n9\tz.jpg\n", "m.tsv")
    pairs = open_pairs(place, "a", "m.tsv")
    assert pairs.ids.tolist() == ["007", "8", "9"]
    assert pairs.metadata["image_files"] == ["x.jpg", "y.jpg", "z.jpg"]


def test_a_table_that_does_not_fit(tmp_path):
    with pytest.raises(DataError, match=r"3 text rows and 1 image_ids in a_metadata\.csv"):
        open_pairs(with_table(tmp_path, "image_id\n7\n"), "a")
    with pytest.raises(DataError, match=r"no column with the image ids, but caption"):
        open_pairs(with_table(tmp_path, "caption\na\n"), "a")
