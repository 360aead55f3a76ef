"""Tunewright tunes and fine-tunes PyTorch models; importing it imports nothing heavy.

The commands are functions here: `tunewright.tune("pairs", "data.dir=FOLDER", trials=100)`. What
guides use in Python is here too.
"""

TYPE_CHECKING = False  # that of `typing`, whose import would take longer than all else here
if TYPE_CHECKING:
    from typing import Any

    from tunewright.cli.commands.classification import benchmark, ensemble, predict
    from tunewright.cli.commands.comparison import compare
    from tunewright.cli.commands.compression import bd_rate, compress, decompress
    from tunewright.cli.commands.images import augment, models
    from tunewright.cli.commands.narrowing import narrow
    from tunewright.cli.commands.run import evaluate, lr_find, replay, schedule, show, train
    from tunewright.cli.commands.search import plan, plan_training, space, tune
    from tunewright.cli.commands.study import analyze, audit, dashboard, repair, report, status
    from tunewright.cli.commands.submission import check, export, submit
    from tunewright.deliver.checkpoint_accuracy import evaluate_checkpoint as evaluate_checkpoint
    from tunewright.deliver.results.analyzer import (
        HyperparameterAnalyzer as HyperparameterAnalyzer,
    )
    from tunewright.recipes.compression.guide_checkpoints import (
        CheckpointManager as CheckpointManager,
    )

__version__ = "0.1.0"
__all__ = [
    "analyze",
    "audit",
    "augment",
    "bd_rate",
    "benchmark",
    "check",
    "compare",
    "compress",
    "dashboard",
    "decompress",
    "ensemble",
    "evaluate",
    "export",
    "lr_find",
    "models",
    "narrow",
    "plan",
    "plan_training",
    "predict",
    "repair",
    "replay",
    "report",
    "schedule",
    "show",
    "space",
    "status",
    "submit",
    "train",
    "tune",
]


OF_GUIDES = {
    "CheckpointManager": "tunewright.recipes.compression.guide_checkpoints",
    "HyperparameterAnalyzer": "tunewright.deliver.results.analyzer",
    "evaluate_checkpoint": "tunewright.deliver.checkpoint_accuracy",
}
"""What guides use in Python by name, and the modules that it is imported from on first use."""


def __getattr__(name: str) -> "Any":
    """Return a command as a function, or what a guide uses; they are imported on first use."""
    if name in OF_GUIDES:
        import importlib

        return getattr(importlib.import_module(OF_GUIDES[name]), name)
    if name not in __all__:
        raise AttributeError(f"module 'tunewright' has no attribute {name!r}")
    from tunewright.cli import commands

    return getattr(commands, name)
