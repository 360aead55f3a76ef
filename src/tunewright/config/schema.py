"""The configuration of every recipe: what may be set, of which type, with which default.

Torch-free. A recipe adds its own sections (`data`, `model`, `loss`, ...) in a subclass of
`RunConfig`. A section that exists in several kinds is a union told apart by its key `type`.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)

from tunewright.runs.quantities import seconds_of

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
T = TypeVar("T")


def _distinct(items: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(items)) < len(items):
        raise ValueError("each of them once")
    return items


class Section(BaseModel):
    """A frozen, strict part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class AdamW(Section):
    """Loshchilov & Hutter 2019; decay spares biases, norms and learnable scalars."""

    type: Literal["adamw"] = "adamw"
    lr: Positive = 1e-4
    weight_decay: NotNegative = 0.01
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8


class Sgd(Section):
    """Stochastic gradient descent with (Nesterov) momentum."""

    type: Literal["sgd"] = "sgd"
    lr: Positive = 0.1
    weight_decay: NotNegative = 5e-4
    momentum: Fraction = 0.9
    nesterov: bool = True


Optim = Annotated[AdamW | Sgd, Field(discriminator="type")]


class Warmup(Section):
    """Linear warm-up from zero, over so many steps, else epochs, else a fraction of all steps."""

    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    warmup_epochs: NotNegative | None = None
    warmup_fraction: Fraction = 0.0


class Constant(Warmup):
    """The learning rate stays as it is after the warm-up."""

    type: Literal["constant"] = "constant"


class Cosine(Warmup):
    """Half a cosine down to `final_fraction` of the learning rate."""

    type: Literal["cosine"] = "cosine"
    final_fraction: Fraction = 0.0


class Linear(Warmup):
    """A straight line down to `final_fraction` of the learning rate."""

    type: Literal["linear"] = "linear"
    final_fraction: Fraction = 0.0


class Step(Warmup):
    """Multiplied by `decay` after every `every_fraction` of the training."""

    type: Literal["step"] = "step"
    every_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    decay: Fraction = 0.1


Schedule = Annotated[Constant | Cosine | Linear | Step, Field(discriminator="type")]


