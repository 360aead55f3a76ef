import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import f1_score, precision_score, recall_score

from tunewright.classification.losses.config import METRICS
from tunewright.classification.metrics.class_groups import (
    class_groups,
    coverage_notices,
    missing_metrics,
)
from tunewright.classification.metrics.confusion_scores import ConfusionCounts, confusion_matrix
from tunewright.classification.metrics.intervals import wilson
from tunewright.classification.metrics.metrics import ClassMetrics
from tunewright.errors import DataError, Diverged

ORACLE = json.loads((Path(__file__).parents[2] / "oracles/classification.json").read_text())
VALUES, INPUTS = ORACLE["values"], ORACLE["inputs"]
LABELS = torch.tensor(INPUTS["labels"])
LOGITS = torch.tensor(INPUTS["logits"], dtype=torch.float64)
TRAIN = torch.tensor(INPUTS["train_counts"])


def passed(logits, labels, counts, batch=7):
    metrics = ClassMetrics(counts)
    for rows in torch.arange(len(labels)).split(batch):
        metrics.update({"logits": logits[rows], "labels": labels[rows], "rows": rows})
    return metrics


def one_hot(predictions, classes):
    return torch.nn.functional.one_hot(torch.as_tensor(predictions), classes).double()


def test_scores_are_those_of_scikit_learn_and_torchmetrics():
    assert passed(LOGITS, LABELS, TRAIN).compute() == pytest.approx(VALUES["scores"], rel=1e-9)


def test_the_calibration_error_of_the_sheet():
    x, y = torch.tensor(INPUTS["x"], dtype=torch.float64), torch.tensor(INPUTS["y"])
    scores = passed(x, y, torch.tensor(INPUTS["n"])).compute()
    assert scores["ece"] == pytest.approx(VALUES["ece"], rel=1e-12)
    assert scores["loss"] == pytest.approx(0.6057962587597453, rel=1e-12)


def test_everything_that_is_measured_has_a_direction():
    counts = torch.tensor([500, 100, 5])
    scores = passed(torch.eye(3), torch.arange(3), counts).compute()
    assert set(scores) == set(METRICS)
    assert {name for name, way in METRICS.items() if way == "min"} == {"ece", "loss"}


@settings(max_examples=40)
@given(classes=st.integers(2, 6), rows=st.integers(1, 25), seed=st.integers(0, 999))
def test_macro_scores_equal_scikit_learn_whatever_classes_are_absent(classes, rows, seed):
    draw = np.random.default_rng(seed)
    labels, predictions = draw.integers(0, classes, (2, rows))
    tally = ConfusionCounts.of(confusion_matrix(labels, predictions, classes))
    scores = tally.scores({})
    for name, score in (
        ("f1", f1_score),
        ("precision", precision_score),
        ("recall", recall_score),
    ):
        expected = score(labels, predictions, average="macro", zero_division=0)
        assert scores[f"macro_{name}"] == pytest.approx(expected)
        each = score(labels, predictions, average=None, zero_division=0, labels=range(classes))
        assert getattr(tally, name) == pytest.approx(each)
    weighted = f1_score(labels, predictions, average="weighted", zero_division=0)
    assert scores["weighted_f1"] == pytest.approx(weighted)
    truth = np.unique(labels)
    balanced = recall_score(labels, predictions, average="macro", labels=truth, zero_division=0)
    assert scores["balanced_accuracy"] == pytest.approx(balanced)
    assert scores["accuracy"] == pytest.approx((labels == predictions).mean())
    expected = sklearn_confusion(labels, predictions, labels=range(classes))
    assert confusion_matrix(labels, predictions, classes).tolist() == expected.tolist()


