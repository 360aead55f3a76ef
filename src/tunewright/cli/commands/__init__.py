"""The commands, each of them a function of the package too, in the order of `--help`."""

# isort: off
from tunewright.cli.commands.search import plan, plan_training, space, tune
from tunewright.cli.commands.study import status, analyze, report, audit, dashboard, repair
from tunewright.cli.commands.narrowing import narrow
from tunewright.cli.commands.comparison import compare
from tunewright.cli.commands.run import evaluate, lr_find, replay, schedule, show, train
from tunewright.cli.commands.classification import benchmark, ensemble, predict
from tunewright.cli.commands.submission import check, export, submit
from tunewright.cli.commands.compression import bd_rate, compress, decompress
from tunewright.cli.commands.images import augment, models

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
