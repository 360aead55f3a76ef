"""The declaration of `pictures`: a few colours, a convolution, a minute of a training at most."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.schema import RunConfig
from tunewright.config.section import Count, Fraction, Section
from tunewright.images.dataset.config import ImagesConfig
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent


class PicturesModel(Section):
    """width: channels. norm: batch normalisation in between."""

    width: Annotated[int, Field(ge=1)] = 8
    norm: bool = True
    dropout: Fraction = 0.0


class PicturesConfig(RunConfig):
    """Everything that can be set for `pictures`. steps: of the training."""

    recipe: Literal["pictures"] = "pictures"
    goal: str = "val_accuracy"
    model: PicturesModel = PicturesModel()
    data: ImagesConfig = ImagesConfig(image_size=16, val_split=0.3)
    steps: Count = 30


RECIPE = Recipe(
    name="pictures",
    config=PicturesConfig,
    conf=HERE / "conf",
    space=None,
    metrics={"accuracy": "max"},
    run="practice.pictures.classifier:train",
    capabilities={
        "evaluate": "practice.pictures.classifier:evaluate",
        "evaluate_on": "practice.pictures.classifier:evaluate_on",
        "classifier": "practice.pictures.classifier:open_classifier",
    },
)
