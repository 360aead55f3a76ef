"""The tripartite model: patient, left and right eye, each with a text and a scale of its own.

Source: Du et al., "RET-CLIP: A Retinal Image Foundation Model Pre-trained with Clinical Diagnostic
Reports", MICCAI 2024.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.contrastive.losses import SoftmaxLoss
from tunewright.recipes.retina.config import TripartiteLossConfig
from tunewright.recipes.retina.data.eye_table import BRANCHES
from tunewright.recipes.retina.models.image_encoder import ImageEncoder
from tunewright.training.precision import at_least_float32


class TripartiteModel(nn.Module):
    """One image encoder for both eyes, one text encoder, and a map of each into every branch.

    criteria: the contrastive losses by branch, which hold the learnable scales.
    """

    def __init__(
        self, image_encoder: ImageEncoder, text_encoder: nn.Module, loss: TripartiteLossConfig
    ) -> None:
        super().__init__()
        self.image_encoder, self.text_encoder = image_encoder, text_encoder
        width = image_encoder.projection.out_features
        text_width = cast(int, text_encoder.width)
        self.image_maps = nn.ModuleDict(
            {
                branch: nn.Linear((2 if branch == "patient" else 1) * width, width, bias=False)
                for branch in BRANCHES
            }
        )
        self.text_maps = nn.ModuleDict(
            {branch: _text_map(text_width, width) for branch in BRANCHES}
        )
        self.criteria = nn.ModuleDict(
            {
                branch: SoftmaxLoss(
                    temperature=loss.initial_temperature, learnable_temp=loss.learns_temperature
                )
                for branch in BRANCHES
            }
        )

    def encode_eyes(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return unit vectors of patients, left and right eyes, each [B, embed_dim].

        left, right: [B, 3, S, S]; both go through the encoder in one pass.
        """
        found = self.image_encoder(torch.cat([left, right]))
        of_left, of_right = found.chunk(2)
        return (
            _unit(self.image_maps["patient"](torch.cat([of_left, of_right], dim=1))),
            _unit(self.image_maps["left"](of_left)),
            _unit(self.image_maps["right"](of_right)),
        )

    def encode_texts(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return unit vectors of texts for each branch, [B, embed_dim].

        tokens: [B, 1, L], one text for all three branches, or [B, 3, L], one for each.
        """
        rows, kinds, length = tokens.shape
        found = self.text_encoder(tokens.reshape(rows * kinds, length)).view(rows, kinds, -1)
        vectors = [
            _unit(self.text_maps[branch](found[:, min(at, kinds - 1)]))
            for at, branch in enumerate(BRANCHES)
        ]
        return vectors[0], vectors[1], vectors[2]

    def encode_prompts(self, tokens: Tensor) -> Tensor:
        """Return unit vectors of prompts in the patient branch: [T, L] -> [T, embed_dim]."""
        return self.encode_texts(tokens[:, None])[0]

    def forward(self, left: Tensor, right: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """Return the vectors of `encode_eyes` and `encode_texts`, six of [B, embed_dim]."""
        return (*self.encode_eyes(left, right), *self.encode_texts(tokens))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep every log scale within 0 and its maximum, after an optimiser step."""
        for criterion in self.criteria.values():
            cast(SoftmaxLoss, criterion).clamp_()
            cast(SoftmaxLoss, criterion).log_scale.clamp_(min=0.0)


def tripartite_loss(
    criteria: nn.ModuleDict,
    vectors: Sequence[Tensor],
    groups: Tensor,
    shown: Tensor,
    branches: Sequence[str] = BRANCHES,
) -> dict[str, Tensor]:
    """Return the contrastive loss of each branch; their sum is the loss of the model.

    vectors: unit vectors of patient, left and right eye, then of their texts, each [B, d]. groups:
    int64 [B, 3], equal for rows that are positives of each other in a branch. shown: bool [B, 3];
    rows without it, such as those without that eye, neither count nor serve as negatives. A branch
    without rows has the loss 0. Source: Du et al. 2024, equation 4; Radford et al. 2021, figure 3.
    """
    losses = {}
    for at, branch in enumerate(BRANCHES):
        if branch not in branches:
            continue
        images, texts, ids = vectors[at], vectors[at + len(BRANCHES)], groups[:, at]
        rows = shown[:, at].nonzero().squeeze(1)
        if len(rows) < len(images):
            images, texts, ids = (side.index_select(0, rows) for side in (images, texts, ids))
        losses[branch] = (
            criteria[branch](images, texts, ids) if len(ids) else 0.0 * vectors[at].sum()
        )
    return losses


def _text_map(text_width: int, width: int) -> nn.Sequential:
    """Make Linear, ReLU, Linear with weights N(0, text_width**-0.5)."""
    layers = nn.Sequential(
        nn.Linear(text_width, text_width), nn.ReLU(), nn.Linear(text_width, width)
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=text_width**-0.5)
    return layers


def _unit(vectors: Tensor) -> Tensor:
    """Normalise rows to length 1, in float32 at least, even under autocast."""
    return F.normalize(at_least_float32(vectors), dim=-1)
