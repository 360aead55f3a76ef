"""The files of a submission, by their names in the ZIP."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewright.classification.classes_file import FILE as CLASSES
from tunewright.classification.classes_file import ClassIndex, read_classes
from tunewright.classification.delivery.submission import PREDICTIONS, Content
from tunewright.classification.metrics.thresholds import THRESHOLDS, thresholds_file
from tunewright.config.tree import set_leaf
from tunewright.deliver.classification.submission_files import (
    INFERENCE,
    TRAIN,
    readme,
    requirements,
    sources,
)
from tunewright.deliver.select_runs import RunSelection
from tunewright.errors import DataError
from tunewright.runs.atomic import dump_yaml
from tunewright.runs.folder import RunFolder

PLACE = re.compile(r"(\w+://)?[~/]")
"""How a path of this machine begins, also as a URL; it is useless on another machine."""


def submission_contents(
    selection: RunSelection,
    predictions: str,
    used: Mapping[str, Any],
    found: Mapping[str, Any],
    weights: Path,
    half: bool,
) -> dict[str, Content]:
    """Return every file of the submission by its name."""
    needed = requirements().encode()
    contents: dict[str, Content] = {
        PREDICTIONS: predictions.encode(),
        "requirements.txt": needed,
        "code/requirements.txt": needed,
        "code/train.py": TRAIN.encode(),
        "code/inference.py": INFERENCE.encode(),
        **sources(),
    }
    for number, (one, model) in enumerate(
        zip(selection.members, found["models"], strict=True), start=1
    ):
        contents[f"model/{model['weights']}"] = weights / model["weights"]
        contents |= _run_files(RunFolder(one.path), f"code/configs/runs/{number}", model["weights"])
    contents["code/configs/config.yaml"] = contents["code/configs/runs/1/config.yaml"]
    if len(selection.members) > 1:
        numbers = [str(number) for number in range(1, len(selection.members) + 1)]
        ensemble = {
            "runs": numbers,
            "weights": list(selection.weights),
            "average": selection.average,
        }
        contents["code/configs/ensemble.json"] = _json(ensemble)
    if used["thresholds"] is not None:
        place = "code/configs" if len(selection.members) > 1 else "code/configs/runs/1"
        contents[f"{place}/{THRESHOLDS}"] = _json(thresholds_file(used["thresholds"]))
    shown = ("view_words", "views", "logit_adjustment", "category_ids", "form", "labels_in_a_row")
    kept = {name: used[name] for name in shown}
    contents["code/configs/predicted.json"] = _json(kept)
    if used["like"] is not None:
        contents["code/configs/sample_submission.csv"] = Path(used["like"])
    flags = "" if len(used["views"]) == 1 else " --tta"
    contents["README.md"] = readme(
        {
            **found,
            "predictions": len(found["ids"]),
            "classes": len(found["labels"]),
            "precision": "float16" if half else "float32",
            "views": used["views"],
            "flags": flags,
            "again": "up to float16" if half else "up to the rounding of another machine",
            "adjustment": used["logit_adjustment"],
            "header": predictions.partition("\n")[0],
            "tta": used["tta"],
        }
    ).encode()
    return contents


def _run_files(folder: RunFolder, place: str, weights: str) -> dict[str, Content]:
    """Return the small files of a run that its recipe needs to open it without the data."""
    tree = _without_places(folder.read_config())
    set_leaf(tree, "executor", {**tree.get("executor", {}), "type": "inline"})
    if isinstance(tree.get("data"), dict) and "dir" in tree["data"]:
        set_leaf(tree, "data.dir", "DIR")  # and never the embedded set, whose classes are others
    return {
        f"{place}/config.yaml": dump_yaml(tree).encode(),
        f"{place}/weights.json": _json({"file": weights}),
        f"{place}/{CLASSES}": _json(_classes(folder).as_json()),
    }


def _classes(folder: RunFolder) -> ClassIndex:
    """Return the classes of a run; opening the run before has written them if necessary."""
    known = read_classes(folder)
    if known is None:
        raise DataError(
            f"{folder.path / CLASSES} does not exist",
            expected="the classes of the run, without which it cannot be opened elsewhere",
        )
    return replace(known, data_dir=None)


def _without_places(value: Any) -> Any:
    """Return a configuration in which every path of this machine is reduced to its last name."""
    if isinstance(value, dict):
        return {key: _without_places(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(entry) for entry in value]
    if isinstance(value, str) and PLACE.match(value):
        return value.rstrip("/").rpartition("/")[2]
    return value


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
