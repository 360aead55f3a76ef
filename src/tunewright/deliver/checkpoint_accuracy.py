"""The accuracy of a trained run on a test set, as one number for a loop of one's own."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tunewright.deliver.evaluate import evaluate
from tunewright.errors import DataError

if TYPE_CHECKING:
    from tunewright.deliver.progress import ProgressCallback


class Frame(Protocol):
    """A table in memory, such as a pandas DataFrame."""

    def to_csv(self, path: str, *, index: bool) -> Any:
        """Write the table to a CSV file."""
        ...


def evaluate_checkpoint(
    checkpoint: Path | str,
    test_set: "Path | str | Frame",
    *,
    runs_dir: Path | str = "runs",
    on_progress: "ProgressCallback | None" = None,
) -> float:
    """Return the accuracy of a trained run on a test set.

    checkpoint: a run folder, or checkpoints/best.safetensors in one. test_set: what `evaluate
    --data` takes, or a DataFrame with the columns dataset_index, label and prompt, whose patients
    are those of the run's own data. All other figures, with their intervals, are in the run's
    folder. Raises DataError where there is no accuracy to measure.
    """
    runs = Path(runs_dir)
    if isinstance(test_set, Path | str):
        found = evaluate(checkpoint, data=test_set, runs=runs, on_progress=on_progress)
    else:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "test_set.csv"
            test_set.to_csv(str(table), index=False)
            found = evaluate(checkpoint, data=table, runs=runs, on_progress=on_progress)
    if "accuracy" not in found.metrics:
        raise DataError(
            f"the accuracy of {found.folder.path} on this test set cannot be measured",
            expected="one class for each patient, of those that the run was trained on",
            remedy="tunewright evaluate RUN --data TESTSET prints what can be measured.",
        )
    return found.metrics["accuracy"]
