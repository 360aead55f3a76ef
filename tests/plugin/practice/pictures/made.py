"""Runs of `pictures` as tests want them."""

from pathlib import Path
from typing import Any

import torch

from practice.pictures.classifier import Classifier, make_run, open_classifier
from practice.pictures.recipe import PicturesConfig, PicturesModel
from tunewright.config.schema import ExecutorConfig
from tunewright.images.dataset.config import ImagesConfig
from tunewright.runs.folder import RunFolder


def made_run(
    path: Path,
    data: Path,
    *,
    seed: int = 1,
    steps: int = 20,
    size: int = 16,
    model: PicturesModel | None = None,
    inline: bool = True,
    **of_data: Any,
) -> RunFolder:
    """A trained run in `path`; predictions are made in this process unless `inline` is false."""
    config = PicturesConfig(
        seed=seed,
        steps=steps,
        model=model or PicturesModel(),
        data=ImagesConfig(**{"dir": str(data), "image_size": size, "val_split": 0.4} | of_data),
        executor=ExecutorConfig(type="inline" if inline else "local", threads=1),
    )
    return make_run(path, config)


def opened(folder: RunFolder) -> Classifier:
    return open_classifier(folder, torch.device("cpu"))
