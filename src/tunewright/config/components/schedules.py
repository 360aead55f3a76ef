"""Learning-rate schedules in the configuration."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from tunewright.config.components.plugins import SCHEDULES, PluginSection, with_plugins
from tunewright.config.section import Fraction, NotNegative, Positive, Section


class WarmupConfig(Section):
    """Linear warm-up from zero.

    warmup_steps: its length. warmup_epochs: or in epochs. warmup_fraction: or of all steps.
    """

    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    warmup_epochs: NotNegative | None = None
    warmup_fraction: Fraction = 0.0


class ConstantSchedule(WarmupConfig):
    """The learning rate stays as it is after the warm-up."""

    type: Literal["constant"] = "constant"


class CosineSchedule(WarmupConfig):
    """Half a cosine. final_fraction: of the learning rate, at the end."""

    type: Literal["cosine"] = "cosine"
    final_fraction: Fraction = 0.0


class LinearSchedule(WarmupConfig):
    """A straight line. final_fraction: of the learning rate, at the end."""

    type: Literal["linear"] = "linear"
    final_fraction: Fraction = 0.0


class PolynomialSchedule(WarmupConfig):
    """A power of the remaining training.

    power: 1 is a straight line; more falls faster at first. final_fraction: of the learning rate,
    at the end.
    """

    type: Literal["polynomial"] = "polynomial"
    power: Positive = 1.0
    final_fraction: Fraction = 0.0


class OneCycleSchedule(WarmupConfig):
    """Half a cosine up to the learning rate, then one down to almost nothing (Smith & Topin 2018).

    rise_fraction: the share of the training until the peak. start_fraction, final_fraction: of the
    learning rate, at the beginning and at the end. As torch's OneCycleLR, which calls the first
    `pct_start`, the second 1 / `div_factor`, and has the momentum cycle as well.
    """

    type: Literal["one_cycle"] = "one_cycle"
    rise_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    start_fraction: Fraction = 0.04
    final_fraction: Fraction = 4e-6


class StepSchedule(WarmupConfig):
    """A staircase down.

    every_fraction: the share of the training between two steps. decay: what each multiplies by.
    """

    type: Literal["step"] = "step"
    every_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    decay: Fraction = 0.1


def _ascending(fractions: tuple[float, ...]) -> tuple[float, ...]:
    if sorted(set(fractions)) != list(fractions):
        raise ValueError("fractions of the training, each larger than the one before it")
    return fractions


class MilestoneSchedule(WarmupConfig):
    """The learning rate is multiplied by each of `factors` from that fraction of the training on.

    Before the first fraction the factor is 1. fractions: of the training. factors: of the full
    learning rate, not of the one before.
    """

    type: Literal["milestones"] = "milestones"
    fractions: Annotated[
        tuple[Fraction, ...], Field(strict=False, min_length=1), AfterValidator(_ascending)
    ] = (0.5, 0.75)
    factors: Annotated[tuple[Fraction, ...], Field(strict=False)] = (0.1, 0.01)

    @model_validator(mode="after")
    def _matching(self) -> Self:
        if len(self.fractions) != len(self.factors):
            raise ValueError(
                f"as many factors as fractions, but there are {len(self.factors)} and "
                f"{len(self.fractions)}"
            )
        return self


class PluginSchedule(WarmupConfig, PluginSection):
    """A schedule of an installed package. options: its keyword arguments."""

    group, what = SCHEDULES, "schedule"


if TYPE_CHECKING:
    Schedule = (
        ConstantSchedule
        | CosineSchedule
        | LinearSchedule
        | PolynomialSchedule
        | OneCycleSchedule
        | StepSchedule
        | MilestoneSchedule
        | PluginSchedule
    )
else:
    Schedule = with_plugins(
        ConstantSchedule
        | CosineSchedule
        | LinearSchedule
        | PolynomialSchedule
        | OneCycleSchedule
        | StepSchedule
        | MilestoneSchedule,
        PluginSchedule,
    )
