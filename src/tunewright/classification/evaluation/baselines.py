"""What needs no network: the most frequent class, and a linear model of small pictures."""

import warnings
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tunewright.classification.inference.predict import DecodedBatches
from tunewright.images.image_table import ImageTable

SIDE = 32
"""Pixels: what the linear model sees of a picture."""
COMPONENTS = 64
MOST_ROWS = 20_000
"""Training pictures that the linear model is fitted on: more change little, and cost minutes."""
Labels = npt.NDArray[np.int64]


def baselines(train: ImageTable, split: ImageTable, *, seed: int = 0) -> Mapping[str, Labels]:
    """The labels that simple models predict for `split`, by the model's name.

    The linear one is scikit-learn's: the pictures at 32 x 32 pixels, their 64 principal
    components, logistic regression. Unreadable pictures are black to it.
    """
    found = {"most frequent class": np.full(len(split), int(train.counts.argmax()))}
    seen = train
    if len(train) > MOST_ROWS:
        rows = np.random.default_rng(seed).permutation(len(train))[:MOST_ROWS]
        seen = train.take(np.sort(rows))
    if len(np.unique(seen.labels)) > 1:
        found["PCA + logistic regression"] = _linear(seen, split, seed)
    return found


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
        # Shares of a variance of 0, of pictures that are all the same; nobody reads the shares.
        warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
        model.fit(pixels, train.labels)
        return np.asarray(model.predict(_pixels(split)), dtype=np.int64)


def _pixels(table: ImageTable) -> npt.NDArray[np.float32]:
    with DecodedBatches(table, [SIDE], 256) as batches:
        parts = [batch.images[SIDE].flatten(1).numpy() for batch in batches]
    return np.concatenate(parts).astype(np.float32) / 255.0
