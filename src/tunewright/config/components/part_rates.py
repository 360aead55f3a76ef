"""How fast the parts of a network learn, and when they begin; shared by recipes that fine-tune."""

from typing import Annotated

from pydantic import Field

from tunewright.config.section import NotNegative, Section

RunShare = Annotated[float, Field(ge=0.0, lt=1.0)]


class PartRates(Section):
    """Parts of a network that learn at rates of their own, or wait frozen.

    Both are mappings from a part of the network, or a pattern of parameter names such as
    `attn_s*`; of several that match a parameter, the last one holds. lr_scales: to a factor on
    `optim.lr`; 0 freezes a part for the whole training. unfreeze: to the fraction of the training
    after which a part trains; until then it is frozen.
    """

    lr_scales: dict[str, NotNegative] = Field(default_factory=dict)
    unfreeze: dict[str, RunShare] = Field(default_factory=dict)
