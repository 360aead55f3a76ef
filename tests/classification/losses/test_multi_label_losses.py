import pytest
import torch
from timm.loss import AsymmetricLossMultiLabel
from torch.nn import functional as F

from tunewright.classification.losses.multi_label import asymmetric, binary_cross_entropy

DRAW = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(7, 5, generator=DRAW, dtype=torch.float64)
TARGETS = (torch.rand(7, 5, generator=DRAW) < 0.4).double()


def test_binary_cross_entropy_is_torchs():
    theirs = F.binary_cross_entropy_with_logits(LOGITS, TARGETS)
    torch.testing.assert_close(binary_cross_entropy(LOGITS, TARGETS).mean(), theirs)


@pytest.mark.parametrize(("negative", "positive", "margin"), [(4, 1, 0.05), (2, 0, 0.2), (3, 1, 0)])
def test_asymmetric_is_timms(negative, positive, margin):
    theirs = AsymmetricLossMultiLabel(negative, positive, margin)(LOGITS, TARGETS)
    ours = asymmetric(
        LOGITS, TARGETS, gamma_negative=negative, gamma_positive=positive, margin=margin
    )
    # It sums over labels, in float32.
    torch.testing.assert_close(ours.mean().float() * LOGITS.shape[1], theirs.float())


def test_without_asymmetry_it_is_the_binary_cross_entropy():
    ours = asymmetric(LOGITS, TARGETS, gamma_negative=0, gamma_positive=0, margin=0)
    torch.testing.assert_close(ours, binary_cross_entropy(LOGITS, TARGETS))


@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_large_logits_and_low_precision_stay_finite(margin):
    logits = torch.tensor([[200.0, -200.0, 50.0]], dtype=torch.bfloat16, requires_grad=True)
    loss = asymmetric(logits, torch.tensor([[0.0, 1.0, 1.0]]), margin=margin)
    assert loss.dtype == torch.float32
    loss.sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
