"""The configuration of `longtail`: ColorNet-V1 and losses for rare classes."""

from pathlib import Path
from typing import Literal

from tunewright.classification.config import ClassifyConfig


class LongtailConfig(ClassifyConfig):
    """Everything that can be set for `longtail`."""

    recipe: Literal["longtail"] = "longtail"

    @staticmethod
    def write_embedded(folder: Path) -> None:
        """Write the embedded set into an empty folder; see `recipes.longtail.digits`."""
        # Imports Pillow and more, which `show` does not need.
        from tunewright.recipes.longtail.digits import write_digits

        write_digits(folder)
