"""HPCM: latents coded in eleven steps over three grids, each conditioned on all before it.

Submodules carry the names of the released model. Two facts of that model are kept because its
numbers depend on them: which adaptor serves which step of s2 and s3 (last, first, second, ...),
and the first step, which uses the hyperprior alone. One is not: its released code places the
hyperprior's parameters on s2 shifted, for groups of channels 2 to 7, against the latents that
they belong to. Here each parameter lies where its latent lies.

Source: Li et al., "Learned Image Compression with Hierarchical Progressive Context Modeling",
ICCV 2025.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tunewright.recipes.compression.models.blocks import DWConvRB, PConvRB, WindowAttention
from tunewright.recipes.compression.models.compressor import (
    Compressor,
    LatentCoder,
    channel_priors,
    init_wide_latents,
)
from tunewright.recipes.compression.models.gather import gather, scatter
from tunewright.recipes.compression.models.hpcm_grids import (
    GRIDS,
    PATTERNS,
    S1,
    S2,
    S3,
    STEPS,
    plan,
)
from tunewright.recipes.compression.models.likelihoods import GENERALISED_GAUSSIAN

Size = Literal["tiny", "base", "large"]


@dataclass(frozen=True)
class HpcmShape:
    """What distinguishes one HPCM from another.

    widths, depths: channels and blocks of the transforms at strides 2, 4 and 8. latent, hyper:
    channels of the latents, a multiple of 8, and of the hyper-latents. heads, windows: of the
    attention on s1, s2 and s3. prior_s1_s2, prior_s3: blocks of the two priors before and after
    a step's scale vector. wide_init: start with latents of deviation about 1; with PyTorch's
    initialisation, as the published models use it, it is 0.03 and all are rounded to 0 at first.
    """

    widths: tuple[int, int, int]
    depths: tuple[int, int, int]
    latent: int
    hyper: int
    heads: int
    windows: tuple[int, int, int]
    prior_s1_s2: tuple[int, int] = (2, 1)
    prior_s3: tuple[int, int] = (3, 2)
    wide_init: bool = False


BASE = HpcmShape(
    widths=(96, 192, 384), depths=(2, 2, 4), latent=320, hyper=256, heads=32, windows=(4, 8, 8)
)
LARGE = HpcmShape(
    widths=(96, 192, 384),
    depths=(2, 2, 8),
    latent=320,
    hyper=256,
    heads=32,
    windows=(4, 8, 8),
    prior_s1_s2=(2, 2),
    prior_s3=(4, 3),
)
TINY = HpcmShape(
    widths=(16, 32, 64),
    depths=(1, 1, 1),
    latent=48,
    hyper=32,
    heads=8,
    windows=(2, 4, 4),
    prior_s1_s2=(1, 1),
    prior_s3=(1, 1),
    wide_init=True,
)
SHAPES: dict[Size, HpcmShape] = {"tiny": TINY, "base": BASE, "large": LARGE}


class Hpcm(Compressor):
    """Pictures to latents at stride 16 to hyper-latents at stride 64, and back; see the module."""

    family = GENERALISED_GAUSSIAN
    grids = GRIDS
    stride = 16

    def __init__(self, shape: HpcmShape) -> None:
        super().__init__()
        self.shape = shape
        # Each grid holds whole windows: s1, s2 and s3 have strides 64, 32 and 16.
        self.multiple = math.lcm(*(64 // 2**n * side for n, side in enumerate(shape.windows)), 64)
        latent, hyper = shape.latent, shape.hyper
        self.g_a = _analysis(shape)
        self.g_s = _synthesis(shape)
        self.h_a = nn.Sequential(
            PConvRB(latent), _down(latent, hyper), *_blocks(hyper, 3), _down(hyper, hyper)
        )
        self.h_s = nn.Sequential(
            _up(hyper, hyper), *_blocks(hyper, 3), _up(hyper, 2 * latent), PConvRB(2 * latent)
        )
        self.y_spatial_prior_adaptor_list_s1 = _adaptors(latent, len(S1.steps) - 1)
        self.y_spatial_prior_adaptor_list_s2 = _adaptors(latent, len(S2.steps))
        self.y_spatial_prior_adaptor_list_s3 = _adaptors(latent, len(S3.steps))
        self.y_spatial_prior_s1_s2 = SpatialPrior(latent, shape.prior_s1_s2)
        self.y_spatial_prior_s3 = SpatialPrior(latent, shape.prior_s3)
        self.adaptive_params_list = nn.ParameterList(
            torch.ones(1, 3 * latent, 1, 1) for _ in range(STEPS - 1)
        )
        self.attn_s1, self.attn_s2, self.attn_s3 = (
            WindowAttention(2 * latent, heads=shape.heads, window=side) for side in shape.windows
        )
        self.context_net = nn.ModuleList(nn.Conv2d(2 * latent, 2 * latent, 1) for _ in range(2))
        self.means_hyper, self.scales_hyper = channel_priors(hyper)
        if shape.wide_init:
            init_wide_latents(self.g_a, self.g_s)

    def scales_of_parameters(self) -> dict[str, frozenset[str]]:
        """Return which of the grids use each parameter of the context, by its name.

        The prior of s1 and s2 serves both; a network between two grids belongs to the finer one.
        """
        own = {
            **{f"y_spatial_prior_adaptor_list_{grid}": (grid,) for grid in GRIDS},
            **{f"attn_{grid}": (grid,) for grid in GRIDS},
            "y_spatial_prior_s1_s2": ("s1", "s2"),
            "y_spatial_prior_s3": ("s3",),
            **{f"context_net.{number}": (grid,) for number, grid in enumerate(GRIDS[1:])},
        }
        step_grids = [grid for grid, p in zip(GRIDS, PATTERNS, strict=True) for _ in p.steps]
        for number, grid in enumerate(step_grids[1:]):  # the first step has no scale vector
            own[f"adaptive_params_list.{number}"] = (grid,)
        names = [name for name, _ in self.named_parameters()]
        return {
            name: frozenset(grids)
            for part, grids in own.items()
            for name in names
            if name == part or name.startswith(f"{part}.")
        }

    def on_grids(self, y: Tensor) -> tuple[Tensor, ...]:
        """Return the latents on s1, s2 and s3."""
        return plan(*y.shape[1:], y.device).on_grids(y)

    def code_latents(self, prior: Tensor, code_step: LatentCoder) -> Tensor:
        """Code in eleven steps: two on s1, three on s2, six on s3."""
        batch, both, height, width = prior.shape
        places = plan(both // 2, height, width, prior.device)
        starts = places.on_grids(prior)
        context = params = starts[0]
        known = _nothing_known(context)
        for grid, (start, steps) in enumerate(zip(starts, places.steps, strict=True)):
            adaptors, spatial_prior, attention = self._on(grid)
            if grid > 0:
                context = self.context_net[grid - 1](places.refine(context, start, grid))
                known = places.refine(known, _nothing_known(start), grid)
            for turn, step in enumerate(steps):
                if step.number > 0:
                    inputs = torch.cat((context, known.to(context.dtype)), 1)
                    scale = self.adaptive_params_list[step.number - 1]
                    params = spatial_prior(adaptors[turn - 1](inputs), scale)
                    if step.number < STEPS - 1:
                        context = attention(params, context)
                chosen = gather(params.reshape(2 * batch, -1), step.index)
                scales, means = chosen.view(batch, 2, -1).unbind(1)
                values = code_step(step, scales, means)
                known = scatter(known.flatten(1), step.index, values).view_as(known)
        return known

    def _on(self, grid: int) -> tuple[nn.ModuleList, Callable[..., Tensor], WindowAttention]:
        return (
            (self.y_spatial_prior_adaptor_list_s1, self.y_spatial_prior_s1_s2, self.attn_s1),
            (self.y_spatial_prior_adaptor_list_s2, self.y_spatial_prior_s1_s2, self.attn_s2),
            (self.y_spatial_prior_adaptor_list_s3, self.y_spatial_prior_s3, self.attn_s3),
        )[grid]


class SpatialPrior(nn.Module):
    """From the context and the latents known so far, [B, 3 M, h, w], to scales and means [B, 2 M].

    depths: blocks before and after the scale vector [1, 3 M, 1, 1], which differs between steps.
    """

    def __init__(self, latent: int, depths: tuple[int, int]) -> None:
        super().__init__()
        before, after = depths
        self.branch_1 = nn.Sequential(*(DWConvRB(3 * latent) for _ in range(before)))
        self.branch_2 = nn.Sequential(
            *(DWConvRB(3 * latent) for _ in range(after)), nn.Conv2d(3 * latent, 2 * latent, 1)
        )

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        """Scales, then means."""
        return self.branch_2(self.branch_1(x) * scale)  # type: ignore[no-any-return]


def _nothing_known(like: Tensor) -> Tensor:
    """Return zeros [B, M, ...] for parameters [B, 2 M, ...], never in half precision."""
    batch, both, height, width = like.shape
    exact = torch.promote_types(like.dtype, torch.float32)
    return like.new_zeros(batch, both // 2, height, width, dtype=exact)


def _analysis(shape: HpcmShape) -> nn.Sequential:
    (first, second, third), (one, two, three) = shape.widths, shape.depths
    return nn.Sequential(
        nn.Conv2d(3, first, 4, stride=2, padding=1),
        *_blocks(first, one),
        _down(first, second),
        *_blocks(second, two),
        _down(second, third),
        *_blocks(third, three),
        _down(third, shape.latent),
    )


def _synthesis(shape: HpcmShape) -> nn.Sequential:
    (first, second, third), (one, two, three) = shape.widths, shape.depths
    return nn.Sequential(
        _up(shape.latent, third),
        *_blocks(third, three),
        _up(third, second),
        *_blocks(second, two),
        _up(second, first),
        *_blocks(first, one),
        nn.ConvTranspose2d(first, 3, 4, stride=2, padding=1),
    )


def _blocks(channels: int, count: int) -> list[PConvRB]:
    return [PConvRB(channels) for _ in range(count)]


def _adaptors(latent: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(3 * latent, 3 * latent, 1) for _ in range(count))


def _down(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 2, stride=2)


def _up(before: int, after: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 2, stride=2)
