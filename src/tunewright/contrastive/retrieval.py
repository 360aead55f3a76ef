"""Image-text retrieval scores: exact, in row chunks, never a full N x N matrix.

Ties are pessimistic: everything that scores as high as the best positive ranks before it, so a
model that maps all inputs to one point scores 0, not 1. An image is in the gallery once however
many captions it has. The recall@k of the CLIP paper, of open_clip (diagonal only) and of
torchmetrics (the first tied item wins) differ from this on such data.

Averages are the usual ones: image-to-text over images, text-to-image over caption rows, as on COCO
and Flickr30k, so a text on several rows counts as often. Source: Karpathy and Fei-Fei, CVPR 2015;
Faghri et al., BMVC 2018 (VSE++); CLIP_benchmark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tunewright.analysis.score_intervals import (
    LEVEL,
    RESAMPLES,
    has_no_width,
    percentiles,
    wilson_without_spread,
)
from tunewright.errors import DataError, Diverged


@dataclass(frozen=True)
class RetrievalRanks:
    """Ranks (from 1) of both directions, from which all scores and intervals follow.

    i2t: [U], one per unique image, in the order of their first rows. t2i: [N], one per row.
    image_of_text: [N], the index into `i2t` of each row's image. text_of_row: [N], equal for rows
    with the same text. i2t_gallery: number of texts that an image is ranked against; t2i_gallery:
    number of images that a text is ranked against.
    """

    i2t: Tensor
    t2i: Tensor
    image_of_text: Tensor
    text_of_row: Tensor
    i2t_gallery: int
    t2i_gallery: int


def retrieval_scores(
    images: Tensor,
    texts: Tensor,
    ids: Tensor,
    *,
    text_ids: Tensor | None = None,
    ks: Sequence[int] = (1, 5, 10, 50),
    chunk_rows: int = 1024,
) -> dict[str, float]:
    """Return recalls, reciprocal and median ranks of both directions.

    Takes the arguments of `retrieval_ranks`, returns what `scores_of_ranks` returns.
    """
    ranks = retrieval_ranks(images, texts, ids, text_ids=text_ids, chunk_rows=chunk_rows)
    return scores_of_ranks(ranks, ks=ks)


def retrieval_ranks(
    images: Tensor,
    texts: Tensor,
    ids: Tensor,
    *,
    text_ids: Tensor | None = None,
    chunk_rows: int = 1024,
) -> RetrievalRanks:
    """Rank unique images against all texts, and every text against the unique images.

    images, texts: [N, d] unit vectors, one row per caption. ids: [N] int64, the image of each row;
    of rows that share an id the first image vector is used. chunk_rows: queries scored at a time;
    memory is about chunk_rows * N floats.

    text_ids: [N] int64, equal for rows whose text is the same. Captions such as "a plane in the
    sky" belong to several images, and ranking one of these above another is not a mistake. With
    `text_ids` such a text is in the gallery once, is a positive of every image that has a row with
    it, and matches any of these images; each row remains a query, so weights do not change. Without
    it every row is its own text.

    Raises Diverged if a similarity is NaN.
    """
    image_rows, image_of_row = _items(ids)
    if text_ids is None:
        text_rows = text_of_row = torch.arange(len(ids), device=ids.device)
    else:
        text_rows, text_of_row = _items(text_ids)
    images, texts = images[image_rows], texts[text_rows]

    i2t = _ranks(images, texts, _Positives.by_query(image_of_row, text_of_row), chunk_rows)
    t2i = _ranks(texts, images, _Positives.by_query(text_of_row, image_of_row), chunk_rows)
    return RetrievalRanks(
        i2t=i2t,
        t2i=t2i[text_of_row],
        image_of_text=image_of_row,
        text_of_row=text_of_row,
        i2t_gallery=len(texts),
        t2i_gallery=len(images),
    )


def scores_of_ranks(
    ranks: RetrievalRanks, *, ks: Sequence[int] = (1, 5, 10, 50)
) -> dict[str, float]:
    """Summarise ranks; recalls are fractions, of images for i2t and of caption rows for t2i.

    Keys for each direction D in i2t, t2i: `D_r{k}` for each k (the share of queries ranked k or
    better), `D_mrr` (mean reciprocal rank), `D_median_rank`, `D_gallery` (a recall needs its
    gallery size to be interpreted). `recall_1` is the mean of both R@1, `mean_recall` of all
    `D_r{k}`. Ranks 1 and 3 give r1 = 0.5, r5 = 1 and mrr = (1 + 1/3) / 2 = 0.67.
    """
    scores: dict[str, float] = {}
    directions = {"i2t": (ranks.i2t, ranks.i2t_gallery), "t2i": (ranks.t2i, ranks.t2i_gallery)}
    for name, (rank, gallery) in directions.items():
        scores |= {f"{name}_r{k}": _recall(rank, k) for k in ks}
        scores[f"{name}_mrr"] = rank.double().reciprocal().mean().item()
        scores[f"{name}_median_rank"] = float(np.median(rank.cpu().numpy()))
        scores[f"{name}_gallery"] = float(gallery)
    scores["recall_1"] = (_recall(ranks.i2t, 1) + _recall(ranks.t2i, 1)) / 2
    recalls = [scores[f"{name}_r{k}"] for name in directions for k in ks]
    scores["mean_recall"] = sum(recalls) / len(recalls)
    return scores


def other_averages(
    ranks: RetrievalRanks, *, ks: Sequence[int] = (1, 5, 10, 50)
) -> dict[str, float]:
    """Return the recalls of `scores_of_ranks` averaged over the other unit, where they may differ.

    `t2i_by_text_r{k}`: over distinct texts, if some are on more rows than others, so that a common
    text counts once. `i2t_by_row_r{k}`: over rows, if some images have more than others, so that an
    image counts as often as it has captions. Empty if all weights are equal.
    """
    averages: dict[str, float] = {}
    if _uneven(ranks.text_of_row):
        by_text = ranks.t2i[unique_rows(ranks.text_of_row)]
        averages |= {f"t2i_by_text_r{k}": _recall(by_text, k) for k in ks}
    if _uneven(ranks.image_of_text):
        by_row = ranks.i2t[ranks.image_of_text]
        averages |= {f"i2t_by_row_r{k}": _recall(by_row, k) for k in ks}
    return averages


def bootstrap_interval(
    i2t_ranks: Tensor,
    t2i_ranks: Tensor,
    t2i_image_of_text: Tensor,
    *,
    k: int = 1,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval (low, high) of recall@k, the mean of both directions.

    Takes the fields `i2t` [U], `t2i` [N] and `image_of_text` [N] of `RetrievalRanks`. Images are
    drawn with replacement, each with all its captions: captions of one image succeed and fail
    together, and drawing them one by one would make the interval too narrow. If all images have the
    same result, no draw differs and the interval is Wilson's, over images. Source: Efron and
    Tibshirani 1993, section 13.3; Field and Welsh 2007 (clusters).
    """
    image_of_text = t2i_image_of_text.cpu().numpy()
    found = _found_at(i2t_ranks, t2i_ranks, image_of_text, k)
    return _interval(found, image_of_text, resamples, level, seed)


