"""Tunewright tunes and fine-tunes PyTorch models; importing it imports nothing heavy.

The commands are functions here: `tunewright.tune("pairs", "data.dir=FOLDER", trials=100)`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewright.api import (
        analyze,
        augment,
        bd_rate,
        benchmark,
        check,
        compress,
        dashboard,
        decompress,
        ensemble,
        evaluate,
        export,
        lr_find,
        models,
        plan,
        predict,
        repair,
        replay,
        show,
        space,
        submit,
        train,
        tune,
    )

__version__ = "0.1.0"
__all__ = [
    "analyze",
    "augment",
    "bd_rate",
    "benchmark",
    "check",
    "compress",
    "dashboard",
    "decompress",
    "ensemble",
    "evaluate",
    "export",
    "lr_find",
    "models",
    "plan",
    "predict",
    "repair",
    "replay",
    "show",
    "space",
    "submit",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Return a function of `tunewright.api`, which is imported on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'tunewright' has no attribute {name!r}")
    from tunewright import api

    return getattr(api, name)
