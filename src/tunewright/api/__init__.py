"""The commands as functions of the same names, for notebooks, scripts and the command line.

Words are what one types: a recipe or a file, then overrides (`"optim.lr=1e-3"`).
"""

from tunewright.api.compression import bd_rate, compress, decompress
from tunewright.api.delivery import benchmark, check, ensemble, export, predict, submit
from tunewright.api.studies import analyze, dashboard, plan, repair, space, tune
from tunewright.api.trainings import augment, evaluate, lr_find, models, replay, show, train

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
