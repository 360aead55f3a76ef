"""Splits keep whole groups, lose no row, and repeat."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tunewright.errors import DataError
from tunewright.recipes.pairs.data.array_files import read_rows
from tunewright.recipes.pairs.data.batches import open_tensor
from tunewright.recipes.pairs.data.groups import deal, image_and_text_groups
from tunewright.recipes.pairs.data.pair_checks import check_leaks
from tunewright.recipes.pairs.data.pair_files import open_pairs, save_pairs
from tunewright.recipes.pairs.data.split import SPLITS, SplitRule, TuningSubset, split_pairs


def source(folder, ids, captions=None, seed=0, **metadata):
    """A set whose rows have equal image embeddings where the ids are equal."""
    rng = np.random.default_rng(seed)
    numbers = np.unique(np.array(ids), return_inverse=True)[1]
    images = rng.standard_normal((numbers.max() + 1, 5)).astype(np.float32)[numbers]
    texts = rng.standard_normal((len(ids), 3)).astype(np.float32)
    if captions is not None:
        metadata["texts"] = captions
    save_pairs(
        folder, "all", images, texts, {"image_ids": ids, "row": [*range(len(ids))]} | metadata
    )
    return open_pairs(folder, "all")


def rows_of(folder, name):
    path = Path(folder) / f"{name}_metadata.json"
    return json.loads(path.read_text())["row"] if path.exists() else []


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_group_straddles_and_no_row_is_lost(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("split")
    rows = data.draw(st.integers(8, 60))
    ids = data.draw(st.lists(st.integers(0, 30), min_size=rows, max_size=rows))
    assume(len(set(ids)) >= len(SPLITS))
    captions = [
        f"text {n}" for n in data.draw(st.lists(st.integers(0, 99), min_size=rows, max_size=rows))
    ]
    pairs = source(folder, ids, captions)
    groups = image_and_text_groups(pairs)
    report = split_pairs(pairs, folder / "out", SplitRule(seed=data.draw(st.integers(0, 9))))
    found = {name: rows_of(folder / "out", name) for name in SPLITS}
    assert sorted(row for rows in found.values() for row in rows) == list(range(rows))
    assert all(found.values())
    sides = np.empty(rows, dtype=int)
    for number, name in enumerate(SPLITS):
        sides[found[name]] = number
    for key in [np.array(ids), *([groups] if "text" in report.grouped_by else [])]:
        assert all(len(set(sides[key == value])) == 1 for value in set(key.tolist()))
    assert set(rows_of(folder / "out", "train_tuning")) <= set(found["train"])
    train = open_pairs(folder / "out", "train")
    check_leaks(train, [open_pairs(folder / "out", name) for name in ("val", "test")])


@pytest.mark.parametrize("seed", range(5))
def test_fractions_are_near(seed):
    groups = np.repeat(np.arange(400), 5)
    parts = deal(groups, (0.7, 0.1, 0.2), np.random.default_rng(seed))
    assert np.abs(np.bincount(parts) / len(parts) - [0.7, 0.1, 0.2]).max() < 0.01


def test_rows_keep_their_values(tmp_path):
    pairs = source(tmp_path, [*range(50)])
    seen = []
    report = split_pairs(
        pairs, tmp_path / "out", progress=lambda done, total: seen.append((done, total))
    )
    for name in report.rows:
        part, rows = open_pairs(tmp_path / "out", name), rows_of(tmp_path / "out", name)
        assert np.array_equal(read_rows(part.images), read_rows(pairs.images)[rows])
        assert np.array_equal(read_rows(part.texts), read_rows(pairs.texts)[rows])
        assert part.ids.tolist() == pairs.ids[rows].tolist()
    assert seen[-1][0] == seen[-1][1] == 2 * sum(report.rows.values())


def test_same_seed_same_files(tmp_path):
    pairs = source(tmp_path, [n // 2 for n in range(60)])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        split_pairs(pairs, tmp_path / name, SplitRule(seed=seed))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    same = [(tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names]
    assert all(same)
    assert rows_of(tmp_path / "a", "val") != rows_of(tmp_path / "c", "val")


def test_bfloat16_stays_bfloat16(tmp_path):
    tensor = torch.randn(30, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    for side in ("image", "text"):
        torch.save(tensor, tmp_path / f"all_{side}_embeddings.pt")
    (tmp_path / "all_metadata.json").write_text(json.dumps({"image_ids": [*range(30)]}))
    split_pairs(open_pairs(tmp_path, "all"), tmp_path)
    train = open_pairs(tmp_path, "train")
    assert train.images.path.suffix == ".safetensors"
    assert torch.equal(open_tensor(train.images), tensor[train.ids])


def test_one_text_on_every_row_falls_back(tmp_path):
    pairs = source(tmp_path, [*range(40)], ["a photo"] * 40)
    report = split_pairs(pairs, tmp_path / "out")
    assert report.grouped_by == ("image",)
    assert "join 40 of 40 rows" in report.notices[0]
    with pytest.raises(DataError, match="join 40 of 40 rows"):
        split_pairs(pairs, tmp_path / "strict", SplitRule(text_groups=True))


def test_subset_of_images_and_of_rows(tmp_path):
    pairs = source(tmp_path, [n // 5 for n in range(500)])
    split_pairs(pairs, tmp_path / "images", subset=TuningSubset(100))
    split_pairs(pairs, tmp_path / "rows", subset=TuningSubset(100, "rows"))
    whole, drawn = (open_pairs(tmp_path / unit, "train_tuning").ids for unit in ("images", "rows"))
    assert len(whole) == len(drawn) == 100
    assert len(set(whole.tolist())) == 20
    assert len(set(drawn.tolist())) > 40


def test_ready_validation_set(tmp_path):
    pairs = source(tmp_path, [*range(50)])
    save_pairs(
        tmp_path,
        "val2017",
        *(np.ones((3, n), np.float32) for n in (5, 3)),
        {"image_ids": [90, 91, 92]},
    )
    ready = open_pairs(tmp_path, "val2017")
    report = split_pairs(pairs, tmp_path, validation=ready)
    assert report.rows == {"train": 40, "test": 10, "train_tuning": 40, "val": 3}
    assert open_pairs(tmp_path, "val").ids.tolist() == [90, 91, 92]
    with pytest.raises(DataError, match="one source of validation"):
        split_pairs(pairs, tmp_path / "b", SplitRule(fractions=(0.8, 0.1, 0.1)), validation=ready)
    leaking = source(tmp_path / "leak", [89, 90])
    with pytest.raises(DataError, match="1 of 3 rows"):
        split_pairs(leaking, tmp_path / "c", validation=ready)


def test_a_listed_split_is_followed(tmp_path):
    listed = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    pairs = source(tmp_path, [*range(10)], split=listed)
    split_pairs(pairs, tmp_path / "out", SplitRule("metadata"))
    assert rows_of(tmp_path / "out", "val") == [6, 7]
    leaking = source(tmp_path / "leak", [0, 1, 2, 3, 4, 5, 0, 7, 8, 9], split=listed)
    with pytest.raises(DataError, match=r"1 images .* several splits .*image ids 0"):
        split_pairs(leaking, tmp_path / "b", SplitRule("metadata"))
    with pytest.raises(DataError, match="Did you mean 'val'"):
        split_pairs(
            source(tmp_path / "odd", [0, 1], split=["train", "vall"]),
            tmp_path / "c",
            SplitRule("metadata"),
        )
    with pytest.raises(DataError, match="no 'split'"):
        split_pairs(source(tmp_path / "none", [0, 1]), tmp_path / "d", SplitRule("metadata"))


def test_pictures_are_found_from_the_new_folder(tmp_path):
    pairs = source(tmp_path / "a", [*range(20)], image_root="pictures.zip")
    split_pairs(pairs, tmp_path / "b")
    train = open_pairs(tmp_path / "b", "train")
    found = (train.folder / train.metadata["image_root"]).resolve()
    assert found == (tmp_path / "a" / "pictures.zip").resolve()


def test_nothing_is_overwritten_unasked(tmp_path):
    pairs = source(tmp_path, [*range(20)])
    split_pairs(pairs, tmp_path)
    with pytest.raises(DataError, match="already holds train, val, test, train_tuning"):
        split_pairs(pairs, tmp_path)
    split_pairs(pairs, tmp_path, SplitRule(seed=3), overwrite=True)
    with pytest.raises(DataError, match="by its own split"):
        split_pairs(open_pairs(tmp_path, "train"), tmp_path, overwrite=True)


@pytest.mark.parametrize("fractions", [(0.5, 0.1, 0.1), (0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_impossible_fractions(tmp_path, fractions):
    with pytest.raises(DataError, match="add up to 1"):
        split_pairs(
            source(tmp_path, [*range(20)]), tmp_path / "out", SplitRule(fractions=fractions)
        )


def test_too_few_groups(tmp_path):
    with pytest.raises(DataError, match="2 groups"):
        split_pairs(source(tmp_path, [1, 1, 2, 2]), tmp_path / "out")
