"""Model, task and data of `blobs`: three clouds of points in the plane."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from practice.blobs.recipe import RECIPE, BlobsConfig
from tunewright.training.task import Arrays, Loss, Metrics, Setup, Task

Batch = tuple[Tensor, Tensor]


class Blobs:
    """Batches of points [B, 2] and classes [B]; the order depends on the epoch alone."""

    def __init__(self, rows: int, batch_size: int, *, seed: int, bad_epoch: int | None = None):
        generator = torch.Generator().manual_seed(seed)
        self.classes = torch.arange(rows) % 3
        centres = torch.tensor([[0.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        self.points = centres[self.classes] + 0.8 * torch.randn(rows, 2, generator=generator)
        self.batch_size, self.bad_epoch = batch_size, bad_epoch

    def __len__(self) -> int:
        return len(self.points) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        order = torch.randperm(len(self.points), generator=torch.Generator().manual_seed(epoch))
        for index, rows in enumerate(order.split(self.batch_size)[: len(self)]):
            points = self.points[rows]
            bad = epoch == self.bad_epoch and index == 2
            yield (points * float("nan") if bad else points), self.classes[rows]


class BlobsTask(Task):
    """Cross-entropy weighted by how hard each class was so far: a state that steers training."""

    metrics_directions = RECIPE.metrics

    def __init__(self) -> None:
        self.hardness = torch.ones(3)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        points, classes = batch
        each = F.cross_entropy(model(points), classes, reduction="none")
        total = (each * self.hardness[classes]).mean()
        return Loss(total, {"plain": each.mean()})

    def predict(self, model: nn.Module, batch: Batch) -> Arrays:
        return {"logits": model(batch[0]), "classes": batch[1]}

    def metrics(self) -> "BlobsMetrics":
        return BlobsMetrics()

    def after_step(self, model: nn.Module, batches: Sequence[Batch], loss: Loss) -> None:
        seen = torch.cat([classes for _, classes in batches]).bincount(minlength=3)
        self.hardness = 0.9 * self.hardness + 0.1 * seen / seen.float().mean() * loss.total

    def state_dict(self) -> dict[str, Any]:
        return {"hardness": self.hardness}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.hardness = state["hardness"]


class BlobsMetrics(Metrics):
    """Accuracy and cross-entropy of a pass."""

    def __init__(self) -> None:
        self._passed: list[Arrays] = []

    def update(self, arrays: Arrays) -> None:
        self._passed.append(arrays)

    def compute(self) -> dict[str, float]:
        logits = torch.cat([arrays["logits"] for arrays in self._passed])
        classes = torch.cat([arrays["classes"] for arrays in self._passed])
        return {
            "accuracy": float((logits.argmax(1) == classes).float().mean()),
            "loss": float(F.cross_entropy(logits.float(), classes)),
        }


def make_setup(config: BlobsConfig, device: torch.device) -> Setup:
    width, batch_size = config.model.width, config.training.batch_size // config.training.accumulate
    model = nn.Sequential(
        nn.Linear(2, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Dropout(config.model.dropout),
        nn.Linear(width, 3),
    )
    train = Blobs(96, batch_size, seed=1, bad_epoch=config.data.bad_epoch)
    return Setup(model, BlobsTask(), train, Blobs(48, 16, seed=2))
