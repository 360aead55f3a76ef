"""What a warm worker keeps of a set is given up as soon as one of its files is another."""

import json
import os

import numpy as np
import pytest
import torch

from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.pairs.data.pair_files import save_pairs
from tunewright.recipes.pairs.setup import make_setup

ROWS = 12
DATED = (1577836800, 1577836800)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("train", "val"):
        images, texts = rng.standard_normal((2, ROWS, 6)).astype(np.float32)
        save_pairs(tmp_path, name, images, texts, {"image_ids": list(range(ROWS))})
    for file in tmp_path.iterdir():
        os.utime(file, DATED)
    return tmp_path


def valid(folder):
    data = {"dir": str(folder), "train": "train", "valid": "val"}
    config = PairsConfig.model_validate({"recipe": "pairs", "data": data})
    return make_setup(config, torch.device("cpu")).valid


def test_unchanged_sets_are_mapped_once(folder):
    assert valid(folder).images.data_ptr() == valid(folder).images.data_ptr()


def test_embeddings_that_are_replaced(folder):
    first = valid(folder).images.clone()
    file = folder / "val_image_embeddings.npy"
    new = folder / "new.npy"
    np.save(new, -first.numpy())
    os.utime(new, DATED)
    new.replace(file)
    assert torch.equal(valid(folder).images, -first)


def test_metadata_that_are_replaced(folder):
    assert valid(folder).ids[:, 0].tolist() == list(range(ROWS))
    file = folder / "val_metadata.json"
    file.write_text(json.dumps({"image_ids": list(range(ROWS))[::-1]}))
    os.utime(file, DATED)
    assert valid(folder).ids[:, 0].tolist() == list(range(ROWS))[::-1]
