"""Text encoders: tokens [N, L] to the vector of the first token [N, width]."""

from typing import cast

import torch
from torch import Tensor, nn

from tunewright.recipes.retina.models.word_tokenizer import PAD


class SmallTextEncoder(nn.Module):
    """A transformer with learnt positions and pre-norm layers, for a vocabulary of its own.

    width: of its output. Tokens of 0 are padding and are not attended to.
    """

    def __init__(
        self, words: int, context_length: int, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.width = width
        self.words = nn.Embedding(words, width, padding_idx=PAD)
        self.positions = nn.Parameter(torch.empty(context_length, width))
        nn.init.normal_(self.words.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the vector of the first token: [N, L] int64 -> [N, width]."""
        found = self.words(tokens) + self.positions[: tokens.shape[1]]
        found = self.layers(found, src_key_padding_mask=tokens == PAD)
        return cast(Tensor, self.norm(found[:, 0]))
