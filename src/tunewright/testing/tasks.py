"""Contract tests for tasks."""

import io
import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from tunewright.config.schema import SgdConfig
from tunewright.training.optim import make_optimizer
from tunewright.training.randomness import seed_all
from tunewright.training.step import TrainingStep, mixed_precision
from tunewright.training.task import Batch, Clock, Setup, StepContext
from tunewright.training.trainer import evaluate


class TaskContract(ABC):
    """Inherit this class and make a small set-up.

    facts: values in the metrics that are no goals, such as the size of a gallery. absent: prefixes
    of metrics that the data of `make` cannot give, such as those of a group without rows.
    """

    facts: ClassVar[Collection[str]] = ()
    absent: ClassVar[Collection[str]] = ()

    @abstractmethod
    def make(self) -> Setup:
        """Return a fresh set-up of the task, on the CPU."""

    @pytest.fixture
    def setup(self) -> Setup:
        """Return the set-up under test, its model in training mode."""
        seed_all(1)
        made = self.make()
        made.model.train()
        made.task.on_epoch(made.model, Clock(0, 0, 1, len(made.train)))
        return made

    def test_the_loss_is_finite_and_reaches_every_parameter(self, setup: Setup) -> None:
        total, terms = setup.task.loss(setup.model, _batch(setup))
        assert total.ndim == 0
        assert math.isfinite(float(total.detach()))
        assert all(math.isfinite(float(term.detach())) for term in terms.values())
        total.backward()
        without = [
            name
            for name, parameter in setup.model.named_parameters()
            if parameter.requires_grad and parameter.grad is None
        ]
        assert without == [], "no gradient reaches them"
        for name, parameter in setup.model.named_parameters():
            if parameter.grad is not None:
                assert torch.isfinite(parameter.grad).all(), name

    def test_every_trainable_parameter_is_in_one_group(self, setup: Setup) -> None:
        grouped = [id(p) for g in setup.task.param_groups(setup.model) for p in g.parameters]
        trained = [id(p) for p in setup.model.parameters() if p.requires_grad]
        assert sorted(grouped) == sorted(trained)

    def test_a_step_by_micro_batches_leaves_gradients(self, setup: Setup) -> None:
        batches = [_batch(setup), _batch(setup)]
        loss = setup.task.backward(setup.model, batches, plain_context(setup.model))
        assert not loss.total.requires_grad
        assert any(p.grad is not None and p.grad.any() for p in setup.model.parameters())

    def test_a_step_is_taken_and_its_hooks_fit(self, setup: Setup) -> None:
        before = [p.detach().clone() for p in setup.model.parameters() if p.requires_grad]
        loss = _take_step(setup, [_batch(setup), _batch(setup)])
        after = [p.detach() for p in setup.model.parameters() if p.requires_grad]
        assert math.isfinite(loss)
        assert not all(map(torch.equal, before, after)), "no weight moved"
        assert all(p.grad is None for p in setup.model.parameters()), "gradients were left behind"

    def test_uneven_micro_batches_leave_the_gradient_of_the_batch(self, setup: Setup) -> None:
        """Compare in evaluation mode, since dropout and batch norm act on each micro-batch."""
        setup.model.eval()
        batch = _batch(setup)
        rows = len(_flat(batch)[0])
        if rows < 3:
            pytest.skip("one or two rows have no uneven parts")
        found = []
        for cuts in ([rows], [rows - 1, rows]):
            setup.model.zero_grad()
            parts = [_rows(batch, a, b, rows) for a, b in pairwise([0, *cuts])]
            loss = setup.task.backward(setup.model, parts, plain_context(setup.model))
            slopes = [p.grad.flatten() for p in setup.model.parameters() if p.grad is not None]
            found.append((float(loss.total), torch.cat(slopes).clone()))
        (whole, gradient), (total, by_parts) = found
        assert total == pytest.approx(whole, rel=1e-4, abs=1e-6)
        assert (by_parts - gradient).norm() <= 1e-3 * gradient.norm()

    def test_predictions_are_deterministic_in_evaluation_mode(self, setup: Setup) -> None:
        setup.model.eval()
        batch = next(iter(setup.valid.epoch(0)))
        with torch.no_grad():
            first, second = (setup.task.predict(setup.model, batch) for _ in range(2))
        assert first.keys() == second.keys()
        for name, array in first.items():
            assert torch.equal(array, second[name]), name

    def test_every_metric_has_a_direction_or_is_a_known_fact(self, setup: Setup) -> None:
        scores = evaluate(setup.task, setup.model, setup.valid)
        directions = setup.task.metrics_directions
        wanted = {name for name in directions if not name.startswith(tuple(self.absent))}
        assert wanted <= set(scores), "declared, but not measured"
        assert set(scores) - set(directions) <= set(self.facts), "measured, but not declared"
        assert set(directions.values()) <= {"max", "min"}
        assert all(isinstance(value, float) for value in scores.values())

    def test_the_order_of_an_epoch_depends_on_the_epoch_alone(self, setup: Setup) -> None:
        first, again = (_flat(list(setup.train.epoch(3))) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert len(list(setup.train.epoch(0))) == len(setup.train)

    def test_the_state_survives_a_file_and_is_taken_up(self, setup: Setup) -> None:
        _take_step(setup, [_batch(setup)])
        file = io.BytesIO()
        torch.save(setup.task.state_dict(), file)
        file.seek(0)
        stored = torch.load(file, weights_only=True)
        other = self.make().task
        other.load_state_dict(stored)
        assert _equal(other.state_dict(), setup.task.state_dict())

    def test_a_second_task_learns_nothing_from_the_first(self, setup: Setup) -> None:
        """Check that tasks made one after another in a warm worker are independent."""
        other = self.make()
        other.model.load_state_dict(setup.model.state_dict())
        other.model.train()
        other.task.on_epoch(other.model, Clock(0, 0, 1, len(other.train)))
        totals = []
        for made in (setup, other):
            seed_all(1)
            totals.append(made.task.loss(made.model, _batch(made)).total)
        assert torch.equal(*totals)


def plain_context(model: nn.Module) -> StepContext:
    """Return the context of a first step in full precision on the CPU, to call a hook by itself."""
    precision = mixed_precision("no", torch.device("cpu"))
    return StepContext(
        Clock(0, 0, 1, 1),
        model,
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1),
        precision.autocast,
        precision.scaler.scale,
    )


def _take_step(setup: Setup, batches: Sequence[Batch]) -> float:
    """Take a step as the trainer does; return its loss."""
    step = TrainingStep(
        setup.task,
        setup.model,
        make_optimizer(SgdConfig(), setup.task.param_groups(setup.model)),
        mixed_precision("no", torch.device("cpu")),
        clip_norm=1.0,
    )
    return float(step.take(batches, Clock(0, 0, 1, len(setup.train)), 1.0).total)


def _batch(setup: Setup) -> Batch:
    return next(iter(setup.train.epoch(0)))


def _flat(value: object) -> list[Tensor]:
    """Return the tensors in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _flat(item)]
    return []


def _rows(batch: Batch, start: int, stop: int, rows: int) -> Batch:
    """Return rows `start` to `stop` of every tensor that has `rows` rows, the rest unchanged."""

    def some(leaf: object) -> object:
        by_row = isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == rows
        return leaf[start:stop] if by_row else leaf  # type: ignore[index]

    return tree_map(some, batch)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(_equal(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list | tuple):
        return (
            isinstance(other, list | tuple)
            and len(one) == len(other)
            and all(map(_equal, one, other))
        )
    return one == other