def bootstrap_difference(
    ranks: RetrievalRanks,
    others: RetrievalRanks,
    *,
    k: int = 1,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval (low, high) of the difference to another model's recall@k.

    Both ranked the same rows, so both are drawn together: what is hard for one is mostly hard for
    the other, and the interval is narrower than the two of `bootstrap_interval` suggest. Models
    with equal results may still differ elsewhere: the interval is then Wilson's, over images.
    """
    image_of_text = ranks.image_of_text.cpu().numpy()
    found = _found_at(ranks.i2t, ranks.t2i, image_of_text, k)
    found_by_other = _found_at(others.i2t, others.t2i, image_of_text, k)
    difference = found - found_by_other
    return _interval(difference, image_of_text, resamples, level, seed, lowest=-1.0)


def _found_at(
    i2t_ranks: Tensor, t2i_ranks: Tensor, image_of_text: npt.NDArray[np.int64], k: int
) -> npt.NDArray[np.float64]:
    """Return for each image whether its query, and how many of its texts, succeed: [2, images]."""
    image_hits = (i2t_ranks <= k).cpu().numpy()
    text_hits = np.bincount(image_of_text, (t2i_ranks <= k).cpu().numpy(), len(i2t_ranks))
    return np.stack([image_hits, text_hits]).astype(np.float64)


def _interval(
    found: npt.NDArray[np.float64],
    image_of_text: npt.NDArray[np.int64],
    resamples: int,
    level: float,
    seed: int,
    *,
    lowest: float = 0.0,
) -> tuple[float, float]:
    unique_images = found.shape[1]
    texts = np.bincount(image_of_text, minlength=unique_images)

    # Images differ only in these three small counts. Drawing how often each combination occurs
    # has the same distribution as drawing images, at a cost independent of their number.
    kinds, frequency = np.unique(np.vstack([found, texts]).T, axis=0, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(
        unique_images, frequency / unique_images, size=resamples
    )  # [resamples, kinds]
    images_found, texts_found, texts_drawn = (draws @ kinds).T
    recall = (images_found / unique_images + texts_found / texts_drawn) / 2
    interval = percentiles(recall, level=level)
    if has_no_width(interval):
        return wilson_without_spread(float(recall[0]), [unique_images], lowest=lowest, level=level)
    return interval


def ranks(
    queries: Tensor,
    gallery: Tensor,
    query_ids: Tensor,
    gallery_ids: Tensor,
    *,
    chunk_rows: int = 1024,
) -> Tensor:
    """Return for each query 1 + the number of non-positives that score at least its best positive.

    queries [Q, d], gallery [G, d] of fewer than 2**24 rows; positives are the gallery rows with the
    query's id. Returns [Q] int64. If the best positive scores 0.8 and the others 0.9, 0.8 and 0.1,
    the rank is 3. Raises Diverged if a similarity is NaN, DataError if a query has no positive.
    """
    order = gallery_ids.argsort()
    ordered = gallery_ids[order]
    first = torch.searchsorted(ordered, query_ids)
    count = torch.searchsorted(ordered, query_ids, right=True) - first
    return _ranks(queries, gallery, _Positives(order, first, count), chunk_rows)


def unique_rows(ids: Tensor) -> Tensor:
    """Return the index of the first row of each distinct id, ascending: [N] -> [U] int64."""
    return _items(ids)[0]


@dataclass(frozen=True)
class _Positives:
    """The positives of query q are `columns[first[q] : first[q] + count[q]]`, repeats allowed."""

    columns: Tensor
    first: Tensor
    count: Tensor

    @classmethod
    def by_query(cls, query: Tensor, column: Tensor) -> "_Positives":
        """Make the positives of pairs (query[i], column[i]) in any order; every query occurs."""
        count = torch.bincount(query)
        return cls(column[query.argsort()], count.cumsum(0) - count, count)

    def of(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the pairs (row within the slice, gallery column) of a slice of queries.

        Counts 2 and 1 give rows 0, 0, 1 with positions 0, 1, 0 within each query.
        """
        first, count = self.first[rows], self.count[rows]
        row = torch.arange(len(count), device=count.device).repeat_interleave(count)
        begin = count.cumsum(0) - count
        within = torch.arange(len(row), device=row.device) - begin[row]
        return row, self.columns[first[row] + within]


@torch.no_grad()
def _ranks(queries: Tensor, gallery: Tensor, positives: _Positives, chunk_rows: int) -> Tensor:
    if not bool((positives.count > 0).all()):
        raise DataError(
            f"{int((positives.count == 0).sum())} of {len(queries)} queries have no match",
            expected="at least one gallery row with the id of each query",
            remedy="Check that queries and gallery come from the same split.",
        )
    # At least float32: half precision would turn near misses into ties.
    dtype = torch.promote_types(queries.dtype, torch.float32)
    gallery = gallery.to(dtype)
    result = torch.empty(len(queries), dtype=torch.int64, device=queries.device)
    with torch.autocast(queries.device.type, enabled=False):
        for start in range(0, len(queries), chunk_rows):
            rows = slice(start, start + chunk_rows)
            scores = queries[rows].to(dtype) @ gallery.T  # [chunk_rows, G]
            if bool(scores.sum().isnan()):
                raise Diverged(
                    "a similarity is NaN",
                    expected="finite embeddings",
                    remedy="Lower the learning rate, or look for NaN in the embedding files.",
                )
            row, column = positives.of(rows)
            best = scores.new_full((len(scores),), -math.inf)
            best.scatter_reduce_(0, row, scores[row, column], "amax")
            scores[row, column] = -math.inf
            # In place, so that floats are summed: reducing a Boolean matrix takes far longer.
            result[rows] = 1 + scores.ge_(best[:, None]).sum(1).long()
    return result


def _items(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first row of each distinct id, ascending [U], and each row's index therein [N].

    Ids 7, 5, 7 have first rows 0, 1 and indices 0, 1, 0.
    """
    order = ids.argsort(stable=True)
    ordered = ids[order]
    begins = torch.ones_like(ids, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    first = order[begins]  # [U], by value of the id; the sort is stable, so these are first rows
    by_value = torch.empty_like(order)
    by_value[order] = begins.cumsum(0) - 1
    appearance = first.argsort()
    position = torch.empty_like(appearance)
    position[appearance] = torch.arange(len(first), device=ids.device)
    return first[appearance], position[by_value]


def _uneven(items: Tensor) -> bool:
    """Return whether some of the items [N], numbered from 0, are on more rows than others."""
    counts = torch.bincount(items)
    return int(counts.min()) < int(counts.max())


def _recall(ranks: Tensor, k: int) -> float:
    return (ranks <= k).double().mean().item()
