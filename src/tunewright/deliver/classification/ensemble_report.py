"""What an ensemble or a soup is worth: the gain over the best run, and the cost of all together."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.classification.inference.ensemble_gain import score_of
from tunewright.deliver.classification.check import exported_bytes
from tunewright.deliver.classification.limits import INPUT, Limits
from tunewright.deliver.classification.open_members import open_members
from tunewright.deliver.classification.views_gain import SCORES
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection
from tunewright.result import Result
from tunewright.runs.folder import StudyFolder
from tunewright.runs.machine import temporary_folders
from tunewright.search.reporting.trial_ensemble import MADE, store_ensemble

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

MADE_OF = "made_of.json"
"""By which a later call with the same runs knows its own folder."""


@dataclass(frozen=True)
class EnsembleOptions:
    """What to make; plain values that travel to the process that does it."""

    method: str
    average: str
    limits: Limits


@dataclass(frozen=True)
class EnsembleReport(Result):
    """An ensemble or a soup, in `folder`.

    members: every run with its validation accuracy and its weight. accuracy: of all together. gain:
    over the best single run, with its interval. costs: bytes and latency beside the limits. runs,
    weights, average, classes: of an ensemble, as `predict` reads them; empty for a soup. metric:
    `accuracy`, or `map` where a picture may have several labels: `accuracy` and `gain` are then
    mean average precisions.
    """

    folder: Path
    method: str
    members: Sequence[Mapping[str, Any]]
    accuracy: float
    gain: Mapping[str, Any]
    costs: Mapping[str, Any]
    verdict: str
    runs: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    average: str = ""
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metric: str = "accuracy"

    def as_json(self) -> dict[str, Any]:
        """Return all fields, of a soup those that it has."""
        of_ensembles = ("runs", "weights", "average", "classes")
        found = super().as_json()
        if self.metric == "accuracy":
            del found["metric"]
        return {name: one for name, one in found.items() if self.runs or name not in of_ensembles}

    def as_stored(self) -> dict[str, Any]:
        """Return what the file in the folder holds: all but the notes."""
        return {name: one for name, one in self.as_json().items() if name != "notes"}


def made_of(selection: RunSelection, method: str) -> dict[str, Any]:
    """Return what `MADE_OF` holds."""
    runs = [str(one.path) for one in selection.members]
    return {"runs": runs, "method": method, "average": selection.average}


def open_validated(
    selection: RunSelection, on_progress: ProgressCallback
) -> "tuple[tuple[Classifier, ...], Any, Any]":
    """Open the members; return them, their validation logits [M, N, C], and the labels [N]."""
    import torch

    from tunewright.classification.inference.cached_logits import (
        check_same_pictures,
        validation_labels,
        validation_logits,
    )
    from tunewright.classification.inference.ensemble import check_classes

    members = open_members(selection)
    check_classes(members)
    check_same_pictures(members)
    logits = []
    for number, one in enumerate(members):
        on_progress("validating the members", number, len(members))
        logits.append(validation_logits(one)[0])
    on_progress("validating the members", len(members), len(members))
    return members, torch.stack(logits), validation_labels(members[0])


def member_rows(
    selection: RunSelection, logits: Any, labels: Any, weights: Sequence[float]
) -> list[dict[str, Any]]:
    """Return each run with its validation accuracy and its weight."""
    right = [score_of(one, labels) for one in logits]
    return [
        {"run": str(one.path), "accuracy": accuracy, "weight": weight}
        for one, accuracy, weight in zip(selection.members, right, weights, strict=True)
    ]


def measure_costs(
    blend: Any, selection: RunSelection, limits: Limits, on_progress: ProgressCallback
) -> dict[str, Any]:
    """Measure size and latency of all members together, beside the limits."""
    from tunewright.classification.delivery import latency as costs

    sizes = {name: sum(found) for name, found in exported_bytes(blend, selection).items()}
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix("ensemble")) as temporary:
        picture = Path(temporary) / "picture.jpg"
        picture.write_bytes(costs.draw_picture(INPUT))
        taken = costs.measure(
            blend, picture, on_progress=lambda n, total: on_progress("timing one picture", n, total)
        )
    return {
        "bytes": sizes,
        "max_bytes": limits.bytes,
        "latency": asdict(taken.whole),
        "max_ms": limits.milliseconds,
        "device": costs.device_name(blend.members[0].device),
        "passed": {
            "size": sizes["float32"] <= limits.bytes,
            "size_half": sizes["float16"] <= limits.bytes,
            "latency": taken.whole.p95_ms < limits.milliseconds,
        },
    }


def write_made_ensemble(study: StudyFolder, made: EnsembleReport) -> None:
    """Store what an ensemble of a study's runs gains, for the study's report."""

    def row(member: Mapping[str, Any]) -> dict[str, Any]:
        path, root = Path(member["run"]), study.path.resolve()
        name = path.relative_to(root) if path.is_relative_to(root) else path
        number = name.parts[1] if name.parts[0] == "trials" else ""
        return {
            "trial": int(number) if number.isdigit() else str(name),
            "name": str(name),
            "score": member["accuracy"],
            "weight": member["weight"],
            "has_weights": True,
        }

    rows = [row(member) for member in made.members]
    best = max(rows, key=lambda one: float(one["score"]))
    store_ensemble(
        study,
        {
            "candidates": len(rows),
            "metric": made.metric,
            "best": {"trial": best["trial"], "score": best["score"]},
            "members": [one for one in rows if one["weight"] > 0],
            "score": made.accuracy,
            "gain": dict(made.gain),
            "notes": [],
            "folder": str(made.folder),
        },
        MADE,
    )


def describe_gain(gain: Mapping[str, Any], weights: Sequence[float]) -> str:
    """Say in words whether it is a gain, no gain, or a loss."""
    from tunewright.analysis.score_intervals import describe_paired

    figures = (
        f"{gain['value']:+.4f} {SCORES[gain.get('metric', 'accuracy')]} "
        f"({gain['low']:+.4f} to {gain['high']:+.4f}, {describe_paired(gain)}, "
        f"n = {gain['pictures']})"
    )
    if sum(1 for weight in weights if weight > 0) == 1:
        return f"no gain: the best single run was chosen alone; {figures}"
    if gain["low"] > 0:
        return f"a gain of {figures} over the best single run"
    if gain["high"] < 0:
        return f"no gain but a loss: {figures} against the best single run"
    return f"no gain over the best single run that is significant: {figures}"
