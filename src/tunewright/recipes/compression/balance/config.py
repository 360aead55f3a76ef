"""How `compression` balances distortion and rate while it trains; imports without torch."""

from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.section import Count, Positive, Section
from tunewright.recipes.compression.balance.gamma_config import FixedGamma, GammaSchedule
from tunewright.recipes.compression.balance.hierarchy_config import HierarchicalConfig


class NoBalance(Section):
    """The plain loss: distortion, weighted by lambda, plus bits per pixel."""

    type: Literal["none"] = "none"


class FamoConfig(Section):
    """Task weights that equalise the relative decrease of distortion and rate.

    Source: Zhang, Duan, Huang & Zhu, CVPR 2025, solution 1; FAMO (Liu et al., NeurIPS 2023). gamma:
    decay of the logits of the weights, which pulls them to equal parts. schedule: of gamma over the
    epochs. w_lr: learning rate of the logits. every: update them at each step that is a multiple of
    it, with a second forward pass; the weights stay as they are in between.
    """

    type: Literal["famo"] = "famo"
    gamma: Positive = 0.003
    schedule: GammaSchedule = FixedGamma()
    w_lr: Positive = 0.025
    every: Count = 1


class QpConfig(Section):
    """Task weights that minimise the norm of the weighted sum of both gradients.

    Source: Zhang, Duan, Huang & Zhu, CVPR 2025, solution 2, recommended for fine-tuning. every:
    compute them at each step that is a multiple of it, from a backward pass for each task; the
    weights stay as they are in between.
    """

    type: Literal["qp"] = "qp"
    every: Count = 1


Balance = Annotated[
    NoBalance | FamoConfig | QpConfig | HierarchicalConfig, Field(discriminator="type")
]
