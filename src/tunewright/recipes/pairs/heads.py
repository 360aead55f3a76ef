"""Projection heads: from a frozen embedding [B, input_dim] to the shared space [B, output_dim].

The output is not normalised: the model that holds both heads does it once, so norms can be
inspected, and every loss receives unit vectors. Initialisation is PyTorch's default unless a
docstring states otherwise.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunewright.errors import ConfigError
from tunewright.registry import Registry

HEADS: Registry[Callable[..., nn.Module]] = Registry("head")


@HEADS
def siglip(input_dim: int, /, *, output_dim: int = 512, dropout: float = 0.0) -> nn.Module:
    """Make the cheapest head, one normalised linear map: LayerNorm, dropout, Linear without bias.

    [B, input_dim] -> [B, output_dim]. The weight starts as N(0, input_dim**-0.5), so outputs
    have unit variance.
    """
    linear = nn.Linear(input_dim, output_dim, bias=False)
    nn.init.normal_(linear.weight, std=input_dim**-0.5)
    return nn.Sequential(nn.LayerNorm(input_dim), nn.Dropout(dropout), linear)


@HEADS
def clip(
    input_dim: int, /, *, output_dim: int = 512, hidden_dim: int = 1024, dropout: float = 0.1
) -> nn.Module:
    """Make a head with one hidden layer: Linear, GELU, dropout, Linear.

    [B, input_dim] -> [B, output_dim].
    """
    return nn.Sequential(
        nn.Linear(input_dim, hidden_dim),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_dim, output_dim),
    )


@HEADS
def mlp(
    input_dim: int, /, *, output_dim: int = 512, hidden_dim: int = 1024, dropout: float = 0.1
) -> nn.Module:
    """Make the `clip` head with a final LayerNorm.

    [B, input_dim] -> [B, output_dim].
    """
    hidden = clip(input_dim, output_dim=output_dim, hidden_dim=hidden_dim, dropout=dropout)
    return nn.Sequential(*hidden.children(), nn.LayerNorm(output_dim))


@HEADS
def attention(
    input_dim: int,
    /,
    *,
    output_dim: int = 512,
    dropout: float = 0.0,
    num_heads: int = 8,
    num_layers: int = 2,
    tokens: int = 1,
) -> nn.Module:
    """Make a head of self-attention over `tokens` slices of the embedding, Linear and LayerNorm.

    [B, input_dim] -> [B, output_dim]; attention has the width input_dim / tokens. With the default
    of one token there is nothing to attend to: every attention weight is 1, `num_heads` changes
    only how dropout draws (on the attention weights), and each layer is a linear residual block.

    Raises ConfigError if `tokens` does not divide `input_dim`, or `num_heads` the token width.
    Source: Vaswani et al., NeurIPS 2017, section 3 (post-norm layers without feed-forward).
    """
    if tokens < 1 or input_dim % tokens:
        raise ConfigError(
            f"tokens = {tokens}",
            expected=f"a divisor of the embedding width {input_dim}",
            remedy=f"Choose one of {_divisors(input_dim)}.",
        )
    width = input_dim // tokens
    if num_heads < 1 or width % num_heads:
        raise ConfigError(
            f"num_heads = {num_heads}",
            expected=f"a divisor of the token width {width} ({input_dim} / {tokens} tokens)",
            remedy=f"Choose one of {_divisors(width)}.",
        )
    return nn.Sequential(
        nn.Unflatten(1, (tokens, width)),
        *(SelfAttentionLayer(width, num_heads, dropout) for _ in range(num_layers)),
        nn.Flatten(),
        nn.Linear(input_dim, output_dim),
        nn.LayerNorm(output_dim),
    )


class SelfAttentionLayer(nn.Module):
    """A post-norm layer: x <- LayerNorm(x + MultiheadAttention(x)) over [B, tokens, width]."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, num_heads, dropout, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: [B, tokens, width] -> [B, tokens, width]."""
        if x.shape[1] == 1:
            attended = self._values_only(x)
        else:
            attended, _ = self.attention(x, x, x, need_weights=False)
        return cast(Tensor, self.norm(x + attended))

    def _values_only(self, x: Tensor) -> Tensor:
        # A softmax over one token is 1 whatever query and key are, so attention is the value
        # projection: half the products for the same output. Taking V as a slice keeps the gradient
        # of the query and key weights at exact zeros (not None), as the full computation has it.
        attention = self.attention
        value = slice(2 * attention.embed_dim, None)
        values = F.linear(x, attention.in_proj_weight[value], attention.in_proj_bias[value])
        if self.training and attention.dropout > 0:
            # Attention dropout acts on the one weight of a head: the head is dropped or scaled.
            by_head = values.reshape(
                len(x), 1, attention.num_heads, -1
            )  # [B, 1, heads, width / heads]
            weights = F.dropout(torch.ones_like(by_head[..., :1]), attention.dropout)
            values = (by_head * weights).flatten(-2)
        return cast(Tensor, attention.out_proj(values))


def _divisors(number: int) -> str:
    return ", ".join(str(n) for n in range(1, min(number, 64) + 1) if number % n == 0)
