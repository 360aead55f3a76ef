"""Measure the weights that a training began from, on the patients of its result."""

from dataclasses import dataclass, replace
from typing import Any

from tunewright.errors import TunewrightError
from tunewright.recipes.retina.config import RetinaConfig
from tunewright.recipes.retina.data.eye_table import EyeTable
from tunewright.recipes.retina.evaluation.eye_metrics import EyeMetrics
from tunewright.recipes.retina.models.encoder_names import SMALL
from tunewright.recipes.retina.setup import OpenedRecipe, make_model, make_task
from tunewright.runs.folder import RunFolder
from tunewright.training.device import default_device
from tunewright.training.randomness import seed_all
from tunewright.training.trainer import run_evaluation


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A run folder with its configuration, and what it keeps of its tokenizer."""

    folder: RunFolder
    config: RetinaConfig
    tokenizer: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class BeforeTraining:
    """The metrics of the starting weights; None where there are none, or they are not here."""

    metrics: EyeMetrics | None
    notes: tuple[str, ...] = ()


def measure_before(run: OpenedRun, shown: OpenedRecipe, table: EyeTable) -> BeforeTraining:
    """Measure the weights that a run began from, where it began from weights in files.

    What these leave out, such as the maps of the branches beside an encoder, is random by the seed
    of the run.
    """
    config = run.config
    if not begins_from_weights(config):
        return BeforeTraining(None)
    seed_all(config.seed)
    # A BERT whose weights are in no file of the model has those that it was opened with.
    whole = config.model.text == SMALL or config.model.weights is not None
    try:
        model, tokenizer, _ = make_model(config, [], run.tokenizer if whole else None)
    except TunewrightError as error:
        return BeforeTraining(None, (f"the weights before training are not measured: {error}",))
    device = default_device()
    model.to(device).eval()
    task = make_task(config, table, tokenizer, device)
    return BeforeTraining(pass_over(replace(shown, model=model, task=task), table))


def begins_from_weights(config: RetinaConfig) -> bool:
    """Return whether a training begins from weights in files, of all or of a part of the model."""
    section = config.model
    given = (section.weights, section.vision_weights, section.text_weights)
    return section.pretrained or any(name is not None for name in given)


def pass_over(opened: OpenedRecipe, table: EyeTable) -> EyeMetrics:
    """Return the collector after one pass over a set."""
    batches = opened.batches(table, default_device(), training=False)
    metrics = run_evaluation(opened.task, opened.model, batches)
    assert isinstance(metrics, EyeMetrics)
    return metrics
