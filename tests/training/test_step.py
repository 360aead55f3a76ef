"""The order of a step, and what its hooks can do with their context."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.training.step import TrainingStep, mixed_precision
from tunewright.training.task import Batch, Clock, Loss, StepContext, Task

CPU = torch.device("cpu")


class Plain(Task):
    """Least squares; notes what the hooks see."""

    metrics_directions: ClassVar = {}

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        return Loss(F.mse_loss(model(batch[0]), batch[1]), {})

    def predict(self, model, batch):
        raise NotImplementedError

    def metrics(self):
        raise NotImplementedError


def made(task: Task, precision: Any = "no", **options: Any) -> TrainingStep:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(
        [{"params": list(model.parameters()), "lr": 0.5, "full_lr": 0.5}], momentum=0.9
    )
    return TrainingStep(task, model, optimizer, mixed_precision(precision, CPU), **options)


def batches(count: int = 1) -> list[Batch]:
    draw = torch.Generator().manual_seed(1)
    return [
        (torch.randn(4, 3, generator=draw), torch.randn(4, 1, generator=draw)) for _ in range(count)
    ]


def weights(step: TrainingStep) -> Tensor:
    return torch.cat([p.detach().flatten() for p in step.model.parameters()]).clone()


def test_the_hooks_see_the_clock_the_rate_the_precision_and_the_stepping_model():
    class Watches(Plain):
        def backward(self, model, batches, context):
            lr = context.optimizer.param_groups[0]["lr"]
            inside = torch.is_autocast_enabled("cpu")
            self.seen.append((context.clock.step, lr, inside, context.model is model))
            return super().backward(model, batches, context)

        def after_step(self, model, batches, loss, context):
            with torch.no_grad(), context.autocast():
                low = context.model(batches[0][0]).dtype
            inside = torch.is_autocast_enabled("cpu")
            gone = all(p.grad is None for p in model.parameters())
            self.seen.append((context.clock.step, low, inside, context.model is model, gone))

    task = Watches()
    step = made(task, "bf16")
    step.stepping = nn.Sequential(step.model)
    step.take(batches(2), Clock(0, 6, 2, 10), 0.1)
    assert task.seen == [
        (6, pytest.approx(0.05), True, True),
        (7, torch.bfloat16, False, False, True),
    ]


@pytest.mark.parametrize("precision", ["no", "fp16"])
def test_the_gradients_of_two_losses_can_be_combined(precision):
    def two(model, batch):
        out = model(batch[0].float()).float()
        return F.mse_loss(out, batch[1]), out.abs().mean()

    class TwoGradients(Plain):
        def backward(self, model, batches, context):
            first, second = two(model, batches[0])
            one = context.gradients(first, keep_graph=True)
            other = context.gradients(second)
            assert all(p.grad is None for p in model.parameters())
            context.set_gradients([0.25 * a + 0.75 * b for a, b in zip(one, other, strict=True)])
            return Loss(first.detach(), {})

    class Together(Plain):
        def loss(self, model, batch):
            first, second = two(model, batch)
            return Loss(0.25 * first + 0.75 * second, {})

    found = []
    for task in (TwoGradients(), Together()):
        step = made(task, precision, clip_norm=0.3)
        before = weights(step)
        step.take(batches(), Clock(0, 0, 1, 1), 1.0)
        found.append(weights(step))
        assert not torch.equal(found[-1], before)
    assert torch.allclose(*found, atol=1e-3 if precision == "fp16" else 1e-6)


def test_gradients_of_what_a_loss_does_not_use_are_zero():
    class OnlyBias(Plain):
        def backward(self, model, batches, context):
            self.found = context.gradients(model.bias.square().sum())
            return super().backward(model, batches, context)

    task = OnlyBias()
    step = made(task)
    bias = 2 * step.model.bias.detach()
    step.take(batches(), Clock(0, 0, 1, 1), 1.0)
    assert torch.equal(task.found[0], torch.zeros(1, 3))
    assert torch.equal(task.found[1], bias)


def test_hooks_of_three_arguments_still_work():
    class Older(Plain):
        def backward(self, model, batches, backward):
            loss = self.loss(model, batches[0])
            backward(loss.total)
            return Loss(loss.total.detach(), {})

        def after_step(self, model, batches, loss):
            self.seen.append(float(loss.total))

    older, newer = Older(), Plain()
    steps = made(older), made(newer)
    for step in steps:
        step.take(batches(), Clock(0, 0, 1, 1), 1.0)
    assert torch.equal(*map(weights, steps))
    assert len(older.seen) == 1


def test_the_default_takes_a_plain_function_of_a_loss():
    step, other = made(Plain()), made(Plain())
    Plain().backward(step.model, batches(2), lambda total: total.backward())
    Plain().backward(other.model, batches(2), Tensor.backward)
    assert torch.equal(step.model.weight.grad, other.model.weight.grad)
    assert step.model.weight.grad.any()


class Overflows(Plain):
    """Has a gradient that is not finite, under a finite loss or not."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def loss(self, model, batch):
        total = super().loss(model, batch).total * math.inf
        return Loss(total - total.detach() + self.value, {})

    def backward(self, model, batches, context):
        context.backward(model.weight.sum() * math.inf)
        return Loss(torch.tensor(self.value), {})

    def after_step(self, model, batches, loss, context):
        self.seen.append((context.clock.step,))


