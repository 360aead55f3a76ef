"""The declaration of `hungry`: a training that takes the memory it is told to take."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tunewright.config.schema import RunConfig
from tunewright.config.section import NotNegative, Section
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent


class Appetite(Section):
    """MiB for every row of a micro-batch, and MiB whatever its size.

    from_epoch: the epoch (from 0) in which it begins.
    """

    row_mib: NotNegative = 0.0
    fixed_mib: NotNegative = 0.0
    from_epoch: int = 0


class HungryConfig(RunConfig):
    """Everything that can be set for `hungry`. epoch_seconds: what an epoch takes at least."""

    recipe: Literal["hungry"] = "hungry"
    goal: str = "val_loss"
    appetite: Appetite = Field(default_factory=Appetite)
    epoch_seconds: NotNegative = 0.0


RECIPE = Recipe(
    name="hungry",
    config=HungryConfig,
    conf=HERE / "conf",
    space=None,
    metrics={"loss": "min"},
    setup="practice.hungry.setup:make_setup",
)
