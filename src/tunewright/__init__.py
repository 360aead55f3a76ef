"""Tunewright tunes and fine-tunes PyTorch models; importing it imports nothing heavy.

The commands are functions here: `tunewright.tune("pairs", "data.dir=FOLDER", trials=100)`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewright.cli.commands.classification import benchmark, ensemble, predict
    from tunewright.cli.commands.compression import bd_rate, compress, decompress
    from tunewright.cli.commands.images import augment, models
    from tunewright.cli.commands.run import evaluate, lr_find, replay, show, train
    from tunewright.cli.commands.search import plan, plan_training, space, tune
    from tunewright.cli.commands.study import analyze, dashboard, repair
    from tunewright.cli.commands.submission import check, export, submit

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
    "plan_training",
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
    """Return a command as a function; commands are imported on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'tunewright' has no attribute {name!r}")
    from tunewright.cli import commands

    return getattr(commands, name)
