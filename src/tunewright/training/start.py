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
from tunewright.training.autotune.timing_cache import StepSettings
from tunewright.training.device import default_device
from tunewright.training.ranks.ranks import ALONE, Ranks
from tunewright.training.reporter import Reporter
from tunewright.training.task import Setup
from tunewright.training.trainer import TrainingPlan, train


def start(
    make_setup: Callable[[Any, torch.device], Setup],
    config: RunConfig,
    goal: Goal,
    folder: RunFolder,
    report: Reporter,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Train `config` in `folder`; automatic choices are written into its config first.

    ranks: the processes that train together; rank 0 chooses for all.
    """
    device = default_device()
    training = config.training
    setup = make_setup(config, device)
    choice, notices = ranks.from_leader(_choose(setup, config, device, folder, ranks))
    if not ranks.leads:
        return train(setup, _plan(config, goal, choice), report, folder, ranks)
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
    return train(setup, _plan(config, goal, choice), report, folder, ranks)


def _choose(
    setup: Setup, config: RunConfig, device: torch.device, folder: RunFolder, ranks: Ranks
) -> tuple[StepSettings, list[str]]:
    """Return the settings of the steps and notices on them; on other ranks than 0 anything."""
    if not ranks.leads:
        return StepSettings("no", "contiguous"), []
    if not ranks.alone:  # their exchanges cannot be compiled
        compiles = {"compile": "never"}
        config = config.model_copy(update={"training": config.training.model_copy(update=compiles)})
    with share_choice(folder) as together:
        return choose_settings(setup, config, device, together)


def _plan(config: RunConfig, goal: Goal, choice: StepSettings) -> TrainingPlan:
    return TrainingPlan(config, *goal, choice.precision, choice.layout, choice.compiled)
