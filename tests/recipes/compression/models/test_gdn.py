import pytest
import torch

from tunewright.recipes.compression.models.gdn import BETA_BOUND, FIRST_GAMMA, Gdn


@pytest.mark.parametrize("inverse", [False, True])
def test_the_formula(inverse):
    x = torch.randn(2, 3, 4, 5)
    layer = Gdn(3, inverse=inverse)
    with torch.no_grad():
        layer.gamma.copy_(torch.rand(3, 3))
        layer.beta.copy_(0.5 + torch.rand(3))
    gamma, beta = layer.gamma.square(), layer.beta.square()
    root = (beta[:, None, None] + torch.einsum("ij,bjhw->bihw", gamma, x.square())).sqrt()
    torch.testing.assert_close(layer(x), x * root if inverse else x / root)


def test_it_begins_as_a_gentle_division():
    x = torch.full((1, 2, 1, 1), 3.0)
    torch.testing.assert_close(Gdn(2)(x), x / (1 + FIRST_GAMMA * 9) ** 0.5)


def test_parameters_cannot_leave_their_bounds_and_can_return():
    layer = Gdn(2)
    with torch.no_grad():
        layer.beta.fill_(-1.0)
        layer.gamma.fill_(-1.0)
    found = layer(torch.ones(1, 2, 1, 1))
    assert found.flatten().tolist() == pytest.approx([BETA_BOUND**-0.5] * 2, rel=1e-3)
    found.sum().backward()
    for parameter in (layer.beta, layer.gamma):
        assert parameter.grad is not None
        assert (parameter.grad < 0).all()


def test_it_is_not_computed_in_half_precision():
    x = torch.full((1, 2, 1, 1), 300.0)
    with torch.autocast("cpu", torch.float16):
        assert Gdn(2)(x.half()).isfinite().all()
