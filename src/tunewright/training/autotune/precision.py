"""Whether lower precision pays on this CPU: where it is native, and a step is mostly products."""

from typing import Literal

import torch
from torch import nn

Precision = Literal["no", "bf16", "fp16"]
"""Accelerate's words; "no" is float32."""
WORK = 1 << 25
"""Weights times rows of a step from which bf16 was measured to be faster (`LOG.md`)."""


def cpu_precision(model: nn.Module, batch_size: int) -> Literal["no", "bf16"]:
    """What `auto` means for `model` on a CPU: bf16 only where it is native and a step has work.

    A small step is spent on calls, which casts only add to.
    """
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad and p.ndim >= 2)
    return "bf16" if native_bf16() and weights * batch_size >= WORK else "no"


def native_bf16() -> bool:
    """Whether this CPU multiplies bf16 itself; elsewhere it is emulated, and slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
