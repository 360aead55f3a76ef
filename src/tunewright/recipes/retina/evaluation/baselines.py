"""What a trained model is shown beside: the most frequent class, and a probe of the images."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tunewright.recipes.retina.evaluation.eye_metrics import ScoredPatients

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PROBE_C = (0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the probe's penalty, of which the validation set chooses one."""


def majority(train_labels: Ints, patients: ScoredPatients) -> ScoredPatients:
    """Return the scores of always naming the classes by their frequency in training."""
    frequency = train_labels[train_labels[:, 0] >= 0].mean(axis=0)
    scores = np.tile(frequency, (len(patients.labels), 1))
    return replace(patients, scores=scores)


def linear_probe(
    train: tuple[Floats, Ints],
    valid: tuple[Floats, Ints],
    test: tuple[Floats, ScoredPatients],
) -> ScoredPatients | None:
    """Return the scores of logistic regressions, one a class, on frozen features.

    train, valid: features [N, d] and labels [N, C]; of several penalties the one with the best mean
    log-likelihood on valid is taken for each class, and the features are standardised by train.
    test: features [M, d] and the patients to score. None where no class has examples of both kinds.
    """
    from sklearn.linear_model import LogisticRegression

    known, held = train[1][:, 0] >= 0, valid[1][:, 0] >= 0
    mean, deviation = train[0][known].mean(0), train[0][known].std(0) + 1e-6
    here, beside, there = ((f - mean) / deviation for f in (train[0], valid[0], test[0]))
    scores = np.zeros(test[1].labels.shape)
    fitted = 0
    for label in range(scores.shape[1]):
        target = train[1][known, label]
        if len(np.unique(target)) < 2:
            scores[:, label] = -np.inf
            continue
        best = None
        for strength in PROBE_C:
            model = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
            model.fit(here[known], target)
            chances = np.clip(model.predict_proba(beside[held])[:, 1], 1e-6, 1 - 1e-6)
            wanted = valid[1][held, label]
            likelihood = np.log(np.where(wanted == 1, chances, 1 - chances)).mean()
            if best is None or likelihood > best[0]:
                best = likelihood, model
        assert best is not None
        scores[:, label] = best[1].decision_function(there)
        fitted += 1
    if not fitted:
        return None
    return replace(test[1], scores=scores)
