"""The declaration of `blobs`: a tiny network with everything that a resume can get wrong."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.schema import Goals, RunConfig
from tunewright.config.section import Fraction, Section
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent


class BlobsModel(Section):
    """One hidden layer, with dropout and batch normalisation."""

    width: Annotated[int, Field(ge=1)] = 8
    dropout: Fraction = 0.3


class BlobsData(Section):
    """bad_epoch: the epoch (from 0) whose third batch is not finite."""

    bad_epoch: int | None = None


class BlobsConfig(RunConfig):
    """Everything that can be set for `blobs`."""

    recipe: Literal["blobs"] = "blobs"
    goal: Goals = "val_loss"
    model: BlobsModel = BlobsModel()
    data: BlobsData = BlobsData()


RECIPE = Recipe(
    name="blobs",
    config=BlobsConfig,
    conf=HERE / "conf",
    space=HERE / "space.yaml",
    metrics={"accuracy": "max", "loss": "min"},
    setup="practice.blobs.setup:make_setup",
)
