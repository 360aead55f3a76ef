import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn.functional import cross_entropy

from tunewright.classification.metrics.calibration import (
    bound_note,
    calibrate,
    ece,
    ece_of_bins,
    reliability,
    reliability_of,
    scale_logits,
    temperature,
)
from tunewright.errors import DataError

ORACLE = json.loads((Path(__file__).parents[2] / "oracles/classification.json").read_text())
VALUES, INPUTS = ORACLE["values"], ORACLE["inputs"]
LABELS = torch.tensor(INPUTS["labels"])
LOGITS = torch.tensor(INPUTS["logits"], dtype=torch.float64)


def honest(rows: int, classes: int, seed: int = 0):
    """Logits whose softmax is the chance of each label, and labels drawn from it."""
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, classes, generator=draw, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=draw).squeeze(1)
    return logits, labels


# The error


def test_the_error_of_the_sheet():
    x, y = torch.tensor(INPUTS["x"], dtype=torch.float64), torch.tensor(INPUTS["y"])
    assert ece(x, y) == pytest.approx(VALUES["ece"], rel=1e-12)
    assert ece(x, y) == pytest.approx(0.3897349238395691, rel=2e-8)  # float32, as they had it


@given(rows=st.integers(1, 60), classes=st.integers(2, 6), bins=st.integers(1, 20))
def test_the_error_is_that_of_torchmetrics(rows, classes, bins):
    theirs = pytest.importorskip("torchmetrics.functional.classification")
    logits, labels = honest(rows, classes, seed=rows)
    expected = theirs.multiclass_calibration_error(
        logits.softmax(1), labels, num_classes=classes, n_bins=bins
    )
    assert ece(logits, labels, bins=bins) == pytest.approx(expected.item(), abs=1e-6)


def test_bins_are_open_below_and_closed_above_and_the_first_is_closed():
    confidence = torch.tensor([0.0, 0.25, 0.26, 0.5, 1.0], dtype=torch.float64)
    diagram = reliability_of(confidence, torch.tensor([0, 1, 1, 0, 1]).bool(), bins=4)
    assert [bar.rows for bar in diagram] == [2, 2, 0, 1]
    assert [(bar.low, bar.high) for bar in diagram] == [
        (0, 0.25),
        (0.25, 0.5),
        (0.5, 0.75),
        (0.75, 1),
    ]
    assert diagram[0].confidence == pytest.approx(0.125)
    assert diagram[0].accuracy == 0.5
    assert (diagram[2].confidence, diagram[2].accuracy) == (None, None)
    assert ece_of_bins(diagram) == pytest.approx((2 * 0.375 + 2 * abs(0.38 - 0.5)) / 5)
    json.dumps([vars(bar) for bar in diagram], allow_nan=False)


def test_every_row_is_in_one_bin():
    diagram = reliability(LOGITS, LABELS)
    assert len(diagram) == 15
    assert sum(bar.rows for bar in diagram) == len(LABELS)
    for bar in diagram:
        assert bar.confidence is None or bar.low < bar.confidence <= bar.high


# The temperature


def test_the_temperature_is_that_of_a_generic_optimiser():
    assert temperature(LOGITS, LABELS) == pytest.approx(VALUES["temperature"], rel=1e-6)


@pytest.mark.parametrize("hotter", [0.02, 0.5, 1.0, 4.0, 200.0])
def test_a_temperature_that_was_put_in_is_found(hotter):
    logits, labels = honest(4000, 5)
    natural = temperature(logits, labels)
    assert natural == pytest.approx(1, abs=0.06)
    assert temperature(hotter * logits, labels) == pytest.approx(hotter * natural, rel=1e-8)
    assert temperature((hotter * logits).float(), labels) == pytest.approx(
        hotter * natural, rel=1e-4
    )


@given(rows=st.integers(1, 40), classes=st.integers(2, 6), seed=st.integers(0, 999))
def test_no_temperature_near_it_has_a_smaller_loss(rows, classes, seed):
    logits, labels = honest(rows, classes, seed)
    best = temperature(logits, labels)
    assert 1e-3 <= best <= 1e3
    if (logits.argmax(1) == labels).all():
        assert best == 1
        return
    least = cross_entropy(scale_logits(logits, best), labels).item()
    for factor in (0.5, 0.99, 1.01, 2.0):
        nearby = min(max(best * factor, 1e-3), 1e3)
        assert least <= cross_entropy(scale_logits(logits, nearby), labels).item() + 1e-9


def test_a_model_without_a_mistake_stays_as_it_is():
    assert temperature(torch.eye(3), torch.arange(3)) == 1
    assert temperature(torch.tensor([[3.0, 1.0]]), torch.tensor([0])) == 1
    assert temperature(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])) == 1  # knows nothing


def test_a_model_that_knows_less_than_nothing_is_made_to_doubt():
    assert temperature(torch.eye(2), torch.tensor([1, 0])) == pytest.approx(1e3)


def test_what_has_no_temperature_is_refused():
    with pytest.raises(DataError, match="no rows"):
        temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(DataError, match="not finite"):
        temperature(torch.tensor([[math.inf, 0.0]]), torch.tensor([0]))


@given(
    logits=arrays.arrays("float32", (4, 5), elements=st.floats(-1e6, 1e6, width=32)),
    by=st.floats(1e-3, 1e3),
)
def test_a_temperature_never_changes_a_prediction_and_1_changes_nothing(logits, by):
    tensor = torch.from_numpy(logits)
    assert scale_logits(tensor, by).argmax(1).tolist() == tensor.argmax(1).tolist()
    assert scale_logits(tensor, 1.0).tolist() == tensor.double().tolist()


def test_before_and_after():
    logits, labels = honest(3000, 4)
    found = calibrate(3 * logits, labels)
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.ece_after < 0.03 < 0.1 < found.ece_before
    assert found.nll_after < found.nll_before
    assert found.ece_before == ece(3 * logits, labels)
    assert ece_of_bins(found.after) == found.ece_after
    assert sum(bar.rows for bar in found.before) == 3000
    given_one = calibrate(3 * logits, labels, at=1.0)
    assert given_one.before == given_one.after
    assert given_one.ece_after == given_one.ece_before


@pytest.mark.parametrize(("shift", "bound"), [(1.0, "0.001"), (-1.0, "1000")])
def test_a_temperature_at_its_bound_is_said(shift: float, bound: str) -> None:
    logits = torch.zeros(40, 2)
    logits[:, 0] = shift * 1e-9  # every confidence is too low, or too high
    logits[:2, 0] *= -1e-3
    found = temperature(logits, torch.zeros(40, dtype=torch.int64))
    assert f"reached its bound of {bound}" in bound_note(found)
    assert bound_note(1.0) == bound_note(0.01) == ""
