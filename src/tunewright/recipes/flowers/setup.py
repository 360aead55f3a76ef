"""The torch side of `flowers`: open the classifier of a run, and evaluate it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tunewright.classification.evaluation import evaluation, labelled_data
from tunewright.classification.inference import classifier
from tunewright.classification.inference.classifier import Classifier
from tunewright.recipes.flowers.config import FlowersConfig
from tunewright.runs.folder import RunFolder
from tunewright.training.device import default_device


def open_classifier(folder: RunFolder, device: torch.device) -> Classifier:
    """Open the classifier of a run, with its best weights."""
    return classifier.open_classifier(folder, FlowersConfig, device)


def evaluate(path: Path, split: str | None = None) -> dict[str, Any]:
    """Measure the run in `path`; see `classification.evaluation.evaluation`."""
    folder = RunFolder(path)
    device = default_device()
    return evaluation.evaluate(open_classifier(folder, device), folder, split)


def evaluate_on(path: Path, data: Path, on_message: Callable[[Any], None]) -> dict[str, Any]:
    """Measure the run in `path` on other data; see `evaluation.labelled_data`."""
    classifier = open_classifier(RunFolder(path), default_device())
    return labelled_data.evaluate_on(classifier, data, on_message)
