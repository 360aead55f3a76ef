"""From a checked configuration to a running training: device, precision, then the trainer."""

from collections.abc import Callable
from typing import Any

import torch

from tunewright.config.schema import RunConfig
from tunewright.config.tree import put
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Goal, Outcome
from tunewright.training.precision import cpu_precision
from tunewright.training.reporter import Reporter
from tunewright.training.task import Setup
from tunewright.training.trainer import Plan, resolve_precision, train


def start(
    make_setup: Callable[[Any, torch.device], Setup],
    config: RunConfig,
    goal: Goal,
    folder: RunFolder,
    report: Reporter,
) -> Outcome:
    """Train `config` in `folder`; automatic choices are written into its config first."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    setup = make_setup(config, device)
    precision = resolve_precision(config.training.precision, cpu=device.type == "cpu")
    chosen = dict(setup.chosen)
    if config.training.precision == "auto":
        if device.type == "cpu":
            precision = cpu_precision(setup.model, config.training.batch_size)
        chosen["training.precision"] = {"no": "fp32"}.get(precision, precision)
    if chosen:
        tree = folder.read_config()
        for path, value in chosen.items():
            put(tree, path, value)
        folder.write_config(tree)
    for notice in setup.notices:
        print(notice)
    return train(setup, Plan(config, *goal, precision), report, folder)
