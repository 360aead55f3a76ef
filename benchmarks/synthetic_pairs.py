"""Made pairs with a structure that a head has to learn: what two views of one latent share.

Each side sees its own noisy copy of a shared latent, beside private factors, through a random
two-layer network. The noise bounds the recall that any head can reach; the network bends what a
linear head would need to be straight.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SHARED, PRIVATE, HIDDEN = 24, 16, 256
CHUNK_ROWS = 8192


def write_pairs(
    folder: Path,
    *,
    rows: int,
    valid_rows: int,
    image_width: int,
    text_width: int,
    latent_noise: float = 0.6,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> None:
    """Write `train_tuning` and `val` as the pairs guide has them: `.pt` files and image ids.

    One text an image, so that every loss has the diagonal as its positives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = rows + valid_rows
    draw = np.random.default_rng(seed)
    latent = torch.from_numpy(draw.standard_normal((total, SHARED), dtype=np.float32))
    parts = {"train_tuning": slice(0, rows), "val": slice(rows, total)}
    for name, width in (("image", image_width), ("text", text_width)):
        side = _view(latent, width, latent_noise, draw).to(dtype)
        for part, where in parts.items():
            torch.save(side[where].clone(), folder / f"{part}_{name}_embeddings.pt")
    for part, where in parts.items():
        ids = list(range(total))[where]
        (folder / f"{part}_metadata.json").write_text(
            json.dumps({"dataset_name": part, "total_pairs": len(ids), "image_ids": ids})
        )


def _view(latent: Tensor, width: int, noise: float, draw: np.random.Generator) -> Tensor:
    """[rows, width]: one side's embeddings, of about unit variance."""

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))

    inward = normal(SHARED + PRIVATE, HIDDEN) * (1.5 / (SHARED + PRIVATE) ** 0.5)
    outward = normal(HIDDEN, width) * (1.5 / HIDDEN**0.5)
    found = torch.empty(len(latent), width)
    for at in range(0, len(latent), CHUNK_ROWS):
        seen = latent[at : at + CHUNK_ROWS]
        factors = torch.cat([seen + noise * normal(*seen.shape), normal(len(seen), PRIVATE)], dim=1)
        found[at : at + CHUNK_ROWS] = torch.tanh(factors @ inward) @ outward
        found[at : at + CHUNK_ROWS] += 0.3 * normal(len(seen), width)
    return found
