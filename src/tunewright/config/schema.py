"""The configuration of every recipe: keys, types and defaults.

Torch-free. A recipe adds its own sections (`data`, `model`, `loss`, ...) in a subclass of
`RunConfig`. A section that exists in several kinds is a union discriminated by its key `type`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, model_validator

from tunewright.config.section import Count, Fraction, NotNegative, Positive, Section, distinct
from tunewright.config.study_schema import StudyConfig

OF_STUDIES = ("study", "space", "executor", "stages")
"""Sections that only a study reads."""


class AdamWConfig(Section):
    """AdamW (Loshchilov & Hutter 2019); no decay on biases, norms and learnable scalars."""

    type: Literal["adamw"] = "adamw"
    lr: Positive = 1e-4
    weight_decay: NotNegative = 0.01
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8


class SgdConfig(Section):
    """Stochastic gradient descent with (Nesterov) momentum."""

    type: Literal["sgd"] = "sgd"
    lr: Positive = 0.1
    weight_decay: NotNegative = 5e-4
    momentum: Fraction = 0.9
    nesterov: bool = True


Optim = Annotated[AdamWConfig | SgdConfig, Field(discriminator="type")]


class WarmupConfig(Section):
    """Linear warm-up from zero, in steps, or epochs, or a fraction of all steps."""

    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    warmup_epochs: NotNegative | None = None
    warmup_fraction: Fraction = 0.0


class ConstantSchedule(WarmupConfig):
    """The learning rate stays as it is after the warm-up."""

    type: Literal["constant"] = "constant"


class CosineSchedule(WarmupConfig):
    """Half a cosine down to `final_fraction` of the learning rate."""

    type: Literal["cosine"] = "cosine"
    final_fraction: Fraction = 0.0


class LinearSchedule(WarmupConfig):
    """A straight line down to `final_fraction` of the learning rate."""

    type: Literal["linear"] = "linear"
    final_fraction: Fraction = 0.0


class StepSchedule(WarmupConfig):
    """The learning rate is multiplied by `decay` after every `every_fraction` of the training."""

    type: Literal["step"] = "step"
    every_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    decay: Fraction = 0.1


def _ascending(fractions: tuple[float, ...]) -> tuple[float, ...]:
    if sorted(set(fractions)) != list(fractions):
        raise ValueError("fractions of the training, each larger than the one before it")
    return fractions


class MilestoneSchedule(WarmupConfig):
    """The learning rate is multiplied by each of `factors` from that fraction of the training on.

    Before the first fraction the factor is 1. factors: of the full learning rate, not of the one
    before.
    """

    type: Literal["milestones"] = "milestones"
    fractions: Annotated[
        tuple[Fraction, ...], Field(strict=False, min_length=1), AfterValidator(_ascending)
    ] = (0.5, 0.75)
    factors: Annotated[tuple[Fraction, ...], Field(strict=False)] = (0.1, 0.01)

    @model_validator(mode="after")
    def _matching(self) -> Self:
        if len(self.fractions) != len(self.factors):
            raise ValueError(
                f"as many factors as fractions, but there are {len(self.factors)} and "
                f"{len(self.fractions)}"
            )
        return self


Schedule = Annotated[
    ConstantSchedule | CosineSchedule | LinearSchedule | StepSchedule | MilestoneSchedule,
    Field(discriminator="type"),
]


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
    plus the epoch it was in. keep_last: states kept after the end (0 = only while it runs).
    keep_best: best weights that are kept. latency: measure the prediction time of one row at the
    end; set by studies that ask for it.
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
    keep_last: Annotated[int, Field(ge=0)] = 1
    keep_best: Count = 1
    checkpoint_seconds: NotNegative = 10.0
    latency: bool = False


class SpaceConfig(Section):
    """How the rules of a search space are applied.

    avoid: whether combinations advised against are tried and tagged, or left out.
    """

    avoid: Literal["warn", "forbid"] = "warn"


class ExecutorConfig(Section):
    """How trials run. isolation: warm workers that live across trials, or one per trial.

    threads: CPU threads per worker (null = its share of the cores). trial_timeout: seconds after
    which a trial fails (null = never). grace_seconds: how long a stop waits for checkpoints.
    retries: how often a trial whose worker was killed is resumed from its last checkpoint.
    memory_gib: the most that a worker may hold (null = no limit), of its GPU where it has one, else
    of RAM; a trial that must run alone may hold the share of all workers.
    """

    type: Literal["local", "inline"] = "local"
    isolation: Literal["worker", "trial"] = "worker"
    threads: Count | None = None
    trial_timeout: Positive | None = None
    retries: Annotated[int, Field(ge=0)] = 1
    grace_seconds: Positive = 15.0
    memory_gib: Positive | None = None


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


class TrackersConfig(Section):
    """Copies of each run for other tools; `{}` enables one with its defaults, null disables it.

    The run folder is complete without any of them.
    """

    tensorboard: TensorBoardConfig | None = None
    mlflow: MLflowConfig | None = None
    wandb: WandbConfig | None = None

    @property
    def names(self) -> list[str]:
        """The enabled trackers."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]


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
    each of them, and report the mean.
    """

    recipe: str
    goal: Goals
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
