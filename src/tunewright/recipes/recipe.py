"""What a recipe declares, without torch; its set-up is imported only when it is needed."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.config.dialect import Dialect
from tunewright.config.schema import RunConfig
from tunewright.errors import ConfigError, did_you_mean
from tunewright.recipes.direction import direction_of
from tunewright.recipes.scheduled_values import ScheduledValue, learning_rate
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import COSTS, Direction, Goal, Outcome, StudyRecord
from tunewright.spaces.space import Space
from tunewright.training.schedule import FINE

if TYPE_CHECKING:
    from tunewright.training.ranks.ranks import Ranks
    from tunewright.training.reporter import Reporter

Run = Callable[[RunFolder, Any, "Reporter"], Outcome]
"""A training: from a run folder, a validated configuration and a reporter to an outcome."""

UNKNOWN_EPOCHS = 1_000_000
"""`training.epochs` of a recipe that cannot know how long a run is before one has ended."""
CAPABILITIES = {
    "evaluate": "has no evaluation",
    "evaluate_on": "is evaluated on its own data only",
    "classifier": "has no classifier",
    "compressor": "does not compress pictures",
    "pictures": "has no pictures of classes",
}
"""What recipes may offer besides a training, and what a recipe without it is told."""

TRAIN_AGAIN = (
    "Complete: tunewright train THIS_FILE, or tunewright tune THIS_FILE --name NEW to search "
    "around it."
)

_MOVED = {
    **{name: f'capabilities={{"{name}": ...}}' for name in CAPABILITIES},
    **{name: f"dialect=Dialect({name}=...)" for name in Dialect.__dataclass_fields__},
}
"""Former arguments of `Recipe`, and where each stands now."""


def _no_facts(_config: RunConfig) -> Mapping[str, float]:
    return {}


def _no_fingerprints(_config: RunConfig) -> Mapping[str, str]:
    return {}


def _no_schedules(_config: RunConfig) -> Sequence[ScheduledValue]:
    return ()


def _no_search_files(_study: StudyFolder, _record: StudyRecord) -> None:
    return


def _no_run_files(_run: RunFolder) -> None:
    return


def _no_check(_config: Any) -> list[str]:
    return []


def _no_repeats(_config: RunConfig) -> str:
    return ""


def _no_check_of_run(_config: RunConfig, _space: Space | None) -> list[str]:
    return []


@dataclass(frozen=True)
class NamedFidelity:
    """A fidelity that a recipe declares by name; `fidelity=NAME` chooses it.

    values: what it sets where nobody typed another value, by config path. fractions: by the path of
    a value that counts steps from 1 on and is a fraction below, the steps of the full run that the
    count is meant for; here it becomes a fraction of them. check: called before a training or a
    search with its configuration; returns notices, raises ConfigError.
    """

    values: Mapping[str, Any]
    fractions: Mapping[str, Callable[[Any], int]] = field(default_factory=dict)
    check: Callable[[Any], list[str]] = _no_check


@dataclass(frozen=True)
class Recipe:
    """A workload that can be trained and tuned.

    config: the schema of its configuration. conf: the folder of its YAML groups, with
    `<name>.yaml` at the top. groups: folders of groups shared with other recipes, searched after
    `conf`. space: the shipped search space, if there is one.
    metrics: what its task measures, with directions; a study's goal is one of them, or any metric
    if this is empty because only the run knows its metrics.

    In the following, `module:function` names a function that is imported when it is called; an
    empty string means that the recipe does not offer it.
    setup: from a validated configuration and a device to a `training.task.Setup`.
    run: replaces the trainer, for workloads that do not train with it. It may be the callable
    itself, which workers then get from the executor.
    capabilities: what else the recipe offers, by name; `capabilities.find_capability` looks one up.
    Known are
    `evaluate`: called by `tunewright evaluate`, in a worker, with a run's path and a split;
    `evaluate_on`: called by `tunewright evaluate --data`, in a worker, with a run's path, the path
    of the data and a callback for progress messages (what is being done, how much, of how much);
    `classifier`: from a run folder and a device to a
    `classification.inference.classifier.Classifier`, for predictions, ensembles, exports and
    submissions, from no more than `config.yaml`, `classes.json` and `checkpoints/best.safetensors`;
    `compressor`: from a run folder and a device to a
    `recipes.compression.codec.trained_compressor.TrainedCompressor`;
    `pictures`: from a configuration to the `images.dataset.datasets.ImageSets` that it trains on.

    space_alone: a space file that is laid over `space` where the user gives none. switched_spaces:
    by the path of a switch of the configuration, the space file that takes the place of both where
    it is true. grid_space: the space file in place of `space` with the sampler `grid`, which tries
    all of it; the winner is then trained in full only where that is asked for.
    fidelities: how much a training may spend, by the name that the key `fidelity` takes.
    open_section: the config section whose keys are the user's own; spaces and studies then use the
    plain names in it. Empty: they use paths in the whole configuration.
    data_facts: numbers of the data that spaces may refer to (`rows`, widths). check_data: raises
    DataError for data that cannot be used, and returns notices. fingerprints: a hash of each set's
    content, so that a study does not continue with replaced data.
    schedules: what follows the clock of a training besides the learning rate, in a configuration;
    raises ConfigError for a schedule that does not fit the length of the run.
    search_files, run_files: write what a guide expects into the folder of a study after a search,
    and into that of a run after its training and after its evaluation.
    check_run: called before the first trial with the space that is searched, and before a single
    run with None; raises ConfigError for what cannot run, and returns notices.
    dialect: how a guide spells what the recipe understands.
    heat_maps: parameters that a study's report draws against each other, where both are searched.
    usage: what a study's `best_config.yaml` says about its use, in its first lines.
    repeats: says why runs of a configuration with different seeds may repeat one another; empty
    where the seed reaches the training.
    define_by_run: whether trials name their parameters while they run, so that there is no space
    before.
    """

    name: str
    config: type[RunConfig]
    conf: Path
    space: Path | None
    metrics: Mapping[str, Direction]
    groups: tuple[Path, ...] = ()
    setup: str = ""
    run: str | Run = ""
    capabilities: Mapping[str, str] = field(default_factory=dict)
    space_alone: Path | None = None
    switched_spaces: Mapping[str, Path] = field(default_factory=dict)
    grid_space: Path | None = None
    fidelities: Mapping[str, NamedFidelity] = field(default_factory=dict)
    open_section: str = ""
    data_facts: Callable[[RunConfig], Mapping[str, float]] = _no_facts
    check_data: Callable[[RunConfig], list[str]] = _no_check
    fingerprints: Callable[[RunConfig], Mapping[str, str]] = _no_fingerprints
    schedules: Callable[[RunConfig], Sequence[ScheduledValue]] = _no_schedules
    search_files: Callable[[StudyFolder, StudyRecord], None] = _no_search_files
    run_files: Callable[[RunFolder], None] = _no_run_files
    check_run: Callable[[RunConfig, Space | None], list[str]] = _no_check_of_run
    dialect: Dialect = field(default_factory=Dialect)
    heat_maps: tuple[tuple[str, str], ...] = ()
    usage: str = TRAIN_AGAIN
    repeats: Callable[[Any], str] = _no_repeats
    define_by_run: bool = False

    def __new__(cls, *_: Any, **given: Any) -> "Recipe":
        """Refuse arguments of former versions; raises ConfigError that says where they moved."""
        if moved := [f"{name} into {_MOVED[name]}" for name in given if name in _MOVED]:
            raise ConfigError(
                f"the recipe {given.get('name', '')!r} was written for an older version",
                expected="the present arguments of Recipe",
                remedy=f"Move {', '.join(moved)}.",
            )
        return super().__new__(cls)

    @property
    def uses_trainer(self) -> bool:
        """Whether our trainer runs it; a recipe that brings its own has no steps to divide."""
        return bool(self.setup) and not self.run

    def offers(self, capability: str) -> bool:
        """Return whether the recipe has a capability."""
        return bool(self.capabilities.get(capability))

    def start(
        self,
        folder: RunFolder,
        config: RunConfig,
        reporter: "Reporter",
        ranks: "Ranks | None" = None,
    ) -> Outcome:
        """Train in this process; imports the torch wing.

        ranks: the processes that train together, if there are several; only for `uses_trainer`.
        """
        if self.run:
            run: Run = import_object(self.run) if isinstance(self.run, str) else self.run
            return run(folder, config, reporter)
        from tunewright.training.start import start

        setup, goal = import_object(self.setup), self.goals(config)[0]
        if ranks is None:
            return start(setup, config, goal, folder, reporter)
        return start(setup, config, goal, folder, reporter, ranks)

    def scheduled_values(self, config: RunConfig) -> list[ScheduledValue]:
        """Return what follows the clock of a training: the learning rate, then the recipe's own.

        Only a warm-up in steps asks for the number of rows, for which the data are opened.
        """
        steps = FINE
        if config.schedule.warmup_steps is not None:
            rows = self.data_facts(config).get("rows", FINE * config.training.batch_size)
            steps = max(1, int(rows) // config.training.batch_size)
        return [learning_rate(config, steps), *self.schedules(config)]

    def path(self, name: str) -> str:
        """Return the config path of the parameter that spaces and studies call `name`."""
        return f"{self.open_section}.{name}" if self.open_section else name

    def goals(self, config: RunConfig) -> tuple[Goal, ...]:
        """Return the goals of a configuration.

        Raises ConfigError as `goal` does, for a metric that occurs twice, and for a first goal that
        is not measured after each epoch, since it decides which epoch is the best.
        """
        goals = tuple(self.goal(written) for written in config.goals)
        if self.uses_trainer and goals[0].metric in COSTS:
            raise ConfigError(
                f"the first goal is {goals[0].metric}, which is known only at the end of a run",
                expected="a metric that is measured after each epoch",
                remedy="Put another goal first.",
            )
        if len({goal.metric for goal in goals}) < len(goals):
            raise ConfigError(f"goal = {list(config.goals)}", expected="each metric once")
        return goals

    def goal(self, written: str) -> Goal:
        """Parse a goal written `metric` or `metric:max|min`.

        Raises ConfigError for a metric that the task does not measure.
        """
        name, _, direction = written.partition(":")
        if not name and not self.metrics:
            raise ConfigError(
                "no goal is set",
                expected="the name of a metric that a run reports",
                remedy="Name it: --goal val_accuracy:max, or goal: val_accuracy:max in the file.",
            )
        if direction in ("", "max", "min") and name and self.measures(name):
            return Goal(name, direction or self.direction(name))  # type: ignore[arg-type]
        if name and self.measures(name):
            raise ConfigError(
                f"goal = {written!r}", expected=f"{name}:max or {name}:min, or {name} alone"
            )
        known = [f"val_{metric}" for metric in self.metrics] or ["its metrics"]
        raise ConfigError(
            f"goal = {written!r}",
            expected=f"one of {', '.join([*known, *COSTS])}, with :max or :min if need be",
            remedy=did_you_mean(name, [*known, *COSTS]),
        )

    def direction(self, name: str) -> Direction:
        """Return the default direction of a metric: as declared, else guessed from its name."""
        if self.declares(name):
            return self.metrics[name.removeprefix("val_")]
        return direction_of(name)

    def declares(self, name: str) -> bool:
        """Return whether the recipe declares the metric's direction."""
        return name.removeprefix("val_") in self.metrics

    def measures(self, name: str) -> bool:
        """Return whether a run of this recipe may report the metric `name`."""
        return not self.metrics or self.declares(name) or name in COSTS


def import_object(name: str) -> Callable[..., Any]:
    """Import the function behind `module:function`."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found
