"""Opens the classifiers of a selection, in processes that may import torch."""

from typing import TYPE_CHECKING, Any

from tunewright.classification.inference.pictures_to_predict import window_of
from tunewright.classification.inference.tta_views import ALONE, Views
from tunewright.deliver.select_runs import RunSelection
from tunewright.errors import DataError
from tunewright.recipes.recipe import import_object
from tunewright.runs.folder import RunFolder

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier
    from tunewright.classification.inference.ensemble import Blend


def open_members(selection: RunSelection) -> "tuple[Classifier, ...]":
    """Open the classifiers, on the GPU if there is one.

    Raises DataError unless all read pictures with the same window: a file is decoded once for all.
    """
    from tunewright.training.device import default_device

    device = default_device()
    members: tuple[Classifier, ...] = tuple(
        import_object(one.opener)(RunFolder(one.path), device) for one in selection.members
    )
    first = members[0]
    for other in members[1:]:
        if window_of(other) != window_of(first):
            raise DataError(
                f"{first.folder.path} was trained with data.window = {window_of(first)}, "
                f"{other.folder.path} with {window_of(other)}",
                expected="the same for all members",
                remedy="Average only models that were trained with one window.",
            )
    return members


def open_blend(
    selection: RunSelection, views: Views = ALONE, logit_adjustment: float = 0.0
) -> "Blend":
    """Open the classifiers as one blend; raises DataError unless they have the same classes."""
    from tunewright.classification.inference.ensemble import Blend

    average: Any = selection.average
    return Blend(open_members(selection), selection.weights, average, views, logit_adjustment)
