"""`tunewright export`: a run as ONNX, safetensors or a torch.export program, and its parity."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tunewright.deliver.classification.open_members import open_members
from tunewright.deliver.find_run import output_file
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection, resolve_runs, run_in_subprocess
from tunewright.errors import DataError, UsageError, did_you_mean
from tunewright.result import Result

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

FORMATS = ("onnx", "safetensors", "torch-export")


@dataclass(frozen=True)
class ExportReport(Result):
    """An exported file, and how near its answers are to the run's.

    bytes: of the file. largest_difference: of the logits; limit: the most allowed, None in float16.
    size: of the pictures that it takes, in pixels. accuracy: in float32 and float16 on the
    validation set, or why it is `unknown`; None where it was not measured.
    """

    run: Path
    file: Path
    to: str
    half: bool
    bytes: int
    largest_difference: float
    limit: float | None
    size: int
    classes: int
    accuracy: Mapping[str, Any] | None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return all fields; `accuracy` only where it was measured."""
        found = super().as_json()
        return {k: v for k, v in found.items() if k != "accuracy" or v is not None}


def export(
    run: Path | str | None = None,
    *,
    to: str = "safetensors",
    half: bool = False,
    output: Path | str | None = None,
    checkpoint: Path | str | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> ExportReport:
    """Write the model for others, read it back, and compare its answers with the run's.

    output: by default `export/model.onnx` and so on in the run folder. half: weights in float16;
    the file is then scored on the validation set beside the original. Raises ConfigError
    when ONNX is not installed, RunError when the file is not the model.
    """
    if to not in FORMATS:
        raise UsageError(
            f"--to {to}", expected=f"one of {', '.join(FORMATS)}", remedy=did_you_mean(to, FORMATS)
        )
    place = None if output is None else output_file(output)
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    selection.single()  # an ensemble has no one graph
    found: ExportReport = run_in_subprocess(
        selection, _export, to, half, place, on_progress=on_progress
    )
    return replace(found, notes=selection.notes)


def _export(
    selection: RunSelection, to: Any, half: bool, output: Path | None, on_progress: ProgressCallback
) -> ExportReport:
    from tunewright.classification.delivery import export as parts

    assert to in get_args(parts.Format)
    if to == "onnx":
        parts.need_onnx()
    (classifier,) = open_members(selection)
    name = "model-half" if half else "model"
    file = output or selection.folder / "export" / f"{name}{parts.SUFFIXES[to]}"
    on_progress("writing", 0, 1)
    parts.write(classifier, file, to, selection.single().read_config(), half=half)
    on_progress("comparing", 0, 1)
    exported = parts.read_back(classifier, file, to)
    difference = parts.largest_difference(classifier, exported, parts.sample(classifier))
    parts.check_parity(difference, file, half=half)
    return ExportReport(
        run=selection.folder,
        file=file,
        to=to,
        half=half,
        bytes=file.stat().st_size,
        largest_difference=difference,
        limit=None if half else parts.PARITY,
        size=classifier.size,
        classes=len(classifier.classes),
        accuracy=_accuracies(classifier, exported, on_progress) if half else None,
    )


def _accuracies(
    classifier: "Classifier", exported: Any, on_progress: ProgressCallback
) -> dict[str, Any]:
    """Score the run and the file on the validation set, where it is at hand."""
    from tunewright.classification.delivery.export import accuracy

    on_progress("scoring on the validation set", 0, 1)
    try:
        return {
            "float32": accuracy(classifier),
            "float16": accuracy(classifier, exported),
            "pictures": len(classifier.sets.valid),
        }
    except DataError as error:  # exported where the data is not
        return {"unknown": str(error)}
