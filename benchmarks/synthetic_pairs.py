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
    texts_per_image: int = 1,
    latent_noise: float = 0.6,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> None:
    """Write `train_tuning` and `val` as the pairs guide has them: `.pt` files and image ids.

    With one text an image, every loss has the diagonal as its positives; with more, an image is
    repeated for each of its texts, as COCO's captions have it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = rows + valid_rows
    if rows % texts_per_image or valid_rows % texts_per_image:
        raise ValueError(f"{rows} and {valid_rows} rows for {texts_per_image} texts an image")
    draw = np.random.default_rng(seed)
    shape = (total // texts_per_image, SHARED)
    latent = torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))
    sides = {
        "image": _view(latent, image_width, latent_noise, draw, dtype, texts_per_image),
        "text": _view(
            latent.repeat_interleave(texts_per_image, 0), text_width, latent_noise, draw, dtype, 1
        ),
    }
    for part, where in {"train_tuning": slice(0, rows), "val": slice(rows, total)}.items():
        for name, side in sides.items():
            torch.save(side[where].clone(), folder / f"{part}_{name}_embeddings.pt")
        ids = [row // texts_per_image for row in range(total)[where]]
        (folder / f"{part}_metadata.json").write_text(
            json.dumps({"dataset_name": part, "total_pairs": len(ids), "image_ids": ids})
        )


def _view(
    latent: Tensor,
    width: int,
    noise: float,
    draw: np.random.Generator,
    dtype: torch.dtype,
    repeats: int,
) -> Tensor:
    """[len(latent) * repeats, width]: one side's embeddings, of about unit variance."""

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))

    inward = normal(SHARED + PRIVATE, HIDDEN) * (1.5 / (SHARED + PRIVATE) ** 0.5)
    outward = normal(HIDDEN, width) * (1.5 / HIDDEN**0.5)
    found = torch.empty(len(latent) * repeats, width, dtype=dtype)
    for at in range(0, len(latent), CHUNK_ROWS):
        seen = latent[at : at + CHUNK_ROWS]
        factors = torch.cat([seen + noise * normal(*seen.shape), normal(len(seen), PRIVATE)], dim=1)
        made = torch.tanh(factors @ inward) @ outward + 0.3 * normal(len(seen), width)
        where = slice(at * repeats, (at + len(seen)) * repeats)
        found[where] = made.repeat_interleave(repeats, 0).to(dtype)
    return found
