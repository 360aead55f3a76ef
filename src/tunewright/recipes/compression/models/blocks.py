"""The blocks of HPCM: two residual blocks and attention within windows.

Source: Li et al., ICCV 2025; the partial convolution is that of Chen et al., CVPR 2023.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.01
PARTIAL = 4
"""`PConvRB` convolves one of this many channels: the first quarter."""


class PConvRB(nn.Module):
    """x + MLP(3 x 3 convolution of the first quarter of the channels, the others as they are).

    x: [B, channels, H, W]. The MLP looks at one place at a time and is 4 times as wide inside.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.partial = channels // PARTIAL
        self.conv = nn.Conv2d(self.partial, self.partial, 3, padding=1)
        self.mlp = _mlp(channels, 4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        mixed = torch.cat((self.conv(x[:, : self.partial]), x[:, self.partial :]), 1)
        return x + self.mlp(mixed)  # type: ignore[no-any-return]


class DWConvRB(nn.Module):
    """x + MLP(3 x 3 convolution of each channel by itself); x: [B, channels, H, W].

    The MLP looks at one place at a time and is twice as wide inside.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mlp = _mlp(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        return x + self.mlp(self.conv(x))  # type: ignore[no-any-return]


class WindowAttention(nn.Module):
    """Cross-attention of new parameters to the previous context, in windows, with a residual.

    channels: of both inputs, a multiple of heads. window: side of the square windows, which do not
    overlap.
    """

    def __init__(self, channels: int, *, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.conv_q = nn.Conv2d(channels, channels, 1)
        self.conv_k = nn.Conv2d(channels, channels, 1)
        self.conv_v = nn.Conv2d(channels, channels, 1)
        self.conv_out = nn.Conv2d(channels, channels, 1)

    def forward(self, new: Tensor, context: Tensor) -> Tensor:
        """Return the next context; all are [B, channels, H, W], H and W multiples of the window."""
        query = self._windows(self.conv_q(new))
        key, value = self._windows(self.conv_k(context)), self._windows(self.conv_v(context))
        found = F.scaled_dot_product_attention(query, key, value)
        return self.conv_out(new) + self._whole(found, new.shape)  # type: ignore[no-any-return]

    def _windows(self, x: Tensor) -> Tensor:
        """Divide [B, C, H, W] into windows: [B * windows, heads, window^2, C / heads]."""
        batch, channels, height, width = x.shape
        rows, columns = height // self.window, width // self.window
        x = x.view(batch, self.heads, -1, rows, self.window, columns, self.window)
        x = x.permute(0, 3, 5, 1, 4, 6, 2)
        return x.reshape(-1, self.heads, self.window**2, channels // self.heads)

    def _whole(self, x: Tensor, shape: torch.Size) -> Tensor:
        """Join windows to [B, C, H, W]; the inverse of `_windows`."""
        batch, channels, height, width = shape
        rows, columns = height // self.window, width // self.window
        x = x.view(batch, rows, columns, self.heads, self.window, self.window, -1)
        return x.permute(0, 3, 6, 1, 4, 2, 5).reshape(batch, channels, height, width)


def _mlp(channels: int, inside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, inside, 1),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(inside, channels, 1),
    )
