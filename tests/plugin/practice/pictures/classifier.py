"""A classifier with the fields of `inference.classifier.Classifier`, trained in a second."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from practice.pictures.recipe import PicturesConfig
from tunewright.classification.classes_file import ClassIndex, classes_of_run, write_classes
from tunewright.classification.evaluation import evaluation, labelled_data
from tunewright.classification.inference.predict import DecodedBatches
from tunewright.config.check import validate
from tunewright.images.dataset.datasets import ImageSets, open_sets
from tunewright.images.loading.batches import Normalisation
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressWriter
from tunewright.runs.record import Outcome, Progress
from tunewright.training.checkpoint import load_weights

NORMALISE = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


@dataclass(frozen=True)
class Classifier:
    folder: RunFolder
    model: nn.Module
    classes: tuple[str, ...]
    size: int
    normalise: Normalisation
    class_counts: Tensor
    device: torch.device

    @cached_property
    def sets(self) -> ImageSets:
        return open_sets(config_of(self.folder).data)

    def logits(self, images: Tensor) -> Tensor:
        mean, std = (
            torch.tensor(of, device=images.device).view(3, 1, 1)
            for of in (self.normalise.mean, self.normalise.std)
        )
        found: Tensor = self.model((images.float() / 255.0 - mean) / std)
        return found.float()


def config_of(folder: RunFolder) -> PicturesConfig:
    return validate(folder.read_config(), PicturesConfig)


def make_model(config: PicturesConfig, classes: int) -> nn.Module:
    width = config.model.width
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2, padding=1),
        nn.BatchNorm2d(width) if config.model.norm else nn.Identity(),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(config.model.dropout),
        nn.Linear(4 * width, classes),
    )


def open_classifier(folder: RunFolder, device: torch.device) -> Classifier:
    config = config_of(folder)
    known = classes_of_run(folder, partial(open_sets, config.data), config.data.dir)
    model = make_model(config, len(known.classes))
    model.load_state_dict(load_weights(folder.checkpoints / "best.safetensors"))
    return Classifier(
        folder,
        model.to(device).eval(),
        known.classes,
        config.data.image_size,
        NORMALISE,
        torch.tensor(known.counts),
        device,
    )


def train(folder: RunFolder, config: PicturesConfig, reporter: Any) -> Outcome:
    raise NotImplementedError("made by `make_run`, which needs no worker")


def make_run(path: Path, config: PicturesConfig) -> RunFolder:
    """A run folder with a model that was trained for a few steps on the sets of `config`."""
    folder = RunFolder(path)
    folder.write_config(config.model_dump(mode="json"))
    sets = open_sets(config.data)
    counts = torch.from_numpy(sets.class_counts)
    torch.manual_seed(config.seed)
    model = make_model(config, len(sets.classes))
    half_made = Classifier(
        folder, model, sets.classes, config.data.image_size, NORMALISE, counts, torch.device("cpu")
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    with DecodedBatches(sets.train, [half_made.size], 64) as batches:
        shown = [(batch.images[half_made.size], batch.start, batch.stop) for batch in batches]
    labels = torch.from_numpy(sets.train.labels)
    writer = ProgressWriter(folder.progress, folder.begin_attempt(), 0)
    for step in range(config.steps):
        images, start, stop = shown[step % len(shown)]
        loss = F.cross_entropy(half_made.logits(images), labels[start:stop])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 9:
            metrics = {"train_loss": float(loss.detach()), "val_loss": 1.0, "val_accuracy": 0.5}
            writer.write(Progress(folder.attempt, step // 10 + 1, metrics, 0.1 * step))
    writer.close()
    write_classes(folder, ClassIndex.of(sets, config.data.dir))
    folder.checkpoints.mkdir(exist_ok=True)
    header = {"epoch": "1", "score": "0.5", "metrics": "{}"}
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    save_file(weights, folder.checkpoints / "best.safetensors", metadata=header)
    folder.write_outcome(Outcome("done", folder.attempt))
    return folder


def evaluate(path: Path, split: str | None = None) -> dict[str, Any]:
    folder = RunFolder(path)
    return evaluation.evaluate(open_classifier(folder, torch.device("cpu")), folder, split)


def evaluate_on(path: Path, data: Path, on_message: Callable[[Any], None]) -> dict[str, Any]:
    classifier = open_classifier(RunFolder(path), torch.device("cpu"))
    return labelled_data.evaluate_on(classifier, data, on_message)
