"""Opens the classifiers of a selection, in processes that may import torch."""

from typing import TYPE_CHECKING, Any

from tunewright.classification.inference.tta_views import ALONE, Views
from tunewright.deliver.select_runs import RunSelection
from tunewright.recipes.recipe import import_object
from tunewright.runs.folder import RunFolder

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier
    from tunewright.classification.inference.ensemble import Blend


def open_members(selection: RunSelection) -> "tuple[Classifier, ...]":
    """Open the classifiers, on the GPU if there is one."""
    from tunewright.training.device import default_device

    device = default_device()
    return tuple(
        import_object(one.opener)(RunFolder(one.path), device) for one in selection.members
    )


def open_blend(
    selection: RunSelection, views: Views = ALONE, logit_adjustment: float = 0.0
) -> "Blend":
    """Open the classifiers as one blend; raises DataError unless they have the same classes."""
    from tunewright.classification.inference.ensemble import Blend

    average: Any = selection.average
    return Blend(open_members(selection), selection.weights, average, views, logit_adjustment)
