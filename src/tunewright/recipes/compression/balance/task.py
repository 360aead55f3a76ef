"""The task of balanced training: distortion and rate, weighed anew as the training goes on."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tunewright.errors import TaskWeightsCollapsed
from tunewright.recipes.compression.balance.gamma import gamma_at
from tunewright.recipes.compression.balance.gamma_config import FixedGamma, GammaSchedule
from tunewright.recipes.compression.balance.task_weights import (
    FamoWeights,
    QpWeights,
    TaskWeights,
)
from tunewright.recipes.compression.rate_distortion import RateDistortion
from tunewright.recipes.compression.task import CompressionTask
from tunewright.training.task import Batch, Clock, Loss, StepContext, mean_loss

TASKS = ("distortion", "bpp")
"""Terms of the loss that are tasks of their own; together they are the loss."""
COLLAPSED = 0.99
"""A weight above this during a whole epoch leaves nothing to train of the other tasks."""


class BalancedTask(CompressionTask):
    """Trains a weighted sum of the logarithms of its tasks' losses, of the whole batch.

    tasks: names of terms of the loss. The loss that is reported is the plain one, D + bpp, which
    schedules and studies compare. A step that is not finite changes nothing, and is counted.
    """

    skips_bad_steps = True
    remedy: ClassVar[str]  # what to change where the task weights collapse

    def __init__(
        self, criterion: RateDistortion, weights: TaskWeights, tasks: Sequence[str] = TASKS
    ) -> None:
        super().__init__(criterion)
        self.task_weights, self.tasks = weights, tuple(tasks)
        self._sum: Tensor | None = None  # of the weights of the steps of this epoch: [n]
        self._steps = 0
        self._least: Tensor | None = None  # the least that the largest weight was in this epoch

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        """Begin the statistics of an epoch."""
        super().on_epoch(model, clock)
        self._sum, self._steps, self._least = None, 0, None

    def on_valid(self, scores: Mapping[str, float], clock: Clock) -> None:
        """Raise TaskWeightsCollapsed where one task had all of the weight for the whole epoch."""
        super().on_valid(scores, clock)
        if self._sum is None or self._least is None or float(self._least) <= COLLAPSED:
            return
        most = int(self._sum.argmax())
        raise TaskWeightsCollapsed(
            f"task weights collapsed: {self.tasks[most]} had more than {COLLAPSED:g} of the weight "
            f"in every step of epoch {clock.epoch}",
            remedy=self.remedy,
        )

    def epoch_values(self, *, is_best: bool) -> Mapping[str, float]:
        """Return the mean weight of each task over the epoch, and whether it is the best one."""
        found = super().epoch_values(is_best=is_best)
        if self._sum is None:
            return found
        means = (self._sum / self._steps).tolist()
        weights = {f"task_weights/{n}": w for n, w in zip(self.tasks, means, strict=True)}
        return {**found, **weights, "checkpoint/is_best": float(is_best)}

    def losses_of(self, loss: Loss) -> Tensor:
        """Return the losses of the tasks: [n]."""
        return torch.stack([loss.terms[name] for name in self.tasks])

    def backward(self, model: nn.Module, batches: Sequence[Batch], context: StepContext) -> Loss:
        """Leave the gradient of the weighted sum in `.grad`; return the plain loss, detached."""
        if len(batches) > 1 or self.needs_each_gradient(context.clock):
            loss = self._combine(model, batches, context)
        else:
            loss = self.loss(model, batches[0])
            context.backward(self._objective(loss, context))
            loss = mean_loss([loss], [1.0])
        self._count(self.task_weights.weights)
        return loss

    def needs_each_gradient(self, clock: Clock) -> bool:
        """Return whether the weights of the step after `clock` need the gradient of each task."""
        return False

    def on_gradients(self, loss: Loss, gradients: Sequence[Sequence[Tensor]], clock: Clock) -> None:
        """Take note of the gradient of each task, by parameter, of the step after `clock`."""

    def _objective(self, loss: Loss, context: StepContext) -> Tensor:
        """Return what is minimised; of this process's rows, the part with the same gradient."""
        losses = self.losses_of(loss)
        if context.ranks.alone:
            return self.task_weights.objective(losses)
        # The weight of a task's gradient depends on its loss over the rows of all processes.
        whole = self.losses_of(context.mean(loss))
        return (self.task_weights.shares(whole) * losses).sum()

    def _combine(self, model: nn.Module, batches: Sequence[Batch], context: StepContext) -> Loss:
        """Compute the gradient of each task, of all micro-batches together, and their sum.

        The weight of a task's gradient depends on its loss over the whole batch, which is known
        after the last micro-batch.
        """
        rows = [self.weight(batch) for batch in batches]
        shares = [row / sum(rows) for row in rows]
        losses: list[Loss] = []
        gradients: list[list[Tensor]] = []
        for batch, share in zip(batches, shares, strict=True):
            loss = self.loss(model, batch)
            parts = (self.losses_of(loss) * share).unbind()
            found = [context.gradients(part, keep_graph=part is not parts[-1]) for part in parts]
            losses.append(mean_loss([loss], [1.0]))
            if not gradients:
                gradients = found
            else:
                for total, more in zip(gradients, found, strict=True):
                    torch._foreach_add_(total, more)
        loss = mean_loss(losses, shares)
        whole = context.mean(loss)
        if self.needs_each_gradient(context.clock):
            summed = [context.summed(one) for one in gradients]
            self.on_gradients(whole, summed, context.clock)
        factors = self.task_weights.shares(self.losses_of(whole)).to(gradients[0][0].dtype)
        for total, factor in zip(gradients, factors.unbind(), strict=True):
            torch._foreach_mul_(total, factor)
        combined, *others = gradients
        for other in others:
            torch._foreach_add_(combined, other)
        context.set_gradients(combined)
        return loss

    def _count(self, weights: Tensor) -> None:
        weights = weights.detach()
        most = weights.max()
        self._sum = weights.clone() if self._sum is None else self._sum + weights
        self._least = most if self._least is None else torch.minimum(self._least, most)
        self._steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the task weights."""
        return {**super().state_dict(), "task_weights": self.task_weights.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state)
        self.task_weights.load_state_dict(state["task_weights"])


class FamoTask(BalancedTask):
    """Weights that follow how much each task's loss decreased in a step.

    gamma: decay of the logits, before its schedule. schedule: as `plan_gamma` returns it. every:
    the weights change, with a second forward pass, at each step that is a multiple of it.
    """

    remedy = (
        "A larger balance.gamma pulls the weights to equal parts; a smaller balance.w_lr, or "
        "another lambda, helps as well."
    )
    task_weights: FamoWeights

    def __init__(
        self,
        criterion: RateDistortion,
        weights: FamoWeights,
        *,
        gamma: float,
        schedule: GammaSchedule | None = None,
        every: int = 1,
        tasks: Sequence[str] = TASKS,
    ) -> None:
        super().__init__(criterion, weights, tasks)
        self.gamma, self.schedule, self.every = gamma, schedule or FixedGamma(), every
        self.gammas: list[float] = []  # of the epochs until now
        self.validation_losses: list[float] = []

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        """Set gamma for the epoch after `clock`."""
        super().on_epoch(model, clock)
        done = clock.epoch / clock.epochs
        # An attempt that was interrupted within an epoch begins that epoch again.
        del self.gammas[clock.epoch :]
        self.gammas.append(gamma_at(self.gamma, self.schedule, done, self.validation_losses))

    def on_valid(self, scores: Mapping[str, float], clock: Clock) -> None:
        """Keep the validation loss, which an adaptive schedule looks at."""
        super().on_valid(scores, clock)
        self.validation_losses.append(scores["val_loss"])

    def epoch_values(self, *, is_best: bool) -> Mapping[str, float]:
        """Return gamma and the weights of the epoch."""
        return {"gamma": self.gammas[-1], **super().epoch_values(is_best=is_best)}

    def after_step(
        self, model: nn.Module, batches: Sequence[Batch], loss: Loss, context: StepContext
    ) -> None:
        """Update the weights by the losses of the same batch after the step."""
        super().after_step(model, batches, loss, context)
        if context.clock.step % self.every:
            return
        rows = [self.weight(batch) for batch in batches]
        with torch.no_grad(), context.autocast():
            again = [self.loss(context.model, batch) for batch in batches]
        after = context.mean(mean_loss(again, [row / sum(rows) for row in rows]))
        if bool(after.total.isfinite()):
            self.task_weights.update(self.losses_of(loss), self.losses_of(after), self.decay())

    def decay(self) -> float | Tensor:
        """Return the gamma of this epoch: one, or one for each task [n]."""
        return self.gammas[-1]

    def state_dict(self) -> dict[str, Any]:
        """Return weights, their optimiser and the history of gamma."""
        return {
            **super().state_dict(),
            "gammas": list(self.gammas),
            "validation_losses": list(self.validation_losses),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state)
        self.gammas = list(state["gammas"])
        self.validation_losses = list(state["validation_losses"])


class QpTask(BalancedTask):
    """Weights that are exact for each batch, at the price of a backward pass for each task.

    every: the weights are computed at each step that is a multiple of it, and stay in between.
    """

    remedy = "The gradient of that task is by far the shorter: use another lambda, or balance=famo."
    task_weights: QpWeights

    def __init__(self, criterion: RateDistortion, weights: QpWeights, *, every: int = 1) -> None:
        super().__init__(criterion, weights)
        self.every = every

    def needs_each_gradient(self, clock: Clock) -> bool:
        """Return whether the weights are computed for the step after `clock`."""
        return clock.step % self.every == 0

    def on_gradients(self, loss: Loss, gradients: Sequence[Sequence[Tensor]], clock: Clock) -> None:
        """Compute the weights, where it is the turn of this step and its loss is finite."""
        if self.needs_each_gradient(clock) and bool(loss.total.isfinite()):
            self.task_weights.solve(self.losses_of(loss), gradients)
