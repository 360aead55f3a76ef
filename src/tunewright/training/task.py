"""What is trained, never how: the seam between a recipe and the trainer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

Arrays = Mapping[str, Tensor]
Batch = Any


class Loss(NamedTuple):
    """A scalar to minimise, and the named terms it is made of (detached, for the log)."""

    total: Tensor
    terms: Mapping[str, Tensor]


class Loader(Protocol):
    """Batches whose order is a pure function of the epoch, so that resuming is exact."""

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0."""
        ...

    def __len__(self) -> int:
        """Batches an epoch."""
        ...


class Metrics(Protocol):
    """Collects predictions of one pass over a data set."""

    def update(self, arrays: Arrays) -> None:
        """Take in what `Task.predict` returned for a batch."""
        ...

    def compute(self) -> dict[str, float]:
        """The metrics of the whole pass."""
        ...

    def interval(self, metric: str) -> tuple[float, float] | None:
        """The 95 % interval of a metric over the examples that passed, where it is known.

        Asked for after `compute`, once, for the epoch that proved the best.
        """
        return None


@dataclass(frozen=True)
class Clock:
    """Where a training stands; everything scheduled is a function of it.

    epoch, step: completed ones. epochs, steps_per_epoch: the full horizon of the stage, also
    when a trial stops earlier, so that a resumed run is the same training.
    """

    epoch: int
    step: int
    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Steps in the full horizon."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class Group:
    """Parameters that are optimised alike; `lr_scale` multiplies the learning rate."""

    name: str
    parameters: Sequence[nn.Parameter]
    lr_scale: float = 1.0
    decays: bool = True


class Task(ABC):
    """Loss, predictions, metrics, and quiet hooks that each have a default."""

    metrics_directions: Mapping[str, Literal["max", "min"]]

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of one micro-batch; called in training mode, under autocast."""

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch) -> Arrays:
        """What the metrics need of one batch; called in evaluation mode, without gradients."""

    @abstractmethod
    def metrics(self) -> Metrics:
        """A fresh collector for one pass."""

    def one(self, batch: Batch) -> Batch:
        """The first row of a batch, to time its prediction. Default: of every tensor in it."""
        return tree_map(lambda leaf: leaf[:1] if isinstance(leaf, Tensor) else leaf, batch)

    def param_groups(self, model: nn.Module) -> list[Group]:
        """Made once. Default: matrices decay; biases, norms and learnable scalars do not."""
        trained = [p for p in model.parameters() if p.requires_grad]
        groups = [
            Group("matrices", [p for p in trained if p.ndim >= 2]),
            Group("vectors", [p for p in trained if p.ndim < 2], decays=False),
        ]
        return [group for group in groups if group.parameters]

    def backward(
        self, model: nn.Module, batches: Sequence[Batch], backward: Callable[[Tensor], None]
    ) -> Loss:
        """Gradients of one step. Default: loss and backward for each micro-batch, averaged.

        Micro-batches count by their `weight`, so that the gradient, and the loss that comes back,
        are those of the whole batch in however many parts it comes.
        backward: scales for mixed precision; use it in place of `Tensor.backward`.
        """
        weights = [self.weight(batch) for batch in batches]
        shares = [weight / sum(weights) for weight in weights]
        losses = []
        for batch, share in zip(batches, shares, strict=True):
            loss = self.loss(model, batch)
            backward(loss.total * share)
            losses.append(loss)
        return mean_loss(losses, shares)

    def weight(self, batch: Batch) -> float | Tensor:
        """What a micro-batch counts in a mean: what its own mean was divided by.

        Default: its rows, the length of the first tensor in it (1 where there is none). A loss
        that divides by something else, such as a sum of class weights or the number of tokens,
        returns that.
        """
        rows = [len(leaf) for leaf in tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.ndim]
        return float(rows[0]) if rows else 1.0

    def after_step(self, model: nn.Module, batches: Sequence[Batch], loss: Loss) -> None:
        """Called only after a real optimiser step."""

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        """Called before each epoch; must be a pure function of the clock."""

    def on_valid(self, scores: Mapping[str, float], clock: Clock) -> None:
        """Called with the validation metrics after each epoch."""

    def finish(self, model: nn.Module) -> None:
        """Called once on the best weights, before evaluation and export."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides model and optimiser."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""


@dataclass(frozen=True)
class Setup:
    """Everything that is trained. Learnable scalars of the loss live in the model.

    resolved: what was decided while setting up, by config path; it is written into the run's
    configuration, so that a re-run repeats it.
    extra_files: JSON files of the run folder by name, without which its weights mean nothing.
    calibrate: whether precision, layout and compilation are worth a trial on the first batch
    where they are left open; see `training.calibration`.
    """

    model: nn.Module
    task: Task
    train: Loader
    valid: Loader
    test: Loader | None = None
    notices: Sequence[str] = field(default_factory=tuple)
    resolved: Mapping[str, Any] = field(default_factory=dict)
    extra_files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calibrate: bool = False


def mean_loss(losses: Sequence[Loss], shares: Sequence[float | Tensor]) -> Loss:
    """The mean of micro-batch losses, detached; shares: of each in it, which add up to 1."""

    def mean(values: Iterable[Tensor]) -> Tensor:
        terms = (value.detach() * share for value, share in zip(values, shares, strict=True))
        return torch.stack(list(terms)).sum(0)

    return Loss(
        mean(loss.total for loss in losses),
        {name: mean(loss.terms[name] for loss in losses) for name in losses[0].terms},
    )
