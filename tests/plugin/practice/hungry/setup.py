"""Model, task and data of `hungry`: a line through points, and ballast while it is fitted."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from practice.hungry.recipe import RECIPE, Appetite, HungryConfig
from tunewright.training.task import Arrays, Clock, Loss, Metrics, Setup, Task

FLOATS = 2**18
"""In a MiB."""


class Points:
    """The same rows in every epoch, in micro-batches."""

    def __init__(self, rows: int, batch_size: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.parts = torch.rand(rows, 2, generator=generator).split(batch_size)

    def __len__(self) -> int:
        return len(self.parts)

    def epoch(self, epoch: int) -> Iterator[Tensor]:
        return iter(self.parts)


class HungryTask(Task):
    """Least squares; a forward pass in training holds what the appetite asks for."""

    metrics_directions = RECIPE.metrics

    def __init__(self, appetite: Appetite, epoch_seconds: float) -> None:
        self.appetite, self.epoch_seconds, self.epoch = appetite, epoch_seconds, 0

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        time.sleep(self.epoch_seconds)
        self.epoch = clock.epoch

    def loss(self, model: nn.Module, batch: Tensor) -> Loss:
        mib = self.appetite.fixed_mib + self.appetite.row_mib * len(batch)
        if self.epoch < self.appetite.from_epoch:
            mib = 0.0
        ballast = torch.ones(int(mib * FLOATS))
        error = model(batch[:, :1]) - batch[:, 1:]
        return Loss(error.square().mean() + 0.0 * ballast[:1].sum(), {})

    def predict(self, model: nn.Module, batch: Tensor) -> Arrays:
        return {"error": model(batch[:, :1]) - batch[:, 1:]}

    def metrics(self) -> "HungryMetrics":
        return HungryMetrics()


class HungryMetrics(Metrics):
    """The mean squared error of a pass."""

    def __init__(self) -> None:
        self._passed: list[Tensor] = []

    def update(self, arrays: Arrays) -> None:
        self._passed.append(arrays["error"])

    def compute(self) -> dict[str, float]:
        return {"loss": float(torch.cat(self._passed).square().mean())}


def make_setup(config: HungryConfig, device: torch.device) -> Setup:
    training = config.training
    train = Points(2 * training.batch_size, training.batch_size // training.accumulate)
    task = HungryTask(config.appetite, config.epoch_seconds)
    return Setup(nn.Linear(1, 1), task, train, Points(16, 16))
