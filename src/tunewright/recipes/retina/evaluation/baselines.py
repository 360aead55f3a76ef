"""What a trained model is shown beside: the most frequent class, and a probe of the images."""

import warnings
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
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    features, patients = test
    known, held = train[1][:, 0] >= 0, valid[1][:, 0] >= 0
    mean, deviation = train[0][known].mean(0), train[0][known].std(0) + 1e-6
    here = (train[0] - mean) / deviation
    beside = (valid[0] - mean) / deviation
    there = (features - mean) / deviation
    scores = np.zeros_like(patients.scores)
    fitted = 0
    for label in range(patients.labels.shape[1]):
        target = train[1][known, label]
        if len(np.unique(target)) < 2:
            scores[:, label] = -np.inf
            continue
        best: tuple[float, LogisticRegression] | None = None
        for strength in PROBE_C:
            model = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
            with warnings.catch_warnings():
                # A fit that stops early is judged on valid like any other.
                warnings.simplefilter("ignore", ConvergenceWarning)
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
    return replace(patients, scores=scores)
