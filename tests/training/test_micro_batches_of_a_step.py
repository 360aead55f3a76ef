"""A step's gradient and loss are those of its whole batch, in however many parts it comes."""

from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.classification.losses.losses import LOSSES as CLASS_LOSSES
from tunewright.classification.models.config import FineTuneConfig
from tunewright.classification.task import ClassifyTask
from tunewright.images.augment.config import MixingConfig
from tunewright.images.augment.mixup import make_mix
from tunewright.images.loading.batches import IMAGENET, Finishing, ImageBatch, ImageBatches
from tunewright.images.loading.batching import Batching
from tunewright.recipes.compression.models.compressor import CodedLatents
from tunewright.recipes.compression.rate_distortion import LOSSES as CODING_LOSSES
from tunewright.recipes.compression.task import CompressionTask
from tunewright.testing.tasks import plain_context
from tunewright.training.task import Batch, Loss, Task

COUNTS = torch.tensor([90, 20, 5])
ROWS = st.integers(2, 13)


def stepped(task: Task, model: nn.Module, batches: list[Batch]) -> tuple[Loss, Tensor]:
    """The loss of a step, and its gradient."""
    model.zero_grad()
    loss = task.backward(model, batches, plain_context(model))
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def assert_same(found: tuple[Loss, Tensor], whole: tuple[Loss, Tensor]) -> None:
    assert found[0].total.item() == pytest.approx(whole[0].total.item(), rel=1e-5)
    for name, value in whole[0].terms.items():
        assert found[0].terms[name].item() == pytest.approx(value.item(), rel=1e-5, abs=1e-6), name
    assert not found[0].total.requires_grad
    assert (found[1] - whole[1]).norm() <= 1e-4 * whole[1].norm()


@pytest.mark.parametrize("loss", CLASS_LOSSES)
@settings(max_examples=10, deadline=None)
@given(rows=ROWS, data=st.data(), mixed=st.booleans())
def test_of_pictures_in_classes(loss: str, rows: int, data: st.DataObject, mixed: bool) -> None:
    parts = data.draw(st.integers(2, rows))
    generator = torch.Generator().manual_seed(rows)
    pictures = torch.randint(0, 256, (rows, 3, 4, 4), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 3, (rows,), generator=generator)
    mix = make_mix(MixingConfig(mixup_alpha=0.4, cutmix_alpha=1.0, mix_prob=0.5)) if mixed else None
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    task = ClassifyTask(CLASS_LOSSES[loss](COUNTS), COUNTS, FineTuneConfig())

    def batches(micro_batches: int) -> list[ImageBatch]:
        made = ImageBatches(
            pictures,
            labels,
            Batching(batch_size=rows, seed=1, micro_batches=micro_batches),
            Finishing(IMAGENET, mix=mix),
        )
        return list(made.epoch(0))

    assert_same(stepped(task, model, batches(parts)), stepped(task, model, batches(1)))


class Fades(nn.Module):
    """A compressor in name: each picture paled, and a part of its bits for each column."""

    def __init__(self) -> None:
        super().__init__()
        self.pale = nn.Parameter(torch.tensor([0.9, 0.8, 0.7]))

    def forward(self, pictures: Tensor) -> CodedLatents:
        faded = self.pale.view(3, 1, 1) * pictures
        return CodedLatents(faded, {"y": 0.1 + 0.5 * faded.mean((1, 2)), "z": 0.9 * faded[:, 0, 0]})


@pytest.mark.parametrize(("loss", "side"), [("mse", 8), ("ms_ssim", 161)])
@settings(max_examples=6, deadline=None)
@given(rows=st.integers(2, 5), data=st.data())
def test_of_pictures_to_compress(loss: str, side: int, rows: int, data: st.DataObject) -> None:
    parts = data.draw(st.integers(2, rows))
    batch = 0.1 + 0.9 * torch.rand(rows, 3, side, side, generator=torch.Generator().manual_seed(3))
    task = CompressionTask(CODING_LOSSES[loss](quality=3))
    model = Fades()
    found = stepped(task, model, list(batch.tensor_split(parts)))
    assert_same(found, stepped(task, model, [batch]))


class Weighted(Task):
    """A loss whose mean divides by the sum of the class weights, as PyTorch's own does."""

    metrics_directions: ClassVar[Any] = {}
    weights = torch.tensor([0.2, 1.0, 7.0])

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Loss:
        return Loss(F.cross_entropy(model(batch[0]), batch[1], self.weights), {})

    def weight(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return self.weights[batch[1]].sum()

    def predict(self, model: nn.Module, batch: Batch) -> Any:
        raise NotImplementedError

    def metrics(self) -> Any:
        raise NotImplementedError


@settings(max_examples=20, deadline=None)
@given(labels=st.lists(st.integers(0, 2), min_size=2, max_size=12), data=st.data())
def test_of_a_mean_over_weights(labels: list[int], data: st.DataObject) -> None:
    parts = data.draw(st.integers(2, len(labels)))
    points = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(1))
    batch = points, torch.tensor(labels)
    model = nn.Linear(4, 3)
    cut = list(zip(*(side.tensor_split(parts) for side in batch), strict=True))
    assert_same(stepped(Weighted(), model, cut), stepped(Weighted(), model, [batch]))


def test_the_weight_of_a_batch_is_its_rows() -> None:
    task = CompressionTask(CODING_LOSSES["mse"](quality=3))
    rows = torch.zeros(4, 2)
    for batch in (rows, (rows, torch.zeros(4)), {"scale": torch.tensor(1.0), "x": rows}):
        assert task.weight(batch) == 4
    assert task.weight(["a picture's name"]) == 1
