"""Baselines without a network: the most frequent class, and a linear model of small pictures."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.classification.inference.predict import DecodedBatches
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.square import SquareInput

SIDE = 32
"""Side in pixels of the pictures that the linear model takes."""
COMPONENTS = 64
MOST_ROWS = 20_000
"""Most training pictures of the linear model: more change little and cost minutes."""
Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]


def baselines(train: ImageTable, split: ImageTable, *, seed: int = 0) -> Mapping[str, Labels]:
    """Predict the labels of `split` by simple models: labels by the model's name.

    The linear one is scikit-learn's: pictures at 32 x 32 pixels, 64 principal components, logistic
    regression. Unreadable pictures are black.
    """
    found = {"most frequent class": np.full(len(split), int(train.counts.argmax()))}
    seen = _at_most(train, seed)
    if len(np.unique(seen.labels)) > 1:
        found["PCA + logistic regression"] = _linear(seen, split, seed)
    return found


def label_baselines(
    train: ImageTable, split: ImageTable, *, seed: int = 0
) -> Mapping[str, Probabilities]:
    """Predict how likely each of several labels is: probabilities [N, C] by the model's name.

    As `baselines`, with a logistic regression for each label.
    """
    assert train.targets is not None
    shares = train.targets.mean(axis=0)
    found = {"label frequencies": np.tile(shares, (len(split), 1))}
    seen = _at_most(train, seed)
    assert seen.targets is not None
    several = [at for at, label in enumerate(seen.targets.T) if label.any() and not label.all()]
    if several:
        linear = found["label frequencies"].copy()
        features, others = _components(seen, split, seed)
        for at in several:
            linear[:, at] = _fit(features, seen.targets[:, at]).predict_proba(others)[:, 1]
        found["PCA + logistic regression"] = linear
    return found


def _components(train: ImageTable, split: ImageTable, seed: int) -> tuple[Floats32, Floats32]:
    from sklearn.decomposition import PCA

    pixels = _pixels(train)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
        model = PCA(min(COMPONENTS, *pixels.shape), whiten=True, random_state=seed).fit(pixels)
        return model.transform(pixels), model.transform(_pixels(split))


def _fit(features: Floats32, label: npt.NDArray[np.bool_]) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a baseline
        return LogisticRegression(C=0.1, max_iter=500).fit(features, label)


def _at_most(train: ImageTable, seed: int) -> ImageTable:
    """Return the pictures that the linear model takes."""
    if len(train) <= MOST_ROWS:
        return train
    rows = np.random.default_rng(seed).permutation(len(train))[:MOST_ROWS]
    return train.take(np.sort(rows))


def _linear(train: ImageTable, split: ImageTable, seed: int) -> Labels:
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pixels = _pixels(train)
    components = min(COMPONENTS, *pixels.shape)
    model = make_pipeline(
        PCA(components, whiten=True, random_state=seed), LogisticRegression(C=0.1, max_iter=500)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a baseline
        # Identical pictures have no variance to divide by; the ratios are not used.
        warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
        model.fit(pixels, train.labels)
        return np.asarray(model.predict(_pixels(split)), dtype=np.int64)


def _pixels(table: ImageTable) -> npt.NDArray[np.float32]:
    square = SquareInput(SIDE)
    with DecodedBatches(table, [square], 256) as batches:
        parts = [batch.images[square].flatten(1).numpy() for batch in batches]
    return np.concatenate(parts).astype(np.float32) / 255.0
