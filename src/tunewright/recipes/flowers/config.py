"""The configuration of `flowers`: timm models, fine-tuned for a competition."""

from pathlib import Path
from typing import Literal

from tunewright.classification.config import ClassifyConfig


class FlowersConfig(ClassifyConfig):
    """Everything that can be set for `flowers`."""

    recipe: Literal["flowers"] = "flowers"

    @staticmethod
    def write_embedded(folder: Path) -> None:
        """Write the embedded set into an empty folder; see `recipes.flowers.drawn`."""
        # Imports Pillow and more, which `show` does not need.
        from tunewright.recipes.flowers.drawn import write_flowers

        write_flowers(folder)
