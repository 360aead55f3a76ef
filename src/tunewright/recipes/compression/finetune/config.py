"""How `compression` changes a trained compressor; imports without torch."""

from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.components.part_rates import PartRates
from tunewright.config.section import Count, NotNegative, Section


class FromScratch(Section):
    """A training of its own; `model.weights` may name weights to begin from all the same."""

    type: Literal["none"] = "none"


class FineTuneWhole(Section):
    """The whole network goes on from `model.weights`, which must be given, at one rate."""

    type: Literal["whole"] = "whole"


class FineTuneParts(PartRates):
    """The network goes on from `model.weights`, which must be given, part by part.

    The parts are `g_a`, `g_s` (analysis and synthesis), `h_a`, `h_s` (of the hyper-latents),
    `context` (what predicts latents from others) and `entropy` (the prior of the hyper-latents).
    lr_scales: by part, or pattern of parameter names such as `attn_s*`, a factor on `optim.lr`; 0
    freezes it for the whole training. unfreeze: by part or pattern, the fraction of the training
    until which it is frozen. scale_patience: epochs without a better share of the validation loss
    after which the context of one of HPCM's scales s1, s2 and s3 is frozen, each on its own
    (null = never). scale_min_delta: how much better counts for it.
    """

    type: Literal["parts"] = "parts"
    scale_patience: Count | None = None
    scale_min_delta: NotNegative = 1e-4


FineTune = Annotated[FromScratch | FineTuneWhole | FineTuneParts, Field(discriminator="type")]
