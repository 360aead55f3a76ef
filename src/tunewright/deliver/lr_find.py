"""`tunewright lr-find`: a learning-rate sweep of a configuration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewright.config.check import validate
from tunewright.config.compose import Composition
from tunewright.config.tree import Tree
from tunewright.errors import ConfigError, UsageError
from tunewright.executors.resources import threads_each
from tunewright.executors.subprocess_call import call
from tunewright.recipes.fidelity import check_before_training
from tunewright.recipes.recipe import Recipe, import_object
from tunewright.recipes.registry import find_recipe
from tunewright.report.figures import write_lr_curve
from tunewright.result import Result
from tunewright.runs.atomic import write_json

FEWEST_STEPS = 20


@dataclass(frozen=True)
class LrSweep(Result):
    """A learning-rate sweep: its losses, and the rates that they suggest.

    lr: the rate of the configuration. rates, losses, smoothed, diverged, suggestions, reason: see
    `training.lr_finder.LrCurve`. files: in `folder`. words: what names the configuration, for the
    next command.
    """

    recipe: str
    optimizer: str
    lr: float
    low: float
    high: float
    steps: int
    notices: Sequence[str]
    rates: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    diverged: bool
    suggestions: Mapping[str, float] | None
    reason: str
    folder: Path
    files: tuple[str, ...]
    words: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return all fields but the words."""
        return {name: one for name, one in super().as_json().items() if name != "words"}


def lr_find(
    recipe: Recipe,
    composed: Composition,
    *,
    runs: Path = Path("runs"),
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
) -> LrSweep:
    """Sweep the learning rate of `composed`, from the weights that its training would start with.

    Writes `lr_curve.json` and `lr_curve.html` to `runs/lr-find-<recipe>`, over those of an
    earlier sweep. Raises UsageError for a range that cannot be swept, ConfigError for a recipe that
    does not use the trainer.
    """
    if not 0.0 < low < high < math.inf:
        raise UsageError(
            f"the range {low:g} to {high:g}", expected="0 < low < high, such as 1e-7 to 10"
        )
    if steps < FEWEST_STEPS:
        raise UsageError(f"{steps} steps", expected=f"at least {FEWEST_STEPS}")
    if not recipe.setup:
        raise ConfigError(
            f"the recipe {recipe.name} brings its own training",
            expected="a recipe with a model and an optimizer to sweep",
            remedy="Search its learning rate with tunewright tune instead.",
        )
    config = composed.config
    notices = [*composed.notices, *check_before_training(recipe, config)]
    arguments = (recipe.name, composed.tree, low, high, steps)
    if config.executor.type == "inline":
        curve = _sweep(*arguments)
    else:
        curve = call(_sweep, *arguments, threads=threads_each(config.executor))
    result = {
        "recipe": recipe.name,
        "optimizer": config.optim.type,
        "lr": config.optim.lr,
        "low": low,
        "high": high,
        "steps": steps,
        "notices": notices,
        **curve,
    }
    folder = runs / f"lr-find-{recipe.name}"
    write_json(folder / "lr_curve.json", result)
    write_lr_curve(
        curve["rates"],
        curve["losses"],
        curve["smoothed"],
        folder / "lr_curve.html",
        marks={**(curve["suggestions"] or {}), "optim.lr now": config.optim.lr},
        title=f"{recipe.name}: "
        + (f"no suggestion, {curve['reason']}" if curve["reason"] else f"{steps} steps"),
    )
    return LrSweep(**result, folder=folder, files=("lr_curve.json", "lr_curve.html"))


def _sweep(name: str, tree: Tree, low: float, high: float, steps: int) -> dict[str, Any]:
    """Return the curve as plain values; imports torch in the process that calls it."""
    from tunewright.training.device import default_device
    from tunewright.training.lr_finder import find_lr
    from tunewright.training.randomness import random_state, restore_random_state, seed_all

    recipe = find_recipe(name)
    config = validate(tree, recipe.config)
    device = default_device()
    before = random_state()
    try:
        seed_all(config.seed)  # as a run does, so that the first weights are those of the run
        setup = import_object(recipe.setup)(config, device)
        return asdict(find_lr(setup, config, low=low, high=high, steps=steps))
    finally:
        restore_random_state(before)
