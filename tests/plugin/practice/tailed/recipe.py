"""The declaration of `tailed`: losses of two kinds, flags and files of a guide, no training."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.dialect import Dialect
from tunewright.config.schema import Goals, RunConfig
from tunewright.config.section import Count, Fraction, Positive, Section
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent


class TailedData(Section):
    """Where the pictures would lie, and how large they would be."""

    dir: str | None = None
    image_size: Count = 224
    weighted_sampler: bool = False


class TailedModel(Section):
    """A backbone in name only."""

    name: str = "colornet_v1"
    fusion: Literal["msff", "global_concat", "simple_concat"] = "msff"
    dropout: Fraction = 0.2


class Smooth(Section):
    """Weights that grow towards the tail."""

    type: Literal["smooth_modulation"] = "smooth_modulation"
    tau: Positive = 0.5
    modulation: Literal["linear", "cosine", "step"] = "cosine"


class Focal(Section):
    """alpha: one number, which changes nothing."""

    type: Literal["focal"] = "focal"
    gamma: Positive = 2.0
    alpha: Positive = 0.25


class TailedConfig(RunConfig):
    """Everything that can be set for `tailed`."""

    recipe: Literal["tailed"] = "tailed"
    goal: Goals = "val_accuracy"
    data: TailedData = TailedData()
    model: TailedModel = TailedModel()
    loss: Annotated[Smooth | Focal, Field(discriminator="type")] = Smooth()


RECIPE = Recipe(
    name="tailed",
    config=TailedConfig,
    conf=HERE / "conf",
    space=HERE / "space.yaml",
    metrics={"accuracy": "max", "tail_f1": "max", "loss": "min"},
    run="practice.tailed.run:run",
    dialect=Dialect(
        aliases={
            "backbone": "model.name",
            "fusion": "model.fusion",
            "dropout": "model.dropout",
            "loss_fn": "loss.type",
            "tau": "loss.tau",
            "modulation_type": "loss.modulation",
            "focal_gamma": "loss.gamma",
            "focal_alpha": "loss.alpha",
            "image_size": "data.image_size",
            "use_weighted_sampler": "data.weighted_sampler",
            "batch_size": "training.batch_size",
            "epochs": "training.epochs",
            "lr": "optim.lr",
            "weight_decay": "optim.weight_decay",
            "n_trials": "study.trials",
            "experiment": "study.name",
            "manifest": "data.dir",
        },
        options={"hp_config": "space", "output_dir": "runs-dir", "base_config": "config"},
    ),
)
