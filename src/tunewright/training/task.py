"""What is trained, never how: the seam between a recipe and the trainer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves, tree_map

from tunewright.training.ranks.ranks import ALONE, Ranks

Arrays = Mapping[str, Tensor]
Batch = Any


class Loss(NamedTuple):
    """A scalar to minimise, and the named terms it is made of (detached, for the log)."""

    total: Tensor
    terms: Mapping[str, Tensor]


class Loader(Protocol):
    """Batches whose order is a pure function of the epoch, so that resuming is exact."""

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, counted from 0."""
        ...

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        ...


class Metrics(Protocol):
    """Collects predictions of one pass over a data set."""

    def update(self, arrays: Arrays) -> None:
        """Add what `Task.predict` returned for a batch."""
        ...

    def compute(self) -> dict[str, float]:
        """Return the metrics of the whole pass."""
        ...

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a metric over the examples of the pass, None if unknown.

        Called after `compute`, once, for the best epoch.
        """
        return None

    def predictions_to_keep(self) -> Arrays:
        """Return what `training.keep_predictions` stores of the pass, on the CPU; empty for none.

        Called after `compute`, for the best epoch.
        """
        return {}


@dataclass(frozen=True)
class Clock:
    """How far a training is; everything scheduled is a function of it.

    epoch, step: the number completed. epochs, steps_per_epoch: the full horizon of the stage, also
    when a trial stops earlier, so that a resumed run is the same training.
    """

    epoch: int
    step: int
    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """The number of steps in the full horizon."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class Group:
    """Parameters that are optimised alike; `lr_scale` multiplies the learning rate."""

    name: str
    parameters: Sequence[nn.Parameter]
    lr_scale: float = 1.0
    decays: bool = True


