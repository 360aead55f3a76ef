import json
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from tunewright.analysis.score_intervals import wilson
from tunewright.contrastive.retrieval import (
    bootstrap_difference,
    bootstrap_interval,
    other_averages,
    ranks,
    retrieval_ranks,
    retrieval_scores,
    scores_of_ranks,
    unique_rows,
)
from tunewright.errors import DataError, Diverged

ORACLE = json.loads((Path(__file__).parents[1] / "oracles/contrastive.json").read_text())
IMAGES, TEXTS = (
    torch.tensor(ORACLE["inputs"][k], dtype=torch.float64) for k in ("images", "texts")
)


def captioned(images: int, captions: int, noise: float) -> tuple[Tensor, Tensor, Tensor]:
    """A toy set: texts are their image plus noise, one row per caption."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.arange(images).repeat_interleave(captions)
    rows = torch.randn(images, 32, generator=draw)[ids]
    texts = rows + noise * torch.randn(len(ids), 32, generator=draw)
    return normalize(rows, dim=1), normalize(texts, dim=1), ids


def test_oracle_ranks_and_scores():
    values = ORACLE["values"]
    found = retrieval_ranks(IMAGES, TEXTS, torch.arange(4))
    assert found.i2t.tolist() == values["i2t_ranks"] == [1, 1, 3, 2]
    assert found.t2i.tolist() == values["t2i_ranks"] == [2, 1, 3, 1]
    scores = retrieval_scores(IMAGES, TEXTS, torch.arange(4), ks=(1, 2))
    assert scores["i2t_mrr"] == pytest.approx(17 / 24)
    assert scores["i2t_mrr"] == pytest.approx(values["i2t_mrr"])  # torchmetrics, in float32
    assert scores["i2t_r1"] == values["i2t_hit_1"] == 0.5
    assert scores["i2t_median_rank"] == scores["t2i_median_rank"] == 1.5
    assert scores["recall_1"] == 0.5
    assert scores["mean_recall"] == pytest.approx((0.5 + 0.75 + 0.5 + 0.75) / 4)
    assert scores["i2t_gallery"] == scores["t2i_gallery"] == 4


def test_collapsed_embeddings_score_zero():
    same = torch.tensor([[1.0, 0.0]]).expand(12, 2)
    scores = retrieval_scores(same, same, torch.arange(12), ks=(1, 10))
    assert scores["recall_1"] == scores["mean_recall"] == 0
    assert scores["i2t_median_rank"] == 12


def test_images_are_in_the_gallery_once():
    images, texts, ids = captioned(40, 5, noise=0.8)
    found = retrieval_ranks(images, texts, ids)
    assert (len(found.i2t), len(found.t2i)) == (40, 200)
    assert (found.i2t_gallery, found.t2i_gallery) == (200, 40)

    # The gallery with every image repeated, as published results have it: R@5 is R@1 again.
    repeated = ranks(texts, images, ids, ids)
    assert torch.equal(repeated, 5 * (found.t2i - 1) + 1)
    assert (repeated <= 5).sum() == (found.t2i <= 1).sum() < (found.t2i <= 5).sum()


def dense_ranks(queries: Tensor, gallery: Tensor, positive: Tensor) -> Tensor:
    scores = queries @ gallery.T
    best = scores.where(positive, -torch.inf).amax(1, keepdim=True)
    return 1 + ((scores >= best) & ~positive).sum(1)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_chunks_equal_the_full_matrix_ties_included(data):
    rows = data.draw(st.integers(1, 14))
    coordinate = st.integers(-2, 2).map(float)  # whole numbers: sums are exact, ties are many
    vectors = st.lists(st.tuples(coordinate, coordinate), min_size=rows, max_size=rows)
    labels = st.lists(st.integers(0, 5), min_size=rows, max_size=rows)
    ids, text_ids = (torch.tensor(data.draw(labels)) for _ in range(2))
    images, texts = (torch.tensor(data.draw(vectors)) for _ in range(2))
    chunk = data.draw(st.integers(1, 15))

    same = ids[:, None] == ids
    assert torch.equal(
        ranks(images, texts, ids, ids, chunk_rows=chunk), dense_ranks(images, texts, same)
    )

    image_rows, text_rows = unique_rows(ids), unique_rows(text_ids)
    owns = (same[:, :, None] & (text_ids[:, None] == text_ids)[None]).any(1)  # image, text of rows
    found = retrieval_ranks(images, texts, ids, text_ids=text_ids, chunk_rows=chunk)
    gallery = texts[text_rows]
    expected = dense_ranks(images[image_rows], gallery, owns[image_rows][:, text_rows])
    assert torch.equal(found.i2t, expected)
    queries = texts[[next(i for i in text_rows.tolist() if text_ids[i] == t) for t in text_ids]]
    assert torch.equal(found.t2i, dense_ranks(queries, images[image_rows], owns[image_rows].T))
    assert torch.equal(ids[image_rows][found.image_of_text], ids)


def test_a_text_shared_by_two_images_finds_either():
    images = torch.eye(3)[[0, 1, 1, 2]]
    texts = torch.eye(3)[[1, 1, 0, 2]]  # rows 0 and 1 are the same text
    ids, text_ids = torch.tensor([7, 8, 8, 9]), torch.tensor([0, 0, 1, 2])
    strict = retrieval_ranks(images, texts, ids)
    merged = retrieval_ranks(images, texts, ids, text_ids=text_ids)
    assert strict.t2i[0] > merged.t2i[0] == 1
    assert (strict.i2t_gallery, merged.i2t_gallery) == (4, 3)
    assert len(merged.t2i) == 4


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_averages_over_texts_and_over_rows_are_those_of_plain_loops(data):
    rows = data.draw(st.integers(2, 14))
    labels = st.lists(st.integers(0, 4), min_size=rows, max_size=rows)
    ids, text_ids = (torch.tensor(data.draw(labels)) for _ in range(2))
    generator = torch.Generator().manual_seed(rows)
    images, texts = (torch.randn(rows, 3, generator=generator) for _ in range(2))
    found = retrieval_ranks(images, texts, ids, text_ids=text_ids)
    averages = other_averages(found, ks=(1, 3))

    by_text = {int(text): int(rank) for text, rank in zip(text_ids, found.t2i, strict=True)}
    places = {i: n for n, i in enumerate(dict.fromkeys(ids.tolist()))}
    by_row = [int(found.i2t[places[i]]) for i in ids.tolist()]
    counts = [[given.tolist().count(i) for i in set(given.tolist())] for given in (ids, text_ids)]
    expected = {}
    for k in (1, 3):
        if len(set(counts[1])) > 1:
            expected[f"t2i_by_text_r{k}"] = sum(r <= k for r in by_text.values()) / len(by_text)
        if len(set(counts[0])) > 1:
            expected[f"i2t_by_row_r{k}"] = sum(r <= k for r in by_row) / rows
    assert averages == pytest.approx(expected)


def test_five_captions_an_image_have_one_average():
    found = retrieval_ranks(*captioned(20, 5, noise=0.8))
    assert other_averages(found) == {}


def test_unique_rows_are_first_rows_in_order():
    assert unique_rows(torch.tensor([5, 5, 2, 9, 2, 5])).tolist() == [0, 2, 3]


def test_nan_similarity_is_divergence():
    broken = IMAGES.clone()
    broken[2, 1] = torch.nan
    for images, texts in ((broken, TEXTS), (IMAGES, broken)):
        with pytest.raises(Diverged, match="similarity is NaN"):
            retrieval_scores(images, texts, torch.arange(4))


def test_a_query_without_positive_is_refused():
    with pytest.raises(DataError, match="1 of 4 queries"):
        ranks(IMAGES, TEXTS, torch.tensor([0, 1, 2, 9]), torch.arange(4))


def test_autocast_of_the_caller_does_not_round_similarities():
    images, texts, ids = captioned(40, 5, noise=0.8)
    plain = retrieval_ranks(images, texts, ids)
    with torch.autocast("cpu", torch.bfloat16):
        cast = retrieval_ranks(images, texts, ids)
    assert torch.equal(plain.t2i, cast.t2i)


def test_interval_holds_the_score_and_follows_the_seed():
    found = retrieval_ranks(*captioned(200, 5, noise=0.8))
    fields = found.i2t, found.t2i, found.image_of_text
    score = scores_of_ranks(found)["recall_1"]
    low, high = bootstrap_interval(*fields)
    assert low < score < high
    assert (low, high) == bootstrap_interval(*fields)
    assert (low, high) != bootstrap_interval(*fields, seed=1)
    narrower = bootstrap_interval(*fields, level=0.5)
    assert low < narrower[0] < narrower[1] < high


def test_interval_is_that_of_drawing_whole_images():
    draw = torch.Generator().manual_seed(1)
    images = 400
    found = torch.rand(images, generator=draw) < 0.5
    i2t = torch.where(found, 1, 2)
    image_of_text = torch.arange(images).repeat_interleave(4)
    t2i = i2t[image_of_text]  # all captions of an image fail or succeed with it
    low, high = bootstrap_interval(i2t, t2i, image_of_text, resamples=4000)
    # The plain loop over resampled images, as the definition has it.
    picks = torch.randint(images, (4000, images), generator=draw)
    plain = found[picks].double().mean(1).quantile(torch.tensor([0.025, 0.975]).double())
    assert [low, high] == pytest.approx(plain.tolist(), abs=0.006)


@pytest.mark.parametrize("captions", [1, 5])
@pytest.mark.parametrize(("hits", "score"), [(True, 1.0), (False, 0.0)])
def test_an_interval_at_a_bound_is_wilsons_over_images(captions: int, hits: bool, score: float):
    images = 137
    rank = 1 if hits else 9
    i2t, t2i = torch.full((images,), rank), torch.full((images * captions,), rank)
    found = bootstrap_interval(i2t, t2i, torch.arange(images).repeat_interleave(captions))
    assert found == pytest.approx(wilson(int(score) * images, images))
    assert score in found


def test_models_that_find_the_same_are_not_called_equal_for_certain():
    generator = torch.Generator().manual_seed(4)
    texts = torch.nn.functional.normalize(torch.randn(60, 16, generator=generator))
    one = retrieval_ranks(texts, texts, torch.arange(60) // 3)
    low, high = bootstrap_difference(one, one)
    assert high == -low == pytest.approx(wilson(0, 20)[1])


def test_interval_of_a_full_validation_set_is_quick():
    draw = torch.Generator().manual_seed(0)
    image_of_text = torch.arange(5000).repeat_interleave(5)
    i2t, t2i = (torch.randint(1, 5, (n,), generator=draw) for n in (5000, 25_000))
    start = time.perf_counter()
    bootstrap_interval(i2t, t2i, image_of_text)
    assert time.perf_counter() - start < 2


def test_the_paired_difference_is_that_of_the_resamples():
    generator = torch.Generator().manual_seed(0)
    ids = torch.arange(300)
    texts = torch.nn.functional.normalize(torch.randn(300, 16, generator=generator), dim=1)
    near = torch.nn.functional.normalize(texts + 0.3 * torch.randn(300, 16, generator=generator))
    far = torch.nn.functional.normalize(near + 0.5 * torch.randn(300, 16, generator=generator))
    better, worse = retrieval_ranks(near, texts, ids), retrieval_ranks(far, texts, ids)
    low, high = bootstrap_difference(better, worse)
    difference = scores_of_ranks(better)["recall_1"] - scores_of_ranks(worse)["recall_1"]
    assert 0 < low < difference < high
    assert bootstrap_difference(worse, better) == pytest.approx((-high, -low), abs=0.02)
