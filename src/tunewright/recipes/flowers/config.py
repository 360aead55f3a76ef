"""The configuration of `flowers`: timm models, fine-tuned for a competition."""

from typing import Literal

from tunewright.parts.classify.config import ClassifyConfig


class FlowersConfig(ClassifyConfig):
    """Everything that can be set for `flowers`."""

    recipe: Literal["flowers"] = "flowers"
