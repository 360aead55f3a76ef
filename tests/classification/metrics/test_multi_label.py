import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    hamming_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from tunewright.classification.metrics.multi_label import (
    aurocs,
    average_precisions,
    bootstrap_label_scores,
    label_rows,
    label_scores,
    map_difference,
)


def mean_average_precision(targets, scores):
    return label_scores(targets, scores, scores >= 0)["map"]


def drawn(rows=200, labels=6, seed=0, ties=False):
    draws = np.random.default_rng(seed)
    scores = draws.normal(size=(rows, labels))
    targets = draws.random((rows, labels)) < 1 / (1 + np.exp(-scores + 1))
    return targets, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_scikit_learn(ties):
    targets, scores = drawn(ties=ties)
    expected = average_precision_score(targets, scores, average=None)
    np.testing.assert_allclose(average_precisions(targets, scores), expected, rtol=1e-12)
    areas = roc_auc_score(targets, scores, average=None)
    np.testing.assert_allclose(aurocs(targets, scores), areas, rtol=1e-12)
    assert mean_average_precision(targets, scores) == pytest.approx(expected.mean())


def test_mean_average_precision_is_that_of_torchmetrics():
    torchmetrics = pytest.importorskip("torchmetrics.functional.classification")
    import torch

    targets, scores = drawn(ties=True)
    theirs = torchmetrics.multilabel_average_precision(
        torch.from_numpy(1 / (1 + np.exp(-scores))), torch.from_numpy(targets.astype(int)), 6
    )
    assert mean_average_precision(targets, scores) == pytest.approx(float(theirs), abs=1e-6)


def test_a_label_without_pictures_is_left_out_of_the_mean():
    targets, scores = drawn()
    targets[:, 2] = False
    found = average_precisions(targets, scores)
    assert np.isnan(found[2])
    rest = [0, 1, 3, 4, 5]
    assert mean_average_precision(targets, scores) == pytest.approx(found[rest].mean())
    rows = label_rows(list("abcdef"), targets, scores, scores > 0)
    assert (rows[2].average_precision, rows[2].interval, rows[2].auroc) == (None, None, None)
    assert bootstrap_label_scores(targets, scores, scores > 0)["map"][0] > 0


def test_a_label_that_every_picture_has_has_no_auroc_and_no_interval():
    targets, scores = drawn()
    targets[:, 1] = True
    rows = label_rows(list("abcdef"), targets, scores, scores > 0)
    assert (rows[1].average_precision, rows[1].interval, rows[1].auroc) == (1.0, None, None)


def test_scores_are_those_of_scikit_learn():
    targets, scores = drawn()
    chosen = scores > 0.3
    found = label_scores(targets, scores, chosen)
    assert found == {
        "map": pytest.approx(average_precision_score(targets, scores)),
        "macro_auroc": pytest.approx(roc_auc_score(targets, scores)),
        "macro_f1": pytest.approx(f1_score(targets, chosen, average="macro")),
        "micro_f1": pytest.approx(f1_score(targets, chosen, average="micro")),
        "exact_match": pytest.approx((targets == chosen).all(1).mean()),
        "hamming_loss": pytest.approx(hamming_loss(targets, chosen)),
    }


def test_a_difference_is_paired():
    targets, scores = drawn(120, 3)
    near = scores + 0.01 * np.random.default_rng(1).normal(size=scores.shape)
    same = map_difference(targets, scores, scores)
    close = map_difference(targets, scores, near)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert close.low <= close.value <= close.high
    low, high = bootstrap_label_scores(targets, scores, scores > 0)["map"]
    assert close.high - close.low < (high - low) / 3
    worse = map_difference(targets, -scores, scores)
    assert worse.high < 0


def test_intervals_are_those_of_a_bootstrap_row_by_row():
    targets, scores = drawn(60, 2)
    each = [row.interval for row in label_rows("ab", targets, scores, scores > 0)]
    mean = bootstrap_label_scores(targets, scores, scores > 0)["map"]
    draws, found = np.random.default_rng(5), []
    for _ in range(2000):
        rows = draws.integers(0, 60, 60)
        found.append(average_precision_score(targets[rows], scores[rows], average=None))
    expected = np.percentile(found, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(np.array(each).T, expected, atol=0.04)
    whole = np.percentile(np.mean(found, axis=1), [2.5, 97.5])
    np.testing.assert_allclose(mean, whole, atol=0.04)


def test_rows_are_those_of_scikit_learn():
    targets, scores = drawn()
    chosen = scores > 0.3
    rows = label_rows([f"label {n}" for n in range(6)], targets, scores, chosen)
    precision, recall, f1, support = precision_recall_fscore_support(targets, chosen)
    np.testing.assert_allclose([row.precision for row in rows], precision)
    np.testing.assert_allclose([row.recall for row in rows], recall)
    np.testing.assert_allclose([row.f1 for row in rows], f1)
    assert [row.pictures for row in rows] == support.tolist()
    for row in rows:
        assert row.interval is not None
        assert row.interval[0] < row.average_precision < row.interval[1]
