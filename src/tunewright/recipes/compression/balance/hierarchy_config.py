"""Balance over the scales of HPCM in the configuration; imports without torch."""

from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.section import Count, Positive, Section

ScaleStrategy = Literal["fixed", "linear", "cosine", "adaptive", "hierarchical"]
ScaleWeights = Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]


class HierarchicalConfig(Section):
    """Weights of five tasks: distortion and rate of HPCM's scales s1, s2 and s3, as famo's.

    The tasks add up to the loss; s3 has a rate only. gamma_s1, gamma_s2, gamma_s3: decay of the
    logits of each scale's tasks, which pulls them to `scale_weights`. strategy: of the gammas over
    the training: fixed; linear or cosine down to half; adaptive, by how much a scale's share of the
    validation loss varies; hierarchical, from coarse to fine. window: validations that adaptive
    looks at. scale_weights: parts of the three scales that gamma pulls to, divided evenly between
    a scale's tasks. w_lr: learning rate of the logits. every: update them at each step that is a
    multiple of it.
    """

    type: Literal["hierarchical"] = "hierarchical"
    gamma_s1: Positive = 0.008
    gamma_s2: Positive = 0.006
    gamma_s3: Positive = 0.004
    strategy: ScaleStrategy = "hierarchical"
    window: Annotated[int, Field(ge=2)] = 50
    scale_weights: ScaleWeights = (0.3, 0.4, 0.3)
    w_lr: Positive = 0.025
    every: Count = 1
