"""`tunewright export`: a run as ONNX, safetensors or a torch.export program, and its parity."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tunewright.deliver.classification.open_members import open_blend, open_members
from tunewright.deliver.find_run import output_file
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection, resolve_runs, run_in_subprocess
from tunewright.errors import DataError, UsageError, did_you_mean
from tunewright.result import Result
from tunewright.runs.folder import RunFolder

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

FORMATS = ("onnx", "safetensors", "torch-export")


@dataclass(frozen=True)
class ExportReport(Result):
    """An exported file, and how near its answers are to the run's.

    bytes: of the file. largest_difference: of the logits; limit: the most allowed, None in float16.
    size: of the pictures that it takes, in pixels. inputs: their names in the graph. accuracy: in
    float32 and float16 on the validation set, or why it is `unknown`; of several labels a picture
    the mean average precision (`metric`); None where it was not measured.
    """

    run: Path
    file: Path
    to: str
    half: bool
    bytes: int
    largest_difference: float
    limit: float | None
    size: int
    inputs: tuple[str, ...]
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

    An ensemble is written to ONNX, as one graph of all members and their average. output: by
    default `export/model.onnx` and so on in the run folder. half: weights in float16; the file is
    then scored on the validation set beside the original. Raises ConfigError when ONNX is not
    installed, RunError when the file is not the model.
    """
    if to not in FORMATS:
        raise UsageError(
            f"--to {to}", expected=f"one of {', '.join(FORMATS)}", remedy=did_you_mean(to, FORMATS)
        )
    place = None if output is None else output_file(output)
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    if len(selection.members) > 1 and to != "onnx":
        raise DataError(
            f"{selection.folder} is an ensemble of {len(selection.members)} runs",
            expected=f"one run for {to}",
            remedy=f"Use --to onnx, or name one of them: {selection.members[0].path}.",
        )
    whole = _export if len(selection.members) == 1 else _export_ensemble
    found: ExportReport = run_in_subprocess(
        selection, whole, to, half, place, on_progress=on_progress
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
    scored = None
    if half:
        on_progress("scoring on the validation set", 0, 1)
        scored = _accuracies(
            lambda: (parts.accuracy(classifier), parts.accuracy(classifier, exported)), classifier
        )
    return ExportReport(
        run=selection.folder,
        file=file,
        to=to,
        half=half,
        bytes=file.stat().st_size,
        largest_difference=difference,
        limit=None if half else parts.PARITY,
        size=classifier.size,
        inputs=("images",),
        classes=len(classifier.classes),
        accuracy=scored,
    )


def _export_ensemble(
    selection: RunSelection, to: Any, half: bool, output: Path | None, on_progress: ProgressCallback
) -> ExportReport:
    """Write one graph of all members, and compare it with the ensemble."""
    from tunewright.classification.delivery import export_ensemble as parts
    from tunewright.classification.delivery.export import PARITY, check_parity, need_onnx

    need_onnx()
    ensemble = open_blend(selection)
    file = output or selection.folder / "export" / f"{'model-half' if half else 'model'}.onnx"
    on_progress("writing", 0, 1)
    trees = [RunFolder(one.path).read_config() for one in selection.members]
    parts.write_onnx_ensemble(ensemble, file, trees, half=half)
    on_progress("comparing", 0, 1)
    exported = parts.read_onnx_ensemble(ensemble, file)
    difference = parts.largest_blend_difference(ensemble, exported)
    check_parity(difference, file, half=half)
    scored = None
    if half:
        on_progress("scoring on the validation set", 0, 1)
        scored = _accuracies(
            lambda: (parts.blend_accuracy(ensemble), parts.blend_accuracy(ensemble, exported)),
            ensemble.members[0],
        )
    return ExportReport(
        run=selection.folder,
        file=file,
        to=to,
        half=half,
        bytes=file.stat().st_size,
        largest_difference=difference,
        limit=None if half else PARITY,
        size=max(member.size for member in ensemble.members),
        inputs=tuple(parts.input_names(ensemble).values()),
        classes=len(ensemble.classes),
        accuracy=scored,
    )


def _accuracies(
    measure: Callable[[], tuple[float, float]], classifier: "Classifier"
) -> dict[str, Any]:
    """Return the accuracy before and after, or why it is unknown where the data is gone."""
    try:
        before, after = measure()
    except DataError as error:  # exported where the data is not
        return {"unknown": str(error)}
    measured = {"float32": before, "float16": after, "pictures": len(classifier.sets.valid)}
    return measured | ({"metric": "map"} if classifier.sets.valid.targets is not None else {})
