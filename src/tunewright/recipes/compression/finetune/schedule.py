"""What of a compressor trains when: parts by the clock, and scales by their own patience."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from tunewright.recipes.compression.finetune.config import FineTuneParts
from tunewright.recipes.compression.finetune.scale_patience import ScalePatience
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.training.finetune.freezing import freeze
from tunewright.training.finetune.parts import PartPlan, plan_parts
from tunewright.training.task import Clock


class FineTuneSchedule:
    """The parts of one model as a section asks for them.

    plan: rates, and when parts are set free. patience: of the scales; None where none stops.
    """

    def __init__(self, plan: PartPlan, patience: ScalePatience | None) -> None:
        self.plan, self.patience = plan, patience
        self._shown: frozenset[str] | None = None  # what was frozen when the table was printed

    @classmethod
    def of(cls, section: FineTuneParts, model: Compressor) -> "FineTuneSchedule":
        """Return what `section` means for `model`; raises ConfigError for parts it lacks."""
        patience = None
        if section.scale_patience is not None:
            patience = ScalePatience(model.grids, section.scale_patience, section.scale_min_delta)
        return cls(plan_parts(model, section), patience)

    def apply(self, model: nn.Module, clock: Clock) -> None:
        """Freeze what does not train in the epoch after `clock`; print the parts that changed."""
        frozen = self.plan.frozen_at(clock)
        if self.patience is not None:
            frozen |= self.patience.frozen(model)
        freeze(model, frozen)
        if frozen != self._shown:
            print(f"trained from epoch {clock.epoch + 1} on:")
            print("\n".join(self.plan.describe(model, frozen)))
            self._shown = frozen

    def record(self, scores: Mapping[str, float], clock: Clock) -> None:
        """Take note of the validation after the epochs of `clock`; print what stops."""
        if self.patience is None:
            return
        losses = {scale: scores[f"val_{scale}_loss"] for scale in self.patience.scales}
        for scale in self.patience.record(losses, clock.epoch):
            progress = self.patience.scales[scale]
            print(
                f"{scale} stops after epoch {clock.epoch}: its share of the loss was best, "
                f"{progress.best:.4g}, after epoch {progress.best_epoch}; its context is frozen"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs besides the clock."""
        return {} if self.patience is None else self.patience.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if self.patience is not None:
            self.patience.load_state_dict(state)
