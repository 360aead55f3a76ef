"""Closed-form maps from image to text embeddings: the baselines shown beside a trained head.

A head that does not beat the ridge map is broken, or has too little data or training. Both maps
centre their features. The mean of an embedding is shared by all rows and often long; without
centring it dominates every cosine and does not help to find the right pair. Centring also leaves
the intercept of ridge unpenalised. `LinearMap` gives unit vectors of both sides in the centred text
space, as `retrieval_scores` expects them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewright.contrastive.retrieval import retrieval_scores
from tunewright.errors import ConfigError
from tunewright.training.precision import at_least_float32


@dataclass(frozen=True)
class LinearMap:
    """The map x -> (x - image_mean) @ weight, compared with y - text_mean by cosine.

    weight: [image_dim, text_dim]; image_mean: [image_dim]; text_mean: [text_dim]; all float64.
    """

    weight: Tensor
    image_mean: Tensor
    text_mean: Tensor

    def images(self, images: Tensor) -> Tensor:
        """Map images [N, image_dim] to unit vectors [N, text_dim]."""
        images = at_least_float32(images)
        mapped = (images - self.image_mean.to(images)) @ self.weight.to(images)
        return F.normalize(mapped, dim=1)

    def texts(self, texts: Tensor) -> Tensor:
        """Centre texts [N, text_dim] and normalise them to unit vectors, for comparison."""
        texts = at_least_float32(texts)
        return F.normalize(texts - self.text_mean.to(texts), dim=1)


def procrustes(images: Tensor, texts: Tensor, *, chunk_rows: int = 8192) -> LinearMap:
    """Fit the rotation that brings paired images [N, image_dim] closest to texts [N, text_dim].

    With X, Y centred and X^T Y = U S V^T, the weight is U V^T. For unequal widths the thin
    decomposition is used: the weight has orthonormal rows (or columns) and maximises
    tr(W^T X^T Y). There is no penalty to choose. chunk_rows: rows in memory at a time.
    Source: Schönemann, Psychometrika 31, 1966.
    """
    cross, image_mean, text_mean = _centred_product(images, texts, chunk_rows)
    u, _, vh = torch.linalg.svd(cross, full_matrices=False)
    return LinearMap(u @ vh, image_mean, text_mean)


def ridge(images: Tensor, texts: Tensor, *, penalty: float, chunk_rows: int = 8192) -> LinearMap:
    """Fit the least-squares map (X^T X + penalty I)^-1 X^T Y of centred X, Y, in float64.

    images: [N, image_dim]; texts: [N, text_dim]; penalty: positive, in the units of X^T X.
    chunk_rows: rows in memory at a time, so that X and Y may be larger than memory.
    Raises ConfigError if the penalty is not positive.
    Source: Hoerl and Kennard, Technometrics 12, 1970.
    """
    if not penalty > 0:
        raise ConfigError(
            f"penalty = {penalty}",
            expected="a positive number",
            remedy="Use procrustes for a map without a penalty.",
        )
    cross, image_mean, text_mean = _centred_product(images, texts, chunk_rows)
    gram, _, _ = _centred_product(images, images, chunk_rows)
    return LinearMap(_solve(gram, cross, penalty), image_mean, text_mean)


@dataclass(frozen=True)
class ValidationPairs:
    """Pairs that a baseline is chosen on: [N, image_dim], [N, text_dim], [N], [N].

    ids, text_ids: as of `retrieval_ranks`.
    """

    images: Tensor
    texts: Tensor
    ids: Tensor
    text_ids: Tensor | None = None


def best_ridge(
    train_images: Tensor,
    train_texts: Tensor,
    valid: ValidationPairs,
    *,
    relative_penalties: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
    chunk_rows: int = 8192,
) -> tuple[LinearMap, float]:
    """Return the ridge map with the best validation `recall_1`, and its penalty.

    Of equal recalls the largest penalty wins. relative_penalties: multiples of the mean eigenvalue
    of X^T X, so that one grid suits every number of rows and length of vectors. The training rows
    are read once for the whole grid; each penalty costs one solve and one retrieval at the width
    of the texts, so a validation set of a few thousand rows is enough. Raises Diverged if an
    embedding is NaN.
    """
    cross, image_mean, text_mean = _centred_product(train_images, train_texts, chunk_rows)
    gram, _, _ = _centred_product(train_images, train_images, chunk_rows)
    eigenvalue = gram.diagonal().mean().item()

    def fit(penalty: float) -> LinearMap:
        return LinearMap(_solve(gram, cross, penalty), image_mean, text_mean)

    def recall(fitted: LinearMap) -> float:
        images, texts = fitted.images(valid.images), fitted.texts(valid.texts)
        return retrieval_scores(images, texts, valid.ids, text_ids=valid.text_ids)["recall_1"]

    penalties = sorted((eigenvalue * relative for relative in relative_penalties), reverse=True)
    # `max` returns the first of equals: the larger penalty. The generator keeps only the best map
    # and the current one in memory.
    return max(((fit(p), p) for p in penalties), key=lambda pair: recall(pair[0]))


def _centred_product(a: Tensor, b: Tensor, chunk_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return (a - mean)^T (b - mean) and both means, float64, from chunk_rows rows at a time.

    Computed as a^T b - sum(a) mean(b)^T, which needs one pass.
    """
    product = torch.zeros(a.shape[1], b.shape[1], dtype=torch.float64, device=a.device)
    a_sum, b_sum = product.new_zeros(a.shape[1]), product.new_zeros(b.shape[1])
    for start in range(0, len(a), chunk_rows):
        a_rows = a[start : start + chunk_rows].double()
        b_rows = b[start : start + chunk_rows].double()
        product.addmm_(a_rows.T, b_rows)
        a_sum += a_rows.sum(0)
        b_sum += b_rows.sum(0)
    a_mean, b_mean = a_sum / len(a), b_sum / len(b)
    return product.addr_(a_sum, b_mean, alpha=-1), a_mean, b_mean


def _solve(gram: Tensor, cross: Tensor, penalty: float) -> Tensor:
    damped = gram.clone()
    damped.diagonal().add_(penalty)
    return torch.cholesky_solve(cross, torch.linalg.cholesky(damped))
