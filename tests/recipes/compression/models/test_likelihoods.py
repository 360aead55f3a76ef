import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.recipes.compression.models.likelihoods import (
    GAUSSIAN,
    GENERALISED_GAUSSIAN,
    LIKELIHOOD_BOUND,
    Family,
    likelihood,
    lower_bound,
)

FAMILIES = pytest.mark.parametrize("family", [GAUSSIAN, GENERALISED_GAUSSIAN], ids=lambda f: f.name)
GENERALISED = [  # value, scale, scipy.stats.gennorm(1.5)
    (0.0, 1.0, 0.4834986584773593),
    (0.0, 0.5, 0.7751824719838556),
    (1.0, 1.0, 0.2158186276269075),
    (-2.0, 2.0, 0.1034491781905096),
    (0.0, 0.05, 0.9999292789840346),  # at the bound, 0.12
    (1.0, 0.12, 3.5360507982695744e-05),
]
NORMAL = [  # CompressAI's Gaussian conditional with a scale bound of 0.11; latent, mean, scale
    (0.0, 0.1, 0.5, 0.6826894921370859),
    (1.0, 0.5, 1.0, 0.38292492254802607),
    (-2.0, -1.5, 2.0, 0.1974126513658474),
    (3.0, 2.9, 0.05, 0.9999945183173473),
]


def doubles(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_generalised_gaussian_of_the_oracle(dtype):
    values, scales, expected = doubles(*sum(GENERALISED, ())).view(-1, 3).T
    found = likelihood(values.to(dtype), scales.to(dtype), GENERALISED_GAUSSIAN)
    assert found.dtype == dtype
    tolerance = 1e-14 if dtype == torch.float64 else 2e-7
    assert found.tolist() == pytest.approx(expected.tolist(), rel=0, abs=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gaussian_of_the_oracle(dtype):
    latents, means, scales, expected = doubles(*sum(NORMAL, ())).view(-1, 4).T
    found = likelihood((latents - means).round().to(dtype), scales.to(dtype), GAUSSIAN)
    tolerance = 1e-14 if dtype == torch.float64 else 2e-7
    assert found.tolist() == pytest.approx(expected.tolist(), rel=0, abs=tolerance)


@FAMILIES
def test_half_precision_is_computed_in_float32(family):
    found = likelihood(torch.ones(2, dtype=torch.bfloat16), torch.ones(2).bfloat16(), family)
    assert found.dtype == torch.float32


@FAMILIES
@settings(max_examples=20)
@given(scale=st.floats(0.2, 60.0))
def test_whole_numbers_share_all_probability(family, scale):
    values = torch.arange(-1500, 1501, dtype=torch.float64)
    found = likelihood(values, doubles(scale), family)
    assert torch.equal(found, found.flip(0))
    assert found.sum().item() == pytest.approx(1.0, abs=3001 * LIKELIHOOD_BOUND)


@FAMILIES
def test_the_tail_is_accurate_in_float32(family):
    """Differences of survivals, not of distributions: 1 - 1e-7 could not be told from 1."""
    values = torch.tensor([4.0, 5.0])
    exact = likelihood(values.double(), doubles(1.0), family)
    assert (exact < 1e-3).all()
    found = likelihood(values, torch.ones(1), family)
    assert found.tolist() == pytest.approx(exact.tolist(), rel=2e-4)


@FAMILIES
def test_gradients(family):
    values = doubles(0.0, 0.3, -0.7, 1.9, -3.2).requires_grad_()
    scales = doubles(0.4, 0.9, 1.1, 2.0, 5.0).requires_grad_()
    values.data[0] = 1e-3  # |v| has a corner at 0
    assert torch.autograd.gradcheck(lambda v, s: likelihood(v, s, family), (values, scales))


def test_below_a_bound_only_a_gradient_that_raises_passes():
    x = doubles(0.5, 2.0).requires_grad_()
    lower_bound(x, 1.0).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0]
    x.grad = None
    (-lower_bound(x, 1.0)).sum().backward()
    assert x.grad.tolist() == [-1.0, -1.0]


def test_impossible_values_cost_thirty_bits():
    found = likelihood(doubles(1e4), doubles(0.01), GENERALISED_GAUSSIAN)
    assert -math.log2(found.item()) == pytest.approx(-math.log2(LIKELIHOOD_BOUND))


@pytest.mark.parametrize(
    ("family", "first", "last", "levels"),
    [(GAUSSIAN, 0.11, 256.0, 64), (GENERALISED_GAUSSIAN, 0.12, 64.0, 60)],
)
def test_scale_tables(family: Family, first, last, levels):
    table = family.scale_table()
    assert len(table) == levels
    assert table[0].item() == pytest.approx(first)
    assert table[-1].item() == pytest.approx(last)
    ratios = table[1:] / table[:-1]
    assert ratios.tolist() == pytest.approx([ratios[0].item()] * (levels - 1))
