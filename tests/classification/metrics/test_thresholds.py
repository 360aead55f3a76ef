import numpy as np
import pytest
from sklearn.metrics import f1_score

from tunewright.classification.metrics.thresholds import (
    THRESHOLDS,
    Thresholds,
    choose_thresholds,
    read_thresholds,
    thresholds_file,
)
from tunewright.errors import DataError
from tunewright.runs.atomic import write_json


def drawn(rows=300, labels=4, seed=0, ties=False):
    draws = np.random.default_rng(seed)
    probabilities = draws.random((rows, labels))
    targets = draws.random((rows, labels)) < probabilities**2
    return targets, np.round(probabilities, 1) if ties else probabilities


@pytest.mark.parametrize("ties", [False, True])
def test_no_other_threshold_has_a_better_f1(ties):
    targets, probabilities = drawn(ties=ties)
    found = choose_thresholds(targets, probabilities)
    assert found.own == (True,) * 4
    for label in range(4):
        ours = f1_score(targets[:, label], probabilities[:, label] >= found.each[label])
        tried = np.append(np.unique(probabilities[:, label]), 0.0)
        others = [f1_score(targets[:, label], probabilities[:, label] >= at) for at in tried]
        assert ours == pytest.approx(max(others))


def test_rare_labels_share_the_threshold_that_is_best_for_all():
    targets, probabilities = drawn()
    targets[:, 1] = False
    targets[:9, 1] = True
    found = choose_thresholds(targets, probabilities)
    assert found.own == (True, False, True, True)
    ours = f1_score(targets.ravel(), probabilities.ravel() >= found.each[1])
    tried = np.linspace(0, 1, 201)
    assert ours >= max(f1_score(targets.ravel(), probabilities.ravel() >= at) for at in tried)


def test_without_any_label_nothing_is_chosen():
    found = choose_thresholds(np.zeros((5, 2), dtype=bool), np.full((5, 2), 0.3))
    assert found == Thresholds.usual(2)
    assert not found.choose(np.full((5, 2), 0.49)).any()
    assert found.choose(np.full((5, 2), 0.5)).all()


def test_a_file_of_thresholds_is_read_by_class(tmp_path):
    assert read_thresholds(tmp_path, ("a", "b")) is None
    write_json(tmp_path / THRESHOLDS, thresholds_file({"b": 0.25, "a": 0.75}))
    found = read_thresholds(tmp_path, ("a", "b"))
    assert found is not None
    assert found.each == (0.75, 0.25)


@pytest.mark.parametrize("content", [{}, {"thresholds": {"a": 0.5}}, {"thresholds": [1, 2]}])
def test_an_incomplete_file_is_refused(tmp_path, content):
    write_json(tmp_path / THRESHOLDS, content)
    with pytest.raises(DataError, match="a probability for each class"):
        read_thresholds(tmp_path, ("a", "b"))