@dataclass(frozen=True)
class StepContext:
    """What the hooks of a step may use besides their batches.

    clock: before the step in `Task.backward`, after it in `Task.after_step`. model: the one that
    takes the step (compiled where the run is compiled); a second forward pass goes through it.
    optimizer: its groups already have the learning rate of this step. autocast: opens the
    precision of the run; `Task.backward` is called inside it, `Task.after_step` is not. scale:
    multiplies a loss by the factor of mixed precision (1 except in fp16), and by the share of this
    process where several train together.

    Until the optimiser steps, gradients carry that factor; it is the same for all losses of a step.

    Where several processes train together, each has some rows of every micro-batch, and the step
    adds up what `Task.backward` left in `.grad` of each; what a task computes from a loss or from
    gradients itself it takes from `mean` and `summed`, and vectors of the other rows from `gather`.
    ranks: these processes. share: the weight of this one's rows in the step. rows: how many each
    process has, for every micro-batch.
    """

    clock: Clock
    model: nn.Module
    optimizer: Optimizer
    autocast: Callable[[], AbstractContextManager[Any]]
    scale: Callable[[Tensor], Tensor]
    ranks: Ranks = ALONE
    share: float = 1.0
    rows: Sequence[Sequence[int]] = ()

    def mean(self, loss: Loss) -> Loss:
        """Return the loss of the whole step, detached, from that of this process's rows."""
        if self.ranks.alone:
            return loss
        names = list(loss.terms)
        values = [one.detach().double() for one in (loss.total, *loss.terms.values())]
        found = torch.stack(values) * self.share
        self.ranks.sum_([found])
        total, *terms = found.to(loss.total.dtype).unbind()
        return Loss(total, dict(zip(names, terms, strict=True)))

    def summed(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return gradients, as `gradients` gives them, of the rows of all processes."""
        if self.ranks.alone:
            return list(gradients)
        found = [gradient.clone() for gradient in gradients]
        self.ranks.sum_(found)
        return found

    def gather(self, tensors: Sequence[Tensor], batches: Sequence[int]) -> list[Tensor]:
        """Return tensors of micro-batches, one after another, with the rows of all processes.

        tensors: of one width or shape, each with the rows of the micro-batches numbered `batches`
        first. The order is that of one process, and gradients flow back to their rows.
        """
        if self.ranks.alone:
            return list(tensors)
        counts = [self.rows[at] for at in batches]
        own = [sum(of_rank) for of_rank in zip(*counts, strict=True)]
        # Gathered rows come by rank; here they are put in order by micro-batch, then rank.
        starts = [sum(own[:rank]) for rank in range(len(own))]
        order: list[int] = []
        for count in counts:
            for rank, rows in enumerate(count):
                order += range(starts[rank], starts[rank] + rows)
                starts[rank] += rows
        together = self.ranks.gather(torch.stack(list(tensors), 1), own)
        if len(counts) > 1:
            index = torch.tensor(order, device=together.device)
            together = together.index_select(0, index)
        return list(together.unbind(1))

    def backward(self, total: Tensor) -> None:
        """Add the gradients of `total` to `.grad`; use it in place of `Tensor.backward`."""
        with torch.autocast(total.device.type, enabled=False):
            self.scale(total).backward()

    def __call__(self, total: Tensor) -> None:
        """Do what `backward` does: older tasks expect a function in place of this context."""
        self.backward(total)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser trains now, group after group."""
        groups = self.optimizer.param_groups
        return [p for group in groups for p in group["params"] if p.requires_grad]

    def gradients(self, total: Tensor, *, keep_graph: bool = False) -> list[Tensor]:
        """Return the gradient of `total` by each of `parameters`, and leave `.grad` alone.

        Zeros stand where `total` does not depend on a parameter. keep_graph: another loss of the
        same forward pass follows.
        """
        with torch.autocast(total.device.type, enabled=False):
            found = torch.autograd.grad(
                self.scale(total),
                self.parameters,
                retain_graph=keep_graph,
                materialize_grads=True,
            )
        return list(found)

    def set_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Replace `.grad` of `parameters`; the step clips these and updates with them."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient


class Task(ABC):
    """Loss, predictions, metrics, and quiet hooks that each have a default.

    skips_bad_steps: whether a step whose loss or gradient is not finite is left out and counted,
    which waits for the device in each step. By default the first one ends the run as diverged.
    """

    metrics_directions: Mapping[str, Literal["max", "min"]]
    skips_bad_steps: bool = False

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Return the loss of one micro-batch; called in training mode, under autocast."""

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch) -> Arrays:
        """Return what the metrics need of a batch; called in evaluation mode, without gradients."""

    @abstractmethod
    def metrics(self) -> Metrics:
        """Return a fresh collector for one pass."""

    def first_row(self, batch: Batch) -> Batch:
        """Return the first row of a batch, to time its prediction.

        Default: the first row of every tensor in it.
        """
        return tree_map(lambda leaf: leaf[:1] if isinstance(leaf, Tensor) else leaf, batch)

    def param_groups(self, model: nn.Module) -> list[Group]:
        """Return the groups of the optimiser; called once.

        Default: matrices decay; biases, norms and learnable scalars do not.
        """
        trained = [p for p in model.parameters() if p.requires_grad]
        groups = [
            Group("matrices", [p for p in trained if p.ndim >= 2]),
            Group("vectors", [p for p in trained if p.ndim < 2], decays=False),
        ]
        return [group for group in groups if group.parameters]

    def backward(self, model: nn.Module, batches: Sequence[Batch], context: StepContext) -> Loss:
        """Leave the gradients of one step in `.grad`, and return its loss, detached.

        Default: loss and backward for each micro-batch, averaged. Micro-batches count by their
        `weight`, so that the gradient and the loss are those of the whole batch in however many
        parts it comes. Call `context.backward` in place of `Tensor.backward`, or combine the
        gradients of several losses: `context.gradients`, then `context.set_gradients`.
        """
        weights = [self.weight(batch) for batch in batches]
        shares = [weight / sum(weights) for weight in weights]
        losses = []
        for batch, share in zip(batches, shares, strict=True):
            loss = self.loss(model, batch)
            context(loss.total * share)  # called, so that a plain function does as well
            losses.append(loss)
        return mean_loss(losses, shares)

    def weight(self, batch: Batch) -> float | Tensor:
        """Return what a micro-batch counts in a mean: what its own mean was divided by.

        Default: its rows, the length of the first tensor in it (1 where there is none). A loss
        that divides by something else, such as a sum of class weights or the number of tokens,
        returns that.
        """
        rows = [len(leaf) for leaf in tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.ndim]
        return float(rows[0]) if rows else 1.0

    def after_step(
        self, model: nn.Module, batches: Sequence[Batch], loss: Loss, context: StepContext
    ) -> None:
        """Do what follows an update of the weights; not called where the step was skipped.

        model: the plain module, as in `on_epoch`. loss: what `backward` returned. A second forward
        pass on the same batches calls `context.model` inside `context.autocast()`.
        """

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        """Prepare an epoch; must be a function of the clock, and of what `state_dict` returns."""

    def on_valid(self, scores: Mapping[str, float], clock: Clock) -> None:
        """Take note of the validation metrics; called after each epoch.

        Raise a RunError to end the run as failed, for what only a whole epoch shows.
        """

    def epoch_values(self, *, is_best: bool) -> Mapping[str, float]:
        """Return what is logged of an epoch besides losses and metrics, by name; after `on_valid`.

        is_best: whether its weights are the best so far.
        """
        return {}

    def finish(self, model: nn.Module) -> None:
        """Finish the best weights; called once, before evaluation and export."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs besides model and optimiser."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""


@dataclass(frozen=True)
class Setup:
    """Everything that is trained. Learnable scalars of the loss live in the model.

    resolved: what was decided while setting up, by config path; it is written into the run's
    configuration, so that a re-run repeats it.
    extra_files: JSON files by name that the run folder needs besides the weights.
    calibrate: whether precision, layout and compilation may be timed on the first batch where
    they are left open; see `training.autotune`.
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
    """Return the mean of micro-batch losses, detached; `shares`, their weights, add up to 1."""

    def mean(values: Iterable[Tensor]) -> Tensor:
        terms = (value.detach() * share for value, share in zip(values, shares, strict=True))
        return torch.stack(list(terms)).sum(0)

    return Loss(
        mean(loss.total for loss in losses),
        {name: mean(loss.terms[name] for loss in losses) for name in losses[0].terms},
    )
