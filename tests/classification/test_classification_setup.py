"""What is refused before the first step, since the network could not take it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tunewright.classification.config import ClassifyConfig
from tunewright.classification.setup import make_setup
from tunewright.config.compose import compose
from tunewright.errors import ConfigError
from tunewright.recipes.registry import find_recipe


def config(folder: Path, *overrides: str) -> ClassifyConfig:
    rng = np.random.default_rng(0)
    for at in range(12):
        (folder / "ab"[at % 2]).mkdir(exist_ok=True)
        noise = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "ab"[at % 2] / f"{at}.png")
    fixed = ["model=small", "data.image_size=32", f"data.dir={folder}"]
    composed = compose(find_recipe("flowers"), [*fixed, *overrides])
    assert isinstance(composed.config, ClassifyConfig)
    return composed.config


@pytest.mark.parametrize(
    ("batch", "accumulate"),
    [(1, 1), (4, 4), (6, 4), (64, 8)],  # 10 pictures are trained on, so 64 is a batch of 10
)
def test_a_micro_batch_of_one_picture(tmp_path: Path, batch: int, accumulate: int) -> None:
    asked = (f"training.batch_size={batch}", f"training.accumulate={accumulate}")
    with pytest.raises(ConfigError, match="expected at least 2, since the network has batch norm"):
        make_setup(config(tmp_path, *asked), torch.device("cpu"))


@pytest.mark.parametrize(("batch", "accumulate"), [(2, 1), (4, 2), (64, 5)])
def test_a_micro_batch_of_two_pictures(tmp_path: Path, batch: int, accumulate: int) -> None:
    asked = (f"training.batch_size={batch}", f"training.accumulate={accumulate}")
    assert make_setup(config(tmp_path, *asked), torch.device("cpu")).train is not None