class Training(Section):
    """How long and how to train; the same for every recipe.

    batch_size: rows a step, all micro-batches together. accumulate: micro-batches a step.
    patience: epochs without a better score before stopping early (null = never); better by more
    than min_delta, while the best weights are those of the best score, by however little.
    layout: of pictures in memory; compile: with torch.compile. Where they and precision are
    `auto`, recipes with large networks try on the first batch what pays, and write it down.
    checkpoint_seconds: at least this long between two resumable checkpoints; a killed run
    computes at most this much again, plus the epoch it was in. keep_last: states that stay
    after the end (0 = only while it runs). keep_best: best weights that stay. latency: measure
    at the end how long the prediction of one row takes; set by studies that ask for it.
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


class Tpe(Section):
    """Tree-structured Parzen estimator, multivariate, grouped by branch (Watanabe 2023)."""

    type: Literal["tpe"] = "tpe"
    startup_trials: Count = 10


class Random(Section):
    """Independent uniform draws."""

    type: Literal["random"] = "random"


class Grid(Section):
    """Every point of a finite space, in order, each once."""

    type: Literal["grid"] = "grid"


class QuasiRandom(Section):
    """A scrambled Sobol sequence (Owen 1998), which fills the space more evenly than chance."""

    type: Literal["quasi_random"] = "quasi_random"


class Gp(Section):
    """Gaussian process with log expected improvement; learns from trials that were not stopped."""

    type: Literal["gp"] = "gp"
    startup_trials: Count = 10


class CmaEs(Section):
    """Covariance matrix adaptation (Hansen 2016), for two or more numbers without conditions."""

    type: Literal["cma_es"] = "cma_es"


Sampler = Annotated[Tpe | Random | Grid | QuasiRandom | Gp | CmaEs, Field(discriminator="type")]


class Asha(Section):
    """Asynchronous successive halving (Li et al. 2020), rungs counted in epochs completed.

    The rungs are `min_resource * reduction_factor ** (k + min_early_stopping_rate)`.
    """

    type: Literal["asha"] = "asha"
    min_resource: Count = 2
    reduction_factor: Annotated[int, Field(ge=2)] = 2
    min_early_stopping_rate: Annotated[int, Field(ge=0)] = 0


class Hyperband(Section):
    """Brackets of successive halving that start later and later (Li et al. 2018).

    The brackets are `asha` with `min_early_stopping_rate` 0, 1, ..., as many as fit.
    """

    type: Literal["hyperband"] = "hyperband"
    min_resource: Count = 1
    reduction_factor: Annotated[int, Field(ge=2)] = 3


class Median(Section):
    """Stop what is worse, at its best, than the median of finished trials at the same epoch.

    startup_trials: trials that must have run to their end before. warmup_steps: epochs
    before the first decision. interval_steps: epochs from one decision to the next.
    """

    type: Literal["median"] = "median"
    startup_trials: Annotated[int, Field(ge=0)] = 5
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    interval_steps: Count = 1


class Percentile(Section):
    """As `median`, but only the best `percentile` per cent go on."""

    type: Literal["percentile"] = "percentile"
    percentile: Annotated[float, Field(ge=0.0, le=100.0)] = 25.0
    startup_trials: Annotated[int, Field(ge=0)] = 5
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    interval_steps: Count = 1


class NoPruner(Section):
    """Every trial runs to its end."""

    type: Literal["none"] = "none"


class Patient(Section):
    """Let `wrapped` decide only on trials without a better score for `patience` epochs.

    min_delta: how much worse the latest epochs must be than what came before. wrapped: the
    pruner that is asked then; with `none`, the trial is stopped without asking.
    """

    type: Literal["patient"] = "patient"
    patience: Annotated[int, Field(ge=0)] = 3
    min_delta: NotNegative = 0.0
    wrapped: Annotated[
        Asha | Hyperband | Median | Percentile | NoPruner, Field(discriminator="type")
    ] = Median()


Pruner = Annotated[
    Asha | Hyperband | Median | Percentile | Patient | NoPruner, Field(discriminator="type")
]


class Study(Section):
    """The search. trials: the total, also after a resume. jobs: trials at once (null = auto).

    seeds: runs a configuration, each with a seed of its own; the sampler is told their mean.
    The first goes through the pruner, the others only run when it reaches its end.
    constraints: such as `size_mib <= 10`, on metrics and on what runs cost
    (`runs.record.COSTS`); a trial that breaks one never wins, and the sampler learns from it.
    final: train the winner in full afterwards. timeout: seconds for the search, then it
    pauses and can be resumed. budget: seconds for a whole call, the final training and the
    evaluation included, also as `45m`, `8h`, `1h30m`. outage_seconds: how long a database
    server that goes away in mid-study is waited for.
    """

    name: str | None = None
    trials: Count = 40
    jobs: Count | None = None
    timeout: Positive | None = None
    budget: Annotated[float, BeforeValidator(seconds_of)] | None = None
    storage: str | None = None
    outage_seconds: NotNegative = 60.0
    seed: int = 0
    seeds: Count = 1
    constraints: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_distinct)] = ()
    final: bool = True
    sampler: Sampler = Tpe()
    pruner: Pruner = Asha()


class Executor(Section):
    """Where trials run. isolation: warm workers that live across trials, or one a trial.

    threads: CPU threads a worker (null = its share of the cores). retries: how often a trial
    whose worker was killed is taken up again from its last checkpoint. memory_gib: the most
    that a worker may hold (null = no limit), of its GPU where it has one, else of RAM; a trial
    that must run alone may hold the share of all workers.
    """

    type: Literal["local", "inline"] = "local"
    isolation: Literal["worker", "trial"] = "worker"
    threads: Count | None = None
    trial_timeout: Positive | None = None
    retries: Annotated[int, Field(ge=0)] = 1
    grace_seconds: Positive = 15.0
    memory_gib: Positive | None = None


class Stages(Section):
    """What a stage replaces in the configuration: nested like the configuration itself."""

    explore: dict[str, Any] = Field(default_factory=dict)
    final: dict[str, Any] = Field(default_factory=dict)


class TensorBoard(Section):
    """Event files in the run folders: `tensorboard --logdir runs`."""


class MLflow(Section):
    """uri: null is `mlflow.db` in the folder of all runs. experiment: null is the study."""

    uri: str | None = None
    experiment: str | None = None


class WandB(Section):
    """Weights & Biases; offline, it stays in the run folders until `wandb sync` is typed."""

    mode: Literal["offline", "online"] = "offline"
    project: str = "tunewright"
    entity: str | None = None


class Trackers(Section):
    """Copies of each run for other tools; `{}` takes one with its defaults, null leaves it out.

    The run folder is complete without any of them.
    """

    tensorboard: TensorBoard | None = None
    mlflow: MLflow | None = None
    wandb: WandB | None = None

    @property
    def names(self) -> list[str]:
        """Those that are asked for."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]


def _goals(written: Any) -> str | tuple[str, ...]:
    if isinstance(written, str):
        return written
    if isinstance(written, list | tuple) and written and all(isinstance(w, str) for w in written):
        return _distinct(tuple(written))
    raise ValueError("a metric, or a list of them")


def _plain(goals: str | tuple[str, ...]) -> str | list[str]:
    return goals if isinstance(goals, str) else list(goals)


# Not a union of kinds: a wrong goal would be told once for each.
Goals = Annotated[str | tuple[str, ...], PlainValidator(_goals), PlainSerializer(_plain)]


class RunConfig(Section):
    """What every recipe has.

    goal: `metric` or `metric:min`, chosen among the task's and what every run costs
    (`runs.record.COSTS`); or several, of which the first prunes and picks the winner.
    """

    recipe: str
    goal: Goals
    seed: int = 42
    seeds: Annotated[tuple[int, ...], Field(strict=False), AfterValidator(_distinct)] = ()
    optim: Optim = AdamW()
    schedule: Schedule = Constant()
    training: Training = Training()
    study: Study = Study()
    executor: Executor = Executor()
    stages: Stages = Stages()
    trackers: Trackers = Trackers()

    @property
    def goals(self) -> tuple[str, ...]:
        """The goals as they are written, the first one first."""
        return (self.goal,) if isinstance(self.goal, str) else self.goal
