"""How precisely numbers are held where rounding would show."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Convert half precision to float32, also under autocast; wider numbers stay as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
