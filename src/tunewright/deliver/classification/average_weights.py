"""Average the weights of several classifiers: judge the soup, write it as a run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.classification.inference.ensemble_gain import measure_gain
from tunewright.deliver.classification.ensemble_report import (
    MADE_OF,
    EnsembleOptions,
    EnsembleReport,
    describe_gain,
    made_of,
    measure_costs,
    member_rows,
    open_validated,
)
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import Member, RunSelection
from tunewright.errors import DataError
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import RunFolder

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier


def average_weights(
    selection: RunSelection, options: EnsembleOptions, on_progress: ProgressCallback
) -> EnsembleReport:
    """Average the weights, judge the soup, write it as a run folder; imports torch."""
    import torch

    from tunewright.classification.inference import model_soup as parts
    from tunewright.classification.inference.ensemble import Blend, stratified_folds
    from tunewright.classification.inference.predict import predict_table

    folder = selection.folder
    members, logits, labels = open_validated(selection, on_progress)
    parts.check_architectures(members)
    if labels.ndim > 1:
        raise DataError(
            f"--method {options.method} with runs of several labels a picture",
            expected="a method that averages predictions: mean, weighted or greedy",
            remedy="Use --method mean.",
        )
    table = members[0].sets.valid

    def predict(one: "Classifier", rows: Any) -> Any:
        part = table.take(rows.numpy())
        return predict_table([one], part, lambda views: views[0][0]).scores

    every = torch.arange(len(labels))
    if options.method == "soup":
        soup, chosen, judged = parts.soup_of(members), list(range(len(members))), every
    else:
        # Half of the rows chooses what goes in, the other half judges it.
        half = stratified_folds(labels, 2)
        choosing, judged = every[half == 0], every[half == 1]
        tried = iter(range(2 * len(members)))

        def score(one: "Classifier") -> float:
            on_progress("evaluating soups", next(tried), 2 * len(members) - 1)
            found = predict(one, choosing).argmax(1) == labels[choosing]
            return float(found.double().mean())

        soup, chosen = parts.greedy_soup(members, score)
    right = (logits.argmax(2) == labels).double()
    chooses = every if options.method == "soup" else choosing
    best = int(right[:, chooses].mean(1).argmax())
    on_progress("judging the soup", 0, 1)
    scores = predict(soup, every)
    counts = members[0].class_counts.cpu().numpy()
    gain = measure_gain(
        labels[judged], scores[judged].argmax(1), logits[best, judged].argmax(1), counts
    )
    accuracy = float((scores.argmax(1) == labels).double().mean())
    _write_soup(soup, RunFolder(selection.members[chosen[0]].path), folder, accuracy)
    one = RunSelection(folder, (Member(folder.resolve(), selection.members[0].opener),))
    weights = [1.0 / len(chosen) if i in chosen else 0.0 for i in range(len(members))]
    result = EnsembleReport(
        folder=folder,
        method=options.method,
        members=member_rows(selection, logits, labels, weights),
        accuracy=accuracy,
        gain=gain,
        costs=measure_costs(Blend((soup,)), one, options.limits, on_progress),
        verdict=describe_gain(gain, weights),
    )
    write_json(folder / "soup.json", result.as_stored())
    write_json(folder / MADE_OF, made_of(selection, options.method))
    return result


def _write_soup(soup: "Classifier", first: RunFolder, folder: Path, accuracy: float) -> None:
    """Write a run folder like that of the first ingredient, with the soup's weights."""
    from safetensors.torch import save_file

    from tunewright.classification.classes_file import read_classes, write_classes
    from tunewright.classification.delivery.export import weights_of
    from tunewright.runs.atomic import write_with

    target = RunFolder(folder)
    tree = first.read_config()
    target.write_config(tree, header=f"A soup of several runs; the configuration is {first.path}'s")
    known = read_classes(first)
    if known is not None:
        write_classes(target, known)
    metrics = {"val_accuracy": accuracy}
    header = {"epoch": "0", "score": repr(accuracy), "metrics": json.dumps(metrics)}
    weights = weights_of(soup, half=False)
    best = target.checkpoints / "best.safetensors"
    write_with(best, lambda place: save_file(weights, place, metadata=header))
    write_json(
        target.checkpoints / "best.json", {"epoch": 0, "score": accuracy, "metrics": metrics}
    )
