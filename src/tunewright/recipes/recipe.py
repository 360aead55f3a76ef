"""What a recipe declares of itself, without torch; the set-up behind it is imported late."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.config.schema import RunConfig
from tunewright.config.tree import Tree
from tunewright.errors import ConfigError, did_you_mean
from tunewright.recipes.direction import says_less
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import COSTS, Direction, Goal, Outcome

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

Run = Callable[[RunFolder, Any, "Reporter"], Outcome]
"""A training from its folder, its checked configuration and a reporter."""


def _no_facts(_config: RunConfig) -> Mapping[str, float]:
    return {}


def _no_fingerprints(_config: RunConfig) -> Mapping[str, str]:
    return {}


def _no_check(_config: RunConfig) -> list[str]:
    return []


def _as_it_is(tree: Tree) -> Tree:
    return tree


@dataclass(frozen=True)
class Recipe:
    """A workload that can be trained and tuned.

    config: its schema. conf: folder of YAML groups with `<name>.yaml` as the top. groups: folders
    of groups that recipes share, searched after `conf`. space: the
    shipped search space, if there is one. metrics: what its task measures, with directions; a
    study chooses its goal among them, or any when only the run itself knows them (none here).
    setup: `module:function` from the checked configuration and a device to a
    `training.task.Setup`. run: `module:function` in place of the trainer, for what does not train
    with it, or the callable itself, which workers then get from the executor, not by name.
    evaluate: `module:function`, what `tunewright evaluate` calls in a worker. evaluate_on:
    `module:function`, what `tunewright evaluate --data` calls there, with a run's path, what is
    named, and a function of one message, (what is done, how much of it, of how much); none
    without it. classifier:
    `module:function` from a run folder and a device to a `inference.classifier.Classifier`,
    from which predictions, ensembles, exports and submissions are made; none without it. It
    opens what has no more than `config.yaml`, `classes.json` and `checkpoints/best.safetensors`.
    compressor: `module:function` from a run folder and a device to a
    `recipes.compression.opened.Opened`, by which pictures are compressed; none without it.
    pictures: `module:function` from a configuration to the `images.dataset.datasets.ImageSets` that
    it trains on, for those that train on pictures.
    searched: the open section whose keys are the user's own, and by whose plain names spaces
    and studies then go; empty for the whole configuration.
    facts: figures of the data that spaces may refer to (`rows`, widths). check_data: raises
    DataError for data that cannot be used, returns notices. fingerprints: what tells the content
    of each set, so that a study does not go on with data that was replaced.
    aliases: foreign keys and flags to config paths; words: foreign values, by path; group_names:
    foreign names of YAML groups. options: flags to options of ours that name a file or folder
    (`space`, `config`, `runs-dir`).
    study_file: settings of ours from the `data:` section of a foreign study file.
    study_names: what a guide calls by another name in a study's folder, and what it stands for.
    """

    name: str
    config: type[RunConfig]
    conf: Path
    space: Path | None
    metrics: Mapping[str, Direction]
    groups: tuple[Path, ...] = ()
    setup: str = ""
    run: str | Run = ""
    evaluate: str = ""
    evaluate_on: str = ""
    classifier: str = ""
    compressor: str = ""
    pictures: str = ""
    searched: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    group_names: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    facts: Callable[[RunConfig], Mapping[str, float]] = _no_facts
    check_data: Callable[[RunConfig], list[str]] = _no_check
    fingerprints: Callable[[RunConfig], Mapping[str, str]] = _no_fingerprints
    study_file: Callable[[Tree], Tree] = _as_it_is
    study_names: Mapping[str, str] = field(default_factory=dict)

    def start(self, folder: RunFolder, config: RunConfig, reporter: "Reporter") -> Outcome:
        """Train in this process; imports the torch wing."""
        if self.run:
            run: Run = import_object(self.run) if isinstance(self.run, str) else self.run
            return run(folder, config, reporter)
        from tunewright.training.start import start

        return start(import_object(self.setup), config, self.goals(config)[0], folder, reporter)

    def path(self, name: str) -> str:
        """The config path of what spaces and studies call `name`."""
        return f"{self.searched}.{name}" if self.searched else name

    def goals(self, config: RunConfig) -> tuple[Goal, ...]:
        """The goals of a configuration.

        Raises ConfigError as `goal` does, for one that is named twice, and where the trainer
        could not tell by the first one which epoch is the best.
        """
        goals = tuple(self.goal(written) for written in config.goals)
        if self.setup and not self.run and goals[0].metric in COSTS:
            raise ConfigError(
                f"the first goal is {goals[0].metric}, which is known only at the end of a run",
                expected="a metric that is measured after each epoch",
                remedy="Put another goal first.",
            )
        if len({goal.metric for goal in goals}) < len(goals):
            raise ConfigError(f"goal = {list(config.goals)}", expected="each metric once")
        return goals

    def goal(self, written: str) -> Goal:
        """The metric and direction of a goal written `metric` or `metric:max|min`.

        Raises ConfigError for a metric that the task does not measure.
        """
        name, _, direction = written.partition(":")
        if direction in ("", "max", "min") and name and self.measures(name):
            return Goal(name, direction or self.direction(name))  # type: ignore[arg-type]
        known = [f"val_{metric}" for metric in self.metrics] or ["its metrics"]
        raise ConfigError(
            f"goal = {written!r}",
            expected=f"one of {', '.join([*known, *COSTS])}, with :max or :min if need be",
            remedy=did_you_mean(name, [*known, *COSTS]),
        )

    def direction(self, name: str) -> Direction:
        """Which way a metric goes unless the goal says so: as declared, else by its name."""
        if self.declares(name):
            return self.metrics[name.removeprefix("val_")]
        return "min" if name in COSTS or says_less(name) else "max"

    def declares(self, name: str) -> bool:
        """Whether the recipe says which way a metric goes."""
        return name.removeprefix("val_") in self.metrics

    def measures(self, name: str) -> bool:
        """Whether a run of this recipe can be judged by what is called `name`."""
        return not self.metrics or self.declares(name) or name in COSTS


def import_object(name: str) -> Callable[..., Any]:
    """The function behind `module:function`."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found