@settings(max_examples=40)
@given(
    counts=st.lists(st.integers(0, 150), min_size=2, max_size=6),
    rows=st.integers(1, 20),
    scale=st.sampled_from([0.0, 1.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_no_score_is_ever_nan_or_out_of_bounds(counts, rows, scale, seed):
    draw = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(rows, len(counts), generator=draw)
    labels = torch.randint(0, len(counts), (rows,), generator=draw)
    metrics = passed(logits, labels, torch.tensor(counts))
    scores = metrics.compute()
    assert set(scores) <= set(METRICS)
    assert all(0 <= value <= 1 for name, value in scores.items() if name != "loss")
    assert np.isfinite(scores["loss"])
    split = np.bincount(labels.numpy(), minlength=len(counts))
    assert set(METRICS) - set(scores) == set(missing_metrics(np.array(counts), split))
    for name, interval in metrics.intervals().items():
        assert 0 <= interval[0] <= interval[1] <= 1, name


def test_batches_make_no_difference_and_every_row_counts_the_same():
    whole = passed(LOGITS, LABELS, TRAIN, batch=len(LABELS)).compute()
    for batch in (1, 3, 39):
        assert passed(LOGITS, LABELS, TRAIN, batch).compute() == pytest.approx(whole)
    # A mean of batch means would be (1 + 0) / 2.
    uneven = passed(one_hot([0, 1, 1, 0], 2), torch.tensor([0, 1, 1, 1]), torch.ones(2), batch=3)
    assert uneven.compute()["accuracy"] == 0.75


def test_predictions_outside_a_group_are_misses_not_further_classes():
    counts = torch.tensor([90, 80, 5, 4])
    labels = torch.tensor([0, 0, 1, 2, 2, 3])
    scores = passed(one_hot([0, 2, 1, 2, 0, 3], 4), labels, counts).compute()
    assert scores["tail_accuracy"] == pytest.approx(2 / 3)
    assert scores["tail_f1"] == pytest.approx((0.5 + 1) / 2)
    assert scores["head_f1"] == pytest.approx((0.5 + 1) / 2)


def test_what_a_pass_gives_besides_scores():
    metrics = passed(LOGITS.bfloat16(), LABELS, TRAIN)
    assert metrics.logits().dtype == torch.float32
    assert metrics.labels().tolist() == LABELS.tolist()
    assert metrics.rows().tolist() == list(range(40))
    assert metrics.predictions().tolist() == LOGITS.bfloat16().argmax(1).tolist()
    assert metrics.confusion().sum() == 40
    with pytest.raises(RuntimeError, match="closed"):
        metrics.update({"logits": LOGITS, "labels": LABELS, "rows": LABELS})


def test_the_table_of_classes():
    predictions = [0, 0, 1, 1, 1, 3]
    counts = torch.tensor([50, 20, 7, 0])
    table = passed(one_hot(predictions, 4), torch.tensor([0, 0, 0, 1, 1, 1]), counts).per_class()
    first, second, third, fourth = table
    assert (first.rows, first.predicted, first.precision, first.recall) == (3, 2, 1.0, 2 / 3)
    assert first.f1 == pytest.approx(0.8)
    assert first.interval == wilson(2, 3)
    assert second.precision == second.recall == pytest.approx(2 / 3)
    assert (third.rows, third.predicted, third.recall, third.interval) == (0, 0, 0.0, None)
    assert (fourth.predicted, fourth.precision, fourth.f1) == (1, 0.0, 0.0)
    assert [row.train_images for row in table] == [50, 20, 7, 0]
    assert [row.label for row in table] == [0, 1, 2, 3]


def test_intervals_hold_the_score_and_are_the_same_each_time():
    metrics = passed(LOGITS, LABELS, TRAIN)
    scores = metrics.compute()
    for name in ("accuracy", "macro_f1", "balanced_accuracy", "tail_f1", "many_accuracy"):
        low, high = metrics.interval(name)
        assert low <= scores[name] <= high
        assert low < high
    assert metrics.interval("accuracy") == passed(LOGITS, LABELS, TRAIN).interval("accuracy")
    assert metrics.interval("loss") is None
    assert metrics.interval("ece") is None
    assert metrics.interval("few_accuracy") is None


def test_a_score_without_a_mistake_is_not_called_certain():
    labels = torch.tensor([0] * 12 + [1] * 4)
    right = passed(one_hot(labels, 2), labels, torch.tensor([90, 4]))
    assert right.interval("accuracy") == wilson(16, 16)
    assert right.interval("tail_accuracy") == wilson(4, 4)
    assert right.interval("macro_f1") is None
    wrong = passed(one_hot(1 - labels, 2), labels, torch.tensor([90, 4]))
    assert wrong.interval("head_accuracy") == wilson(0, 12)


@pytest.mark.gpu
def test_a_pass_on_a_gpu_is_that_on_the_cpu():
    there = passed(LOGITS.cuda(), LABELS.cuda(), TRAIN.cuda())
    assert there.compute() == pytest.approx(VALUES["scores"], rel=1e-9)
    assert {there.logits().device.type, there.predictions().device.type} == {"cpu"}
    with pytest.raises(DataError, match="class 7 among labels"):
        passed(LOGITS.cuda(), LABELS.cuda() + 3, TRAIN).compute()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(DataError, match="no rows"):
        ClassMetrics(TRAIN).compute()
    with pytest.raises(DataError, match="class 7 among labels"):
        passed(LOGITS, LABELS + 3, TRAIN).compute()
    with pytest.raises(DataError, match="class -1 among labels"):
        passed(LOGITS, LABELS - 1, TRAIN).compute()
    for bad in (float("nan"), float("inf")):
        with pytest.raises(Diverged, match="not a finite number"):
            passed(LOGITS.masked_fill(LOGITS > 4, bad), LABELS, TRAIN).compute()


# Groups


def test_groups_by_the_median_of_counts_that_are_not_zero_and_by_fixed_bounds():
    groups = {k: v.tolist() for k, v in class_groups(np.array([101, 100, 20, 19, 0])).items()}
    assert groups == {
        "head": [True, True, False, False, False],  # median of 101, 100, 20, 19 is 60
        "tail": [False, False, True, True, True],
        "many": [True, False, False, False, False],
        "medium": [False, True, True, False, False],
        "few": [False, False, False, True, True],
    }
    odd = class_groups(np.array([9, 5, 1]))
    assert odd["head"].tolist() == [True, True, False]  # the median itself is head


def test_a_balanced_set_has_no_tail_and_says_so():
    reasons = missing_metrics(np.array([40, 40]), np.array([4, 4]))
    assert reasons["tail_f1"] == "no class is in the group 'tail'"
    assert set(reasons) == {f"{g}_{s}" for g in ("tail", "many", "few") for s in ("accuracy", "f1")}
    missing = missing_metrics(np.array([200, 5]), np.array([9, 0]))
    assert missing["few_f1"] == "no image of the 1 few classes"
    nothing = class_groups(np.zeros(3, dtype=np.int64))
    assert nothing["head"].all()


def test_classes_without_images_are_told():
    names = [f"c{i}" for i in range(12)]
    said = coverage_notices(np.array([5] * 11 + [0]), np.array([3, 3, *[0] * 10]), names)
    assert said[0].startswith("1 class ('c11') without a training image")
    assert said[1].startswith("10 classes ('c2', 'c3', ")
    assert "and 2 more) without a validation image" in said[1]
    assert coverage_notices(np.ones(2), np.ones(2), names) == []
