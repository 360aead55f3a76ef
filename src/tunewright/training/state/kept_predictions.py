"""The validation predictions of a run's best epoch, in its folder."""

from safetensors.torch import save_file

from tunewright.runs.atomic import write_with
from tunewright.runs.folder import RunFolder
from tunewright.training.task import Metrics


def write_predictions(folder: RunFolder, best: Metrics) -> None:
    """Store what the pass of the best epoch predicted; nothing where its task keeps none.

    Raises NotWritten where the disk refuses it.
    """
    arrays = {name: one.contiguous() for name, one in best.predictions_to_keep().items()}
    if arrays:
        write_with(folder.predictions, lambda place: save_file(arrays, place))
