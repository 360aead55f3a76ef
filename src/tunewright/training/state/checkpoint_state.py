"""What a checkpoint of a training holds, and how the training goes on from it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from tunewright.errors import DataError
from tunewright.training.checkpoint import Checkpoints, State
from tunewright.training.randomness import random_state, restore_random_state
from tunewright.training.state.train_state import TrainState
from tunewright.training.task import Task
from tunewright.training.weight_average import WeightAverage


@dataclass(frozen=True)
class CheckpointParts:
    """The objects of a training whose states a checkpoint holds.

    average: of the weights, if they are averaged. scaler: of the loss, in fp16.
    """

    model: nn.Module
    optimizer: Optimizer
    task: Task
    average: WeightAverage | None
    scaler: GradScaler | None

    def save(self, train_state: Callable[[], TrainState]) -> State:
        """Return the state to resume from; `train_state` is called after all else is read."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "task": self.task.state_dict(),
            "random": random_state(),
            "standing": train_state().as_stored(),
        }

    def load(self, state: State) -> TrainState:
        """Continue every object, and the random numbers, where `save` left them."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        if self.scaler and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.task.load_state_dict(state["task"])
        restore_random_state(state["random"])
        return TrainState.from_stored(state["standing"])


def resume(parts: CheckpointParts, checkpoints: Checkpoints) -> TrainState | None:
    """Continue from the last checkpoint; return where the training was, None if there is none.

    Raises DataError for a checkpoint of something else.
    """
    state = checkpoints.load_last()
    if state is None:
        return None
    try:
        return parts.load(state)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        file, why = checkpoints.folder / "last.pt", " ".join(str(error).split())[:200]
        raise DataError(
            f"{file} does not hold the state of this training ({type(error).__name__}: {why})",
            remedy=f"Remove it, and the training begins at its start: rm {file}.",
        ) from error
