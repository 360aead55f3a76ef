"""The configuration of every recipe: keys, types and defaults.

Torch-free. A recipe adds its own sections (`data`, `model`, `loss`, ...) in a subclass of
`RunConfig`. A section that exists in several kinds is a union discriminated by its key `type`.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    create_model,
    model_validator,
)

from tunewright.config.components.executors import ExecutorConfig as ExecutorConfig
from tunewright.config.components.optimizers import AdamWConfig as AdamWConfig
from tunewright.config.components.optimizers import Optim as Optim
from tunewright.config.components.optimizers import SgdConfig as SgdConfig
from tunewright.config.components.plugins import TRACKERS, refuse_plugin_options
from tunewright.config.components.schedules import ConstantSchedule as ConstantSchedule
from tunewright.config.components.schedules import CosineSchedule as CosineSchedule
from tunewright.config.components.schedules import LinearSchedule as LinearSchedule
from tunewright.config.components.schedules import MilestoneSchedule as MilestoneSchedule
from tunewright.config.components.schedules import Schedule as Schedule
from tunewright.config.components.schedules import StepSchedule as StepSchedule
from tunewright.config.section import Count, NotNegative, Positive, Section, distinct
from tunewright.config.study_schema import StudyConfig
from tunewright.registry import plugin_names

OF_STUDIES = ("study", "space", "executor", "stages")
"""Sections that only a study reads."""


def _count_or_all(written: Any) -> int | Literal["all"]:
    if written == "all" or (type(written) is int and written >= 0):
        return written  # type: ignore[no-any-return]
    raise ValueError("a whole number from 0, or all")


# Not a plain union of types: a wrong value would be reported once for each.
Kept = Annotated[int | Literal["all"], PlainValidator(_count_or_all)]
"""How many checkpoints are kept."""


def kept_of(kept: Kept) -> int:
    """Return the number of checkpoints that `kept` allows; a very large one for `all`."""
    return sys.maxsize if kept == "all" else kept


class TrainingConfig(Section):
    """The length and method of training; the same for every recipe.

    epochs: passes over the training set. batch_size: rows per step, all micro-batches together.
    accumulate: micro-batches per step. clip_norm: largest norm of the gradient (null = not
    clipped). precision: of the arithmetic, mixed for bf16 and fp16. ema_decay: of an average of the
    weights over steps, which is then evaluated and kept (null = none). patience: epochs without a
    better score before stopping early (null = never). min_delta: how much better counts for
    patience; the best weights are those of the best score, by however little. layout: of images in
    memory. compile: with torch.compile. Where these and precision are `auto`, recipes with large
    networks benchmark the options on the first batch and store the choice. checkpoint_seconds:
    least time between two resumable checkpoints; a killed run computes at most this much again,
    plus the epoch it was in. keep_last: states kept after the end, of the last epochs where more
    than 1 (0 = only while it runs, `all` = of every epoch). keep_best: best weights that are kept
    (0 = none, `all` = of every epoch). keep_predictions: keep what the best epoch predicted for the
    validation set, in `validation_predictions.safetensors` (recipes that classify). latency:
    measure the prediction time of one row at the end; set by studies that ask for it.
    """

    epochs: Count = 50
    batch_size: Count = 512
    accumulate: Count = 1
    clip_norm: Positive | None = 1.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    compile: Literal["auto", "never", "always"] = "auto"
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    patience: Count | None = None
    min_delta: NotNegative = 0.0
    keep_last: Kept = 1
    keep_best: Kept = 1
    keep_predictions: bool = False
    checkpoint_seconds: NotNegative = 10.0
    latency: bool = False


class SpaceConfig(Section):
    """How the rules of a search space are applied.

    avoid: whether combinations advised against are tried and tagged, or left out.
    """

    avoid: Literal["warn", "forbid"] = "warn"


class StagesConfig(Section):
    """The overrides of each stage, nested like the configuration itself.

    explore: of the trials. final: of the training of the winner.
    """

    explore: dict[str, Any] = Field(default_factory=dict)
    final: dict[str, Any] = Field(default_factory=dict)


class TensorBoardConfig(Section):
    """Event files in the run folders: `tensorboard --logdir runs`."""


class MLflowConfig(Section):
    """MLflow tracking.

    uri: null is `mlflow.db` in the folder of all runs. experiment: null is the study.
    """

    uri: str | None = None
    experiment: str | None = None


class WandbConfig(Section):
    """Weights & Biases.

    mode: offline data stays in the run folders until `wandb sync` is run. project, entity: where
    the runs belong.
    """

    mode: Literal["offline", "online"] = "offline"
    project: str = "tunewright"
    entity: str | None = None


class PluginTracker(Section):
    """The tracker of an installed package; its keys are the keyword arguments of the tracker."""

    model_config = ConfigDict(extra="allow")


class TrackersConfig(Section):
    """Copies of each run for other tools; `{}` enables one with its defaults, null disables it.

    The run folder is complete without any of them.
    """

    tensorboard: TensorBoardConfig | None = None
    mlflow: MLflowConfig | None = None
    wandb: WandbConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_absent_packages(cls, given: Any) -> Any:
        """Leave out trackers that are disabled and not installed, as in another machine's run."""
        if not isinstance(given, Mapping):
            return given
        return {k: v for k, v in given.items() if k in cls.model_fields or v is not None}

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        for name in self.names:
            section = getattr(self, name)
            if isinstance(section, PluginTracker):
                refuse_plugin_options(TRACKERS, name, section.model_dump(), what="tracker")
        return self

    @property
    def names(self) -> list[str]:
        """The enabled trackers."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]


if not TYPE_CHECKING:
    TrackersConfig = create_model(
        "TrackersConfig",
        __base__=TrackersConfig,
        __doc__=TrackersConfig.__doc__,
        __module__=__name__,
        **{
            name: (PluginTracker | None, None)
            for name in plugin_names(TRACKERS)
            if name not in TrackersConfig.model_fields
        },
    )


def _goals(written: Any) -> str | tuple[str, ...]:
    if isinstance(written, str):
        return written
    if isinstance(written, list | tuple) and written and all(isinstance(w, str) for w in written):
        return distinct(tuple(written))
    raise ValueError("a metric, or a list of them")


def _plain(goals: str | tuple[str, ...]) -> str | list[str]:
    return goals if isinstance(goals, str) else list(goals)


# Not a union of types: a wrong goal would be reported once for each.
Goals = Annotated[str | tuple[str, ...], PlainValidator(_goals), PlainSerializer(_plain)]


class RunConfig(Section):
    """The sections that every recipe has.

    recipe: its name. goal: `metric` or `metric:min`, among the task's metrics and the costs of
    every run (`runs.record.COSTS`); or several, of which the first prunes and picks the winner.
    seed: of the training, and of the search where `study.seed` is not set. seeds: train once with
    each of them, and report the mean. fidelity: how much of the data and of the time a training may
    spend, by a name that the recipe declares; it has set other keys where nobody typed them.

    A recipe's own schema says in `implied` what a switch that is true sets in place of shipped
    values: values by path, by the path of the switch.
    """

    implied: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    recipe: str
    goal: Goals
    fidelity: str | None = None
    seed: int = 42
    seeds: Annotated[tuple[int, ...], Field(strict=False), AfterValidator(distinct)] = ()
    optim: Optim = AdamWConfig()
    schedule: Schedule = ConstantSchedule()
    training: TrainingConfig = TrainingConfig()
    study: StudyConfig = StudyConfig()
    space: SpaceConfig = SpaceConfig()
    executor: ExecutorConfig = ExecutorConfig()
    stages: StagesConfig = StagesConfig()
    trackers: TrackersConfig = TrackersConfig()

    @property
    def goals(self) -> tuple[str, ...]:
        """The goals as written, the first one first."""
        return (self.goal,) if isinstance(self.goal, str) else self.goal
