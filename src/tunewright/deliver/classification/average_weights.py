"""Average the weights of several classifiers: judge the soup, write it as a run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.classification.inference.ensemble_gain import (
    measure_gain,
    measure_label_gain,
    score_of,
)
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
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import RunFolder

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier


def average_weights(
    selection: RunSelection, options: EnsembleOptions, on_progress: ProgressCallback
) -> EnsembleReport:
    """Average the weights, judge the soup, write it as a run folder; imports torch."""
    import torch

    from tunewright.classification.inference import ensemble as ensembles
    from tunewright.classification.inference import model_soup as parts
    from tunewright.classification.inference.predict import predict_table

    folder = selection.folder
    members, logits, labels = open_validated(selection, on_progress)
    parts.check_architectures(members)
    several = ensembles.is_multi_label(members[0])
    rate = parts.rate_labels(members[0].config.goals[0]) if several else score_of
    table = members[0].sets.valid

    def predict(one: "Classifier", rows: Any) -> Any:
        part = table.take(rows.numpy())
        return predict_table([one], part, lambda views: views[0][0]).scores

    every = torch.arange(len(labels))
    if options.method == "soup":
        soup, chosen, judged = parts.soup_of(members), list(range(len(members))), every
        choosing = every
    else:
        # Half of the rows chooses what goes in, the other half judges it.
        if several:
            half = ensembles.shuffled_folds(len(labels), 2)
        else:
            half = ensembles.stratified_folds(labels, 2)
        choosing, judged = every[half == 0], every[half == 1]
        tried = iter(range(2 * len(members)))

        def score(one: "Classifier") -> float:
            on_progress("evaluating soups", next(tried), 2 * len(members) - 1)
            return rate(predict(one, choosing), labels[choosing])

        soup, chosen = parts.greedy_soup(members, score)
    rates = [rate(one[choosing], labels[choosing]) for one in logits]
    single = logits[rates.index(max(rates)), judged]
    on_progress("judging the soup", 0, 1)
    scores = predict(soup, every)
    if several:
        gain = measure_label_gain(labels[judged], scores[judged].double(), single.double())
    else:
        counts = members[0].class_counts.cpu().numpy()
        gain = measure_gain(labels[judged], scores[judged].argmax(1), single.argmax(1), counts)
    metric, found = "map" if several else "accuracy", score_of(scores, labels)
    first = RunFolder(selection.members[chosen[0]].path)
    _write_soup(soup, first, folder, {f"val_{metric}": found})
    one = RunSelection(folder, (Member(folder.resolve(), selection.members[0].opener),))
    weights = [1.0 / len(chosen) if i in chosen else 0.0 for i in range(len(members))]
    result = EnsembleReport(
        folder=folder,
        method=options.method,
        members=member_rows(selection, logits, labels, weights),
        accuracy=found,
        gain=gain,
        costs=measure_costs(ensembles.Blend((soup,)), one, options.limits, on_progress),
        verdict=describe_gain(gain, weights),
        metric=metric,
    )
    write_json(folder / "soup.json", result.as_stored())
    write_json(folder / MADE_OF, made_of(selection, options.method))
    return result


def _write_soup(
    soup: "Classifier", first: RunFolder, folder: Path, metrics: Mapping[str, float]
) -> None:
    """Write a run folder like that of the first ingredient, with the soup's weights.

    metrics: of the soup on the validation set; the first of them is its score.
    """
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
    score = next(iter(metrics.values()))
    header = {"epoch": "0", "score": repr(score), "metrics": json.dumps(metrics)}
    weights = weights_of(soup, half=False)
    best = target.checkpoints / "best.safetensors"
    write_with(best, lambda place: save_file(weights, place, metadata=header))
    write_json(target.checkpoints / "best.json", {"epoch": 0, "score": score, "metrics": metrics})
