"""HPCM's three nested grids of latents, and the eleven steps in which they are coded.

The latents [M, h, w] are the grid s3. Every fourth of them is also on s2 [M, h/2, w/2], and every
fourth of those on s1 [M, h/4, w/4]. Groups of channels use different places, so that some channels
are known at every place early. The pattern repeats every 4 x 4 latents and is not learned. Two
steps code s1, three the rest of s2, six the rest of s3: 1/32, 1/16 and 1/8 of the latents each.

Source: Li et al., "Learned Image Compression with Hierarchical Progressive Context Modeling",
ICCV 2025.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from tunewright.recipes.compression.models.compressor import CodingStep
from tunewright.recipes.compression.models.gather import gather, scatter

Groups = tuple[int, ...]
"""The kind of cell of each group of channels; the groups divide the channels evenly."""


class Pattern(NamedTuple):
    """How one grid is coded.

    period: kinds of cell, by row and column, repeated over the grid. known: the cells that the
    coarser grid has coded, possibly several kinds a group. steps: the cells that each step codes.
    With period ((0, 1), (2, 3)), groups (3, 2) mean the lower right cell of each 2 x 2 block for
    the first group of channels, and the lower left cell for the second.
    """

    period: tuple[tuple[int, ...], ...]
    known: tuple[Groups, ...]
    steps: tuple[Groups, ...]


GRIDS = ("s1", "s2", "s3")
S1 = Pattern(
    period=((0, 1), (1, 0)),
    known=(),
    steps=((0, 1), (1, 0)),
)
S2 = Pattern(
    period=((0, 1), (2, 3)),
    known=((0, 1, 2, 3),),
    steps=((3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2)),
)
S3 = Pattern(
    period=((0, 4, 1, 5), (6, 2, 7, 3), (1, 5, 0, 4), (7, 3, 6, 2)),
    known=((0, 2, 4, 6, 1, 3, 5, 7), (1, 3, 5, 7, 0, 2, 4, 6)),
    steps=(
        (2, 4, 6, 0, 3, 5, 7, 1),
        (3, 5, 7, 1, 2, 4, 6, 0),
        (4, 6, 0, 2, 5, 7, 1, 3),
        (5, 7, 1, 3, 4, 6, 0, 2),
        (6, 0, 2, 4, 7, 1, 3, 5),
        (7, 1, 3, 5, 6, 0, 2, 4),
    ),
)
PATTERNS = (S1, S2, S3)
STEPS = sum(len(pattern.steps) for pattern in PATTERNS)
CHANNEL_GROUPS = 8


class GridPlan(NamedTuple):
    """The hierarchy for latents of one size.

    shapes: (M, rows, columns) of s1, s2 and s3. inside: int64, the places in s2 of each latent of
    s1, and in s3 of each of s2. steps: of each grid.
    """

    shapes: tuple[tuple[int, int, int], ...]
    inside: tuple[Tensor, ...]
    steps: tuple[tuple[CodingStep, ...], ...]

    def on_grids(self, values: Tensor) -> tuple[Tensor, ...]:
        """Return the part of values [B, k M, h, w] on s1, s2 and s3; all k blocks of M alike."""
        batch = len(values)
        found = [values.reshape(-1, _count(self.shapes[-1]))]
        for index in reversed(self.inside):
            found.append(gather(found[-1], index))
        pairs = zip(self.shapes, reversed(found), strict=True)
        return tuple(flat.reshape(batch, -1, *shape[1:]) for shape, flat in pairs)

    def refine(self, values: Tensor, onto: Tensor, grid: int) -> Tensor:
        """Insert values [B, k M, ...] of the coarser grid into `onto` [B, k M, ...] of a grid.

        grid: number of the finer one, 1 or 2.
        """
        coarse = values.reshape(-1, _count(self.shapes[grid - 1]))
        fine = onto.reshape(-1, _count(self.shapes[grid]))
        return scatter(fine, self.inside[grid - 1], coarse).reshape(onto.shape)


@lru_cache(maxsize=4)
def plan(channels: int, height: int, width: int, device: torch.device) -> GridPlan:
    """Make the plan for latents [channels, height, width], with its indices on `device`.

    channels: a multiple of 8. height, width: multiples of 4, or s1 would not be a grid.
    """
    assert channels % CHANNEL_GROUPS == 0
    assert height % 4 == 0
    assert width % 4 == 0
    shapes = tuple((channels, height // part, width // part) for part in (4, 2, 1))
    # Cached for later calls that may need gradients, which inference tensors do not allow.
    with torch.inference_mode(mode=False):
        inside = tuple(
            _places(pattern, pattern.known, shape, device)
            for pattern, shape in zip(PATTERNS[1:], shapes[1:], strict=True)
        )
        steps: list[tuple[CodingStep, ...]] = []
        for grid, (pattern, shape) in enumerate(zip(PATTERNS, shapes, strict=True)):
            first = sum(map(len, steps))
            steps.append(
                tuple(
                    CodingStep(number, grid, _places(pattern, (groups,), shape, device))
                    for number, groups in enumerate(pattern.steps, first)
                )
            )
    return GridPlan(shapes, inside, tuple(steps))


def _places(
    pattern: Pattern, kinds: Sequence[Groups], shape: tuple[int, int, int], device: torch.device
) -> Tensor:
    """Return the places of `kinds` in the flattened grid, ascending: int64 [n]."""
    channels, height, width = shape
    period = torch.tensor(pattern.period, device=device)
    rows = torch.arange(height, device=device) % len(period)
    columns = torch.arange(width, device=device) % len(period)
    cells = period[rows][:, columns]  # [height, width]
    wanted = torch.tensor(kinds, device=device)[..., None, None]  # [kinds, groups, 1, 1]
    chosen = (cells == wanted).any(0)  # [groups, height, width]
    return chosen.repeat_interleave(channels // len(chosen), 0).flatten().nonzero().flatten()


def _count(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]
