"""The configuration of `longtail`: ColorNet-V1 and losses for rare classes."""

from typing import Literal

from tunewright.parts.classify.config import ClassifyConfig


class LongtailConfig(ClassifyConfig):
    """Everything that can be set for `longtail`."""

    recipe: Literal["longtail"] = "longtail"
