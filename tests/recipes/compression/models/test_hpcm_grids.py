import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.recipes.compression.models.gather import gather, scatter
from tunewright.recipes.compression.models.hpcm_grids import PATTERNS, STEPS, plan

CPU = torch.device("cpu")
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))


def numbered(channels: int, height: int, width: int) -> torch.Tensor:
    return torch.arange(channels * height * width).view(1, channels, height, width)


@settings(max_examples=10)
@given(SIZES)
def test_eleven_steps_code_every_latent_once(size):
    shape = (8 * size[0], 4 * size[1], 4 * size[2])
    places = plan(*shape, CPU)
    own = [grid.flatten() for grid in places.on_grids(numbered(*shape))]
    parts = [own[step.grid][step.index] for steps in places.steps for step in steps]
    assert [step.number for steps in places.steps for step in steps] == list(range(STEPS))
    assert torch.cat(parts).sort().values.tolist() == list(range(math.prod(shape)))
    shares = [len(part) / math.prod(shape) for part in parts]
    assert shares == [1 / 32] * 2 + [1 / 16] * 3 + [1 / 8] * 6


def test_a_finer_grid_is_coded_where_the_coarser_one_is_not():
    places = plan(16, 8, 8, CPU)
    for grid in (1, 2):
        coded = torch.cat([step.index for step in places.steps[grid]])
        every = torch.cat((coded, places.inside[grid - 1]))
        assert every.sort().values.tolist() == list(range(math.prod(places.shapes[grid])))


def test_what_lies_on_the_coarser_grids():
    y = numbered(16, 8, 8)
    s1, s2, s3 = plan(16, 8, 8, CPU).on_grids(y)
    assert torch.equal(s3, y)
    offsets = ((0, 0), (1, 1), (0, 1), (1, 0))
    for group in range(8):
        row, column = offsets[group % 4]
        own = slice(2 * group, 2 * group + 2)
        assert torch.equal(s2[:, own], y[:, own, row::2, column::2])
    for quarter, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        own = slice(4 * quarter, 4 * quarter + 4)
        assert torch.equal(s1[:, own], s2[:, own, row::2, column::2])


def test_scales_and_means_lie_as_the_latents_do():
    y = numbered(8, 4, 8)
    both = torch.cat((y, -y), 1)
    places = plan(8, 4, 8, CPU)
    for one, two in zip(places.on_grids(y), places.on_grids(both), strict=True):
        assert torch.equal(two, torch.cat((one, -one), 1))


@pytest.mark.parametrize("grid", [1, 2])
def test_refined_puts_the_coarser_grid_where_it_came_from(grid):
    places = plan(8, 8, 8, CPU)
    values = places.on_grids(torch.randn(2, 16, 8, 8))
    other = torch.zeros_like(values[grid])
    found = places.refine(values[grid - 1], other, grid)
    assert torch.equal(found[found != 0].sort().values, values[grid - 1].flatten().sort().values)
    assert torch.equal(found[found != 0], values[grid][found != 0])


def test_every_group_of_channels_takes_each_kind_of_cell_once():
    for pattern in PATTERNS:
        kinds = sorted({kind for row in pattern.period for kind in row})
        for of_group in zip(*pattern.known, *pattern.steps, strict=True):
            assert sorted(of_group) == kinds


def test_gradients_of_pick_and_put():
    index = torch.tensor([4, 1, 2])
    onto = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    values = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: gather(x, index), (onto,))
    assert torch.autograd.gradcheck(lambda x, v: scatter(x, index, v), (onto, values))


def test_a_plan_first_made_for_inference_serves_training():
    plan.cache_clear()
    with torch.inference_mode():
        plan(8, 4, 4, CPU).on_grids(torch.randn(1, 8, 4, 4))
    y = torch.randn(1, 8, 4, 4, requires_grad=True)
    sum(grid.sum() for grid in plan(8, 4, 4, CPU).on_grids(y)).backward()
    assert y.grad is not None
    assert y.grad.sum() == 8 * 16 + 8 * 4 + 8
