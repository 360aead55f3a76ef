"""Freezing through the real trainer: a resume in the middle of it is the same training."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.classification.models.config import FineTuneConfig, ImageModelConfig
from tunewright.classification.models.image_classifier import make_image_model
from tunewright.classification.models.param_groups import freeze, freeze_batch_norm, groups
from tunewright.config.schema import RunConfig, TrainingConfig
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import EndRequest, Outcome
from tunewright.training.randomness import seed_all
from tunewright.training.reporter import Reporter
from tunewright.training.task import Arrays, Clock, Group, Loss, Metrics, Setup, Task
from tunewright.training.trainer import TrainingPlan, train

TUNING = FineTuneConfig(freeze_epochs=2, layer_decay=0.8)
Batch = tuple[Tensor, Tensor]


class Pictures:
    """Two batches of four pictures of noise, in another order each epoch."""

    def __len__(self) -> int:
        return 2

    def epoch(self, epoch: int) -> Iterator[Batch]:
        draw = torch.Generator().manual_seed(epoch)
        for _ in range(2):
            yield torch.randn(4, 3, 32, 32, generator=draw), torch.arange(4)


class Tuning(Task):
    """Cross-entropy, with the groups and the freezing under test."""

    metrics_directions: Mapping[str, Any] = {"loss": "min"}

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        return Loss(F.cross_entropy(model(batch[0]), batch[1]), {})

    def predict(self, model: nn.Module, batch: Batch) -> Arrays:
        return {"logits": model(batch[0])}

    def metrics(self) -> "Zero":
        return Zero()

    def param_groups(self, model: nn.Module) -> list[Group]:
        return groups(model, TUNING)

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        freeze(model, TUNING, clock)


class Zero(Metrics):
    """A score that never changes."""

    def update(self, arrays: Arrays) -> None:
        """Nothing is measured."""

    def compute(self) -> dict[str, float]:
        return {"loss": 0.0}


class FrozenNorms(Tuning):
    """Batch norm stands still; the rest is trained."""

    tuning = FineTuneConfig(freeze_batch_norm=True)

    def param_groups(self, model: nn.Module) -> list[Group]:
        return groups(model, self.tuning)

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        freeze(model, self.tuning, clock)


def attempt(
    folder: RunFolder, precision: Any, *, pause_at: int | None = None, task: Task | None = None
) -> Outcome:
    number = folder.begin_attempt()
    reported: list[None] = []

    def heard() -> None:
        reported.append(None)
        if len(reported) == pause_at:
            folder.write_request(EndRequest("pause", number))

    reporter = Reporter(folder, number, heard)
    training = TrainingConfig(epochs=4, ema_decay=0.5, checkpoint_seconds=0.0)
    config = RunConfig(recipe="none", goal="val_loss", training=training)
    seed_all(3)
    model = make_image_model(
        ImageModelConfig(name="test_efficientnet", fusion="none", dropout=0.3),
        4,
        on_notice=lambda _: None,
    )
    if isinstance(task, FrozenNorms):
        assert freeze_batch_norm(model) > 10
    try:
        plan = TrainingPlan(config, "val_loss", "min", precision)
        setup = Setup(model, task or Tuning(), Pictures(), Pictures())
        return train(setup, plan, reporter, folder)
    finally:
        reporter.close()


def state(folder: RunFolder) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(folder.checkpoints / "last.pt", weights_only=True)
    return loaded


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("pause_at", [1, 2, 3])
def test_a_resume_around_the_thaw_is_the_same_training(
    tmp_path: Path, precision: str, pause_at: int
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
        assert attempt(whole, precision).state == "done"
        assert attempt(parts, precision, pause_at=pause_at).state == "paused"
        assert attempt(parts, precision).state == "done"
    finally:
        torch.set_num_threads(threads)
    one, other = state(whole), state(parts)
    for part in ("model", "average"):
        assert one[part].keys() == other[part].keys()
        for name, tensor in one[part].items():
            assert torch.equal(tensor, other[part][name]), name
    moments, again = one["optimizer"]["state"], other["optimizer"]["state"]
    assert moments.keys() == again.keys()
    steps = {float(each["step"]) for each in moments.values()}
    assert steps == {4.0, 8.0}  # what was frozen has taken the steps of the last two epochs
    for index, each in moments.items():
        assert torch.equal(each["exp_avg"], again[index]["exp_avg"])


def test_frozen_batch_norms_are_what_they_were_after_a_resume_and_in_the_average(
    tmp_path: Path, one_thread: None
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert attempt(folder, "no", pause_at=2, task=FrozenNorms()).state == "paused"
    assert attempt(folder, "no", task=FrozenNorms()).state == "done"
    model = make_image_model(
        ImageModelConfig(name="test_efficientnet", fusion="none"), 4, on_notice=lambda _: None
    )
    norms = {
        f"{name}.{own}"
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for own in module.state_dict()
    }
    seed_all(3)  # as the run began
    fresh = make_image_model(
        ImageModelConfig(name="test_efficientnet", fusion="none", dropout=0.3),
        4,
        on_notice=lambda _: None,
    ).state_dict()
    stored = state(folder)
    for name, tensor in stored["model"].items():
        assert torch.equal(tensor, fresh[name]) == (name in norms), name
    for name in norms:
        assert torch.equal(stored["average"][f"module.{name}"], fresh[name]), name
