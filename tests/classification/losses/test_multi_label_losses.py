import pytest
import torch
from timm.loss import AsymmetricLossMultiLabel
from torch.nn import functional as F

from tunewright.classification.losses.multi_label import (
    LOSSES,
    asymmetric,
    binary_cross_entropy,
)

DRAW = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(7, 5, generator=DRAW, dtype=torch.float64)
TARGETS = torch.rand(7, 5, generator=DRAW) < 0.4
COUNTS = TARGETS.sum(0).double()


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_binary_cross_entropy_is_torchs(weight):
    theirs = F.binary_cross_entropy_with_logits(
        LOGITS, TARGETS.double(), pos_weight=torch.full((5,), weight, dtype=torch.float64)
    )
    ours = binary_cross_entropy(COUNTS, positive_weight=weight)(LOGITS, TARGETS)
    torch.testing.assert_close(ours.mean(), theirs)


def test_smoothed_targets_are_between_no_and_yes():
    smooth = TARGETS.double() * 0.8 + 0.1
    theirs = F.binary_cross_entropy_with_logits(LOGITS, smooth)
    ours = binary_cross_entropy(COUNTS, label_smoothing=0.2)(LOGITS, TARGETS)
    torch.testing.assert_close(ours.mean(), theirs)


@pytest.mark.parametrize(("negative", "positive", "margin"), [(4, 1, 0.05), (2, 0, 0.2), (3, 1, 0)])
def test_asymmetric_is_timms(negative, positive, margin):
    theirs = AsymmetricLossMultiLabel(negative, positive, margin)(LOGITS, TARGETS.double())
    criterion = asymmetric(COUNTS, gamma_negative=negative, gamma_positive=positive, margin=margin)
    ours = criterion(LOGITS, TARGETS)
    # It sums over labels, in float32.
    torch.testing.assert_close(ours.mean().float() * LOGITS.shape[1], theirs.float())


def test_without_asymmetry_it_is_the_binary_cross_entropy():
    ours = asymmetric(COUNTS, gamma_negative=0, gamma_positive=0, margin=0)(LOGITS, TARGETS)
    torch.testing.assert_close(ours, binary_cross_entropy(COUNTS)(LOGITS, TARGETS))


@pytest.mark.parametrize("loss", LOSSES)
def test_large_logits_and_low_precision_stay_finite(loss):
    logits = torch.tensor([[200.0, -200.0, 50.0]], dtype=torch.bfloat16, requires_grad=True)
    by_row = LOSSES[loss](torch.ones(3))(logits, torch.tensor([[False, True, True]]))
    assert by_row.dtype == torch.float32
    by_row.sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("loss", LOSSES)
def test_all_labels_weigh_alike_at_any_time(loss):
    criterion = LOSSES[loss](COUNTS)
    criterion.at(3, 4)
    assert criterion.weights().tolist() == [1.0] * 5