def test_a_step_that_overflows_in_fp16_is_skipped_with_its_hook():
    task = Overflows(1.0)
    step = made(task, "fp16")
    before, scale = weights(step), step.precision.scaler.get_scale()
    step.take(batches(), Clock(0, 0, 1, 1), 1.0)
    assert torch.equal(weights(step), before)
    assert task.seen == []
    assert step.precision.scaler.get_scale() < scale or scale == 1.0


def test_a_loss_that_is_not_finite_can_leave_the_weights_alone():
    task = Overflows(math.nan)
    step = made(task)
    before = weights(step)
    loss = step.take(batches(), Clock(0, 0, 1, 1), 1.0, only_if_finite=True)
    assert math.isnan(loss.total)
    assert torch.equal(weights(step), before)
    assert all(p.grad is None for p in step.model.parameters())
    assert task.seen == []


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_that_is_not_finite_can_leave_weights_and_moments_alone(clip):
    """Under a loss that is finite: the caller sees NaN in its place."""
    task = Overflows(1.0)
    step = made(task, clip_norm=clip)
    step.optimizer.state[step.model.weight]["momentum_buffer"] = torch.ones(1, 3)
    before = weights(step)
    loss = step.take(batches(), Clock(0, 0, 1, 1), 1.0, only_if_finite=True)
    assert math.isnan(loss.total)
    assert torch.equal(weights(step), before)
    assert torch.equal(step.optimizer.state[step.model.weight]["momentum_buffer"], torch.ones(1, 3))
    assert all(p.grad is None for p in step.model.parameters())
    assert task.seen == []


class Balanced(Plain):
    """Two tasks whose weights follow how fast each improves: FAMO (Liu et al., NeurIPS 2023)."""

    def __init__(self, gamma: float = 0.003, lr: float = 0.025) -> None:
        super().__init__()
        self.logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        self.optimizer, self.gamma = torch.optim.Adam([self.logits], lr=lr), gamma

    def each(self, model: nn.Module) -> Tensor:
        p = model.p
        target = torch.tensor([3.0, 0.0, 0.0], dtype=p.dtype)
        return torch.stack([(p - target).square().mean(), p.abs().sum()]) + 1e-8

    def backward(self, model: nn.Module, batches: Sequence[Batch], context: StepContext) -> Loss:
        self.before = self.each(model)
        shares = self.logits.detach().softmax(0)
        scale = (shares / self.before).sum().detach()
        total = (shares * self.before.log()).sum() / scale
        context.backward(total)
        return Loss(total.detach(), {})

    def after_step(
        self, model: nn.Module, batches: Sequence[Batch], loss: Loss, context: StepContext
    ) -> None:
        with torch.no_grad(), context.autocast():
            after = self.each(context.model)
        gain = self.before.detach().log() - after.log()
        shares = self.logits.detach().softmax(0)
        self.logits.grad = shares * (gain - (shares * gain).sum()) + self.gamma * (
            self.logits.detach()
        )
        self.optimizer.step()


class Point(nn.Module):
    """Three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))


def test_balanced_optimisation_needs_nothing_but_the_hooks():
    """Against values computed apart from this code, with clipping at 1."""
    task, model = Balanced(), Point()
    optimizer = torch.optim.Adam([{"params": [model.p], "lr": 0.1, "full_lr": 0.1}])
    step = TrainingStep(task, model, optimizer, mixed_precision("no", CPU), clip_norm=1.0)
    first = step.take([None], Clock(0, 0, 1, 3), 1.0)
    assert float(first.total) == pytest.approx(3.4871203969525792)
    expected = [1.0999999955111956, -1.9000000011600282, 0.400000002196649]
    assert model.p.tolist() == pytest.approx(expected, abs=1e-12)
    assert task.logits.tolist() == pytest.approx([-0.02499998787174, 0.02499998787174], abs=1e-12)
    for number in (1, 2):
        step.take([None], Clock(0, number, 1, 3), 1.0)
    assert task.logits.softmax(0).tolist() == pytest.approx([0.46253074, 0.53746926], abs=1e-8)
