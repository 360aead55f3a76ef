"""Precisions: what the configuration means, and where bf16 pays on this CPU."""

from typing import Literal

import torch
from torch import nn

Precision = Literal["no", "bf16", "fp16"]
"""Accelerate's words; "no" is float32."""
WORK = 1 << 25
"""Weights times rows of a step above which bf16 was measured to be faster (`LOG.md`)."""


def resolve_precision(wanted: str, *, cpu: bool) -> Precision:
    """Return Accelerate's word for a precision; `auto` is bf16 on GPUs that have it, else fp32."""
    if wanted == "auto":
        return "bf16" if not cpu and torch.cuda.is_bf16_supported() else "no"
    return {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[wanted]  # type: ignore[return-value]


def cpu_precision(model: nn.Module, batch_size: int) -> Literal["no", "bf16"]:
    """Return what `auto` means for `model` on a CPU: bf16 where it is native and steps are large.

    A small step is mostly overhead of calls, and casts add to it.
    """
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad and p.ndim >= 2)
    return "bf16" if native_bf16() and weights * batch_size >= WORK else "no"


def native_bf16() -> bool:
    """Return whether this CPU multiplies bf16 itself; elsewhere it is emulated and slow."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
