"""The walk of HPCM beside a plain one of dense masks, written from the paper's figures."""

import torch
from torch import Tensor

from tunewright.recipes.compression.models.compressor import CodingStep
from tunewright.recipes.compression.models.hpcm import Hpcm, HpcmShape

SHAPE = HpcmShape(
    widths=(8, 8, 8), depths=(1, 1, 1), latent=16, hyper=8, heads=2, windows=(2, 4, 4)
)
FOUR = ((0, 0), (0, 1), (1, 0), (1, 1))
CELLS = (  # two places of each of the eight kinds, of 4 x 4
    ((0, 0), (2, 2)),
    ((0, 2), (2, 0)),
    ((1, 1), (3, 3)),
    ((1, 3), (3, 1)),
    ((0, 1), (2, 3)),
    ((0, 3), (2, 1)),
    ((1, 0), (3, 2)),
    ((1, 2), (3, 0)),
)
EIGHT = (
    (2, 4, 6, 0, 3, 5, 7, 1),
    (3, 5, 7, 1, 2, 4, 6, 0),
    (4, 6, 0, 2, 5, 7, 1, 3),
    (5, 7, 1, 3, 4, 6, 0, 2),
    (6, 0, 2, 4, 7, 1, 3, 5),
    (7, 1, 3, 5, 6, 0, 2, 4),
)


def mask(size: int, period: int, groups: list[list[tuple[int, int]]]) -> Tensor:
    """[1, M, size, size] of ones at the cells of each group of channels."""
    found = torch.zeros(1, SHAPE.latent, size, size, dtype=torch.float64)
    for part, cells in zip(found.chunk(len(groups), 1), groups, strict=True):
        for row, column in cells:
            part[:, :, row::period, column::period] = 1
    return found


def coarse(x: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
    parts = x.chunk(len(offsets), 1)
    return torch.cat([p[:, :, r::2, c::2] for p, (r, c) in zip(parts, offsets, strict=True)], 1)


def spread(x: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
    found = x.new_zeros(1, x.shape[1], 2 * x.shape[2], 2 * x.shape[3])
    pairs = zip(found.chunk(len(offsets), 1), x.chunk(len(offsets), 1), strict=True)
    for (part, given), (row, column) in zip(pairs, offsets, strict=True):
        part[:, :, row::2, column::2] = given
    return found


def dense(model: Hpcm, y: Tensor, prior: Tensor) -> tuple[list[Tensor], Tensor]:
    """The scales that each step codes with, 0 where it does not, and the latents at the end."""
    within = [list(FOUR), [FOUR[0], FOUR[3], FOUR[1], FOUR[2]] * 2]  # s1 in s2, s2 in s3
    halves = [*prior.chunk(2, 1), y]
    on2 = [coarse(x, within[1]) for x in halves]
    on1 = [coarse(x, within[0]) for x in on2]
    board = [[(0, 0), (1, 1)], [(0, 1), (1, 0)]]
    turns = [3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2]
    stages = (
        (on1, [mask(2, 2, board), mask(2, 2, board[::-1])]),
        (on2, [mask(4, 2, [[FOUR[n]] for n in turn]) for turn in turns]),
        (halves, [mask(8, 4, [list(CELLS[n]) for n in kinds]) for kinds in EIGHT]),
    )
    every, context, known, number = [], torch.cat(on1[:2], 1), torch.zeros_like(on1[2]), 0
    for grid, ((scales, means, latents), masks) in enumerate(stages):
        if grid > 0:
            there = spread(torch.ones_like(known), within[grid - 1])
            known = spread(known, within[grid - 1])
            both = [spread(x, within[grid - 1]) for x in context.chunk(2, 1)]
            start = torch.cat((scales * (1 - there), means * (1 - there)), 1)
            context = model.context_net[grid - 1](torch.cat(both, 1) + start)
        adaptors = getattr(model, f"y_spatial_prior_adaptor_list_s{grid + 1}")
        spatial = model.y_spatial_prior_s3 if grid == 2 else model.y_spatial_prior_s1_s2
        for turn, part in enumerate(masks):
            if number > 0:
                order = turn - 1 if turn else len(adaptors) - 1
                told = adaptors[order](torch.cat((context, known), 1))
                params = spatial(told, model.adaptive_params_list[number - 1])
                context = getattr(model, f"attn_s{grid + 1}")(params, context)
                scales = params.chunk(2, 1)[0]
            every.append(scales * part)
            known = known + latents * part
            number += 1
    return every, known


@torch.no_grad()
def test_the_walk_is_that_of_dense_masks():
    torch.manual_seed(0)
    model = Hpcm(SHAPE).double().eval()
    for parameter in model.adaptive_params_list:
        parameter.uniform_(0.5, 1.5)
    y = torch.randn(1, 16, 8, 8, dtype=torch.float64)
    prior = torch.randn(1, 32, 8, 8, dtype=torch.float64)
    grids = [grid.flatten(1) for grid in model.on_grids(y)]
    found = []

    def code_step(step: CodingStep, scales: Tensor, means: Tensor) -> Tensor:
        flat = torch.zeros_like(grids[step.grid])
        flat[:, step.index] = scales
        found.append(flat)
        return grids[step.grid][:, step.index]

    known = model.code_latents(prior, code_step)
    expected, latents = dense(model, y, prior)
    assert torch.equal(known, y)
    assert torch.equal(latents, y)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two.flatten(1), rtol=1e-12, atol=1e-12)
