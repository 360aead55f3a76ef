"""Average the predictions of several classifiers: weigh them, judge them, write the ensemble."""

import os
from typing import Any

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
from tunewright.deliver.find_run import ENSEMBLE
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection
from tunewright.runs.atomic import write_json


def average_predictions(
    selection: RunSelection, options: EnsembleOptions, on_progress: ProgressCallback
) -> EnsembleReport:
    """Weigh the members, judge them, write `ensemble.json`; imports torch."""
    import torch

    from tunewright.classification.inference import ensemble as parts

    folder = selection.folder
    members, logits, labels = open_validated(selection, on_progress)
    average: Any = options.average
    weigh = parts.METHODS[options.method]
    several = parts.is_multi_label(members[0])
    if several:
        weights = parts.weigh_labels(logits, labels, weigh, average)
        fitted = parts.cross_fit_labels(logits, labels, weigh, average)
        gain = measure_label_gain(labels, fitted.ensemble, fitted.single)
    else:
        weights = weigh(logits, labels, average)
        fitted = parts.cross_fit(logits, labels, weigh, average)
        counts = members[0].class_counts.cpu().numpy()
        gain = measure_gain(labels, fitted.ensemble, fitted.single, counts)
    kept = [index for index, weight in enumerate(weights.tolist()) if weight > 0]
    chosen = RunSelection(
        folder,
        tuple(selection.members[index] for index in kept),
        tuple(float(weights[index]) for index in kept),
        options.average,
        selection.threads,
    )
    blend = parts.Blend(tuple(members[index] for index in kept), chosen.weights, average)
    average_of = parts.blend_labels if several else parts.blend
    scores = average_of(logits[kept].double(), torch.tensor(chosen.weights), average)
    result = EnsembleReport(
        folder=folder,
        method=options.method,
        members=member_rows(selection, logits, labels, weights.tolist()),
        accuracy=score_of(scores, labels),
        gain=gain,
        costs=measure_costs(blend, chosen, options.limits, on_progress),
        verdict=describe_gain(gain, weights.tolist()),
        runs=tuple(os.path.relpath(one.path, folder.resolve()) for one in chosen.members),
        weights=chosen.weights,
        average=options.average,
        classes=tuple(blend.classes),
        metric="map" if several else "accuracy",
    )
    write_json(folder / ENSEMBLE, result.as_stored())
    write_json(folder / MADE_OF, made_of(selection, options.method))
    return result
