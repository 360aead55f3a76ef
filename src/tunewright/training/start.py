"""Start a training from a checked configuration: device, automatic choices, then the trainer."""

from collections.abc import Callable
from typing import Any

import torch

from tunewright.config.schema import RunConfig
from tunewright.config.tree import set_leaf
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Goal, Outcome
from tunewright.runs.shared_choice import share_choice
from tunewright.training.autotune.autotune import choose_settings
from tunewright.training.device import default_device
from tunewright.training.reporter import Reporter
from tunewright.training.task import Setup
from tunewright.training.trainer import TrainingPlan, train


def start(
    make_setup: Callable[[Any, torch.device], Setup],
    config: RunConfig,
    goal: Goal,
    folder: RunFolder,
    report: Reporter,
) -> Outcome:
    """Train `config` in `folder`; automatic choices are written into its config first."""
    device = default_device()
    training = config.training
    setup = make_setup(config, device)
    with share_choice(folder) as together:
        choice, notices = choose_settings(setup, config, device, together)
    chosen = dict(setup.resolved)
    if "auto" in (training.precision, training.layout, training.compile):
        chosen["training.precision"] = {"no": "fp32"}.get(choice.precision, choice.precision)
        chosen["training.layout"] = choice.layout
        chosen["training.compile"] = "always" if choice.compiled else "never"
    if chosen:
        tree = folder.read_config()
        for path, value in chosen.items():
            set_leaf(tree, path, value)
        folder.write_config(tree)
    for name, content in setup.extra_files.items():
        write_json(folder.path / name, content)
    for notice in [*setup.notices, *notices]:
        print(notice)
    plan = TrainingPlan(config, *goal, choice.precision, choice.layout, choice.compiled)
    return train(setup, plan, report, folder)
