"""The configuration of a search: samplers, pruners, and the settings of a study."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tunewright.config.components.plugins import (
    PRUNERS,
    SAMPLERS,
    PluginSection,
    with_plugins,
)
from tunewright.config.section import Count, Fraction, NotNegative, Positive, Section, distinct
from tunewright.runs.quantities import seconds_of


class TpeConfig(Section):
    """Tree-structured Parzen estimator, multivariate, grouped by branch (Watanabe 2023).

    startup_trials: random trials before the estimator is used.
    """

    type: Literal["tpe"] = "tpe"
    startup_trials: Count = 10


class RandomConfig(Section):
    """Independent uniform draws."""

    type: Literal["random"] = "random"


class GridConfig(Section):
    """Every point of a finite space, in order, each once."""

    type: Literal["grid"] = "grid"


class QuasiRandomConfig(Section):
    """A scrambled Sobol sequence (Owen 1998), which fills the space more evenly than chance."""

    type: Literal["quasi_random"] = "quasi_random"


class GpConfig(Section):
    """Gaussian process with log expected improvement; learns from trials that were not pruned.

    startup_trials: random trials before the process is used.
    """

    type: Literal["gp"] = "gp"
    startup_trials: Count = 10


class CmaEsConfig(Section):
    """Covariance matrix adaptation (Hansen 2016), for two or more numbers without conditions."""

    type: Literal["cma_es"] = "cma_es"


class CurvesConfig(Section):
    """A process over configurations and learning curves, which also pauses and promotes trials.

    Trials are trained to the first rung and paused there; one in four goes on from its checkpoint
    to a rung four times as far, the one whose predicted score at the end is best. It is pruner and
    sampler in one. startup_trials: trials before the process proposes any, at random or near the
    defaults and other points taken for good. first_rung: epochs before a trial is paused first
    (null = a sixteenth of a training, at least one, until the curves show which step ranks).
    """

    type: Literal["curves"] = "curves"
    startup_trials: Count = 10
    first_rung: Count | None = None


class PluginSampler(PluginSection):
    """A sampler of an installed package. options: its keyword arguments."""

    group, what = SAMPLERS, "sampler"


_Samplers = (
    TpeConfig
    | RandomConfig
    | GridConfig
    | QuasiRandomConfig
    | GpConfig
    | CmaEsConfig
    | CurvesConfig
)
if TYPE_CHECKING:
    Sampler = _Samplers | PluginSampler
else:
    Sampler = with_plugins(_Samplers, PluginSampler)


class AshaConfig(Section):
    """Asynchronous successive halving (Li et al. 2020), rungs counted in epochs completed.

    The rungs are `min_resource * reduction_factor ** (k + min_early_stopping_rate)`. min_resource:
    epochs before the first decision (null = the smallest epoch at which scores rank the trials,
    estimated while they run, 2 until some have finished). reduction_factor: one trial of so many
    goes on at each rung. min_early_stopping_rate: rungs left out at the start.
    """

    type: Literal["asha"] = "asha"
    min_resource: Count | None = None
    reduction_factor: Annotated[int, Field(ge=2)] = 2
    min_early_stopping_rate: Annotated[int, Field(ge=0)] = 0


class HyperbandConfig(Section):
    """Brackets of successive halving that start later and later (Li et al. 2018).

    The brackets are `asha` with `min_early_stopping_rate` 0, 1, ..., as many as fit. min_resource:
    epochs before the first decision of the first bracket. reduction_factor: one trial of so many
    goes on at each rung.
    """

    type: Literal["hyperband"] = "hyperband"
    min_resource: Count = 1
    reduction_factor: Annotated[int, Field(ge=2)] = 3


class MedianConfig(Section):
    """Stop a trial whose best score is worse than the median of finished trials at the same epoch.

    startup_trials: trials that must have run to their end before. warmup_steps: epochs before the
    first decision. interval_steps: epochs from one decision to the next.
    """

    type: Literal["median"] = "median"
    startup_trials: Annotated[int, Field(ge=0)] = 5
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    interval_steps: Count = 1


class PercentileConfig(Section):
    """Like `median`, but only the best `percentile` per cent go on.

    percentile: per cent of the trials that go on. startup_trials: trials that must have run to
    their end before. warmup_steps: epochs before the first decision. interval_steps: epochs from
    one decision to the next.
    """

    type: Literal["percentile"] = "percentile"
    percentile: Annotated[float, Field(ge=0.0, le=100.0)] = 25.0
    startup_trials: Annotated[int, Field(ge=0)] = 5
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    interval_steps: Count = 1


class NoPrunerConfig(Section):
    """Every trial runs to its end."""

    type: Literal["none"] = "none"


class PluginPruner(PluginSection):
    """A pruner of an installed package. options: its keyword arguments."""

    group, what = PRUNERS, "pruner"


_Unwrapped = AshaConfig | HyperbandConfig | MedianConfig | PercentileConfig | NoPrunerConfig
if TYPE_CHECKING:
    Wrapped = _Unwrapped | PluginPruner
else:
    Wrapped = with_plugins(_Unwrapped, PluginPruner)


class PatientConfig(Section):
    """Let `wrapped` decide only on trials without a better score for `patience` epochs.

    patience: epochs without a better score. min_delta: how much worse the latest epochs must be
    than those before. wrapped: the pruner that decides then; with `none`, the trial is stopped.
    """

    type: Literal["patient"] = "patient"
    patience: Annotated[int, Field(ge=0)] = 3
    min_delta: NotNegative = 0.0
    wrapped: Wrapped = MedianConfig()


if TYPE_CHECKING:
    Pruner = _Unwrapped | PatientConfig | PluginPruner
else:
    Pruner = with_plugins(_Unwrapped | PatientConfig, PluginPruner)


Stage = Literal["explore", "refine", "final"]
STAGE_ORDERS: tuple[tuple[Stage, ...], ...] = (
    ("explore",),
    ("explore", "final"),
    ("explore", "refine"),
    ("explore", "refine", "final"),
)


def _known_order(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    if stages not in STAGE_ORDERS:
        raise ValueError("explore, then refine, final or both, in this order")
    return stages


class RefineConfig(Section):
    """The second search, in the space that the first one leaves.

    share: of `study.trials`, and of the time, that goes into it. keep: the share of the first
    search's trials whose range stays searched. regions: groups of good trials around which it
    searches, with as many trials each.
    """

    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.4
    keep: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    regions: Count = 1


class StudyConfig(Section):
    """The search.

    name: of the study and its folder (null = the recipe's). trials: the total, also after a resume.
    storage: URL of a database (null = `study.db` in the folder). jobs: trials at once (null =
    auto).

    seed: of the points that are tried; it follows the `seed` of the trainings where only that
    one is set. seeds: runs per configuration, each with its own seed; the sampler gets their
    mean. The first goes through the pruner, the others only run when it reaches its end.
    constraints: such as `size_mib <= 10`, on metrics and on the costs of runs
    (`runs.record.COSTS`); a trial that violates one never wins, and the sampler learns from it.
    final: train the winner in full afterwards. timeout: seconds for the search, then it pauses
    and can be resumed. budget: seconds for a whole call, the final training and the evaluation
    included, also as `45m`, `8h`, `1h30m`. outage_seconds: how long to wait for a database
    server that becomes unavailable during the study. patience: end the search after this many
    finished or pruned trials that bring nothing better. target: end it when a finished trial's
    score, of the first goal, is this good. max_failures: end it after this many
    failures in a row; null ends it where the first five trials fail for one reason. retry_failed:
    run failed trials again: true for all of them, or a cause such as `killed`, or words of the
    reason. report: write `report.html` into the study's folder, while it runs and at its end.
    keep_weights: best trials that keep their weights, so that an ensemble can be made of them.
    keep_predictions_mib: MiB of validation predictions that finished trials may keep in all, the
    least promising lose them first (0 = none are kept; recipes that classify); they say what an
    ensemble of trials would gain.
    audit_pruning: share of the trials that the pruner would stop and that run on all the same,
    chosen at random, so that `analyze` can say how many winners it stops. paused_gib: disk for the
    states of trials that `study.sampler.type=curves` has paused (null = a quarter of what is
    free); the least promising lose theirs first, and would start again. stages: what one call
    does: explore (the search), refine (a second search, in the space that the first one leaves),
    final (train the winner in full).
    replicate: share of all trainings, the search's, the final one's and these, for which the best
    configurations and the defaults are trained again with new seeds after the search, so that the
    winner owes less to chance; 0 switches it off. prefer: the cost that decides between
    configurations which these replicates do not tell apart; null takes the one with the best lower
    bound.
    """

    name: str | None = None
    trials: Count = 40
    jobs: Count | None = None
    timeout: Positive | None = None
    budget: Annotated[float, BeforeValidator(seconds_of)] | None = None
    storage: str | None = None
    outage_seconds: NotNegative = 60.0
    patience: Count | None = None
    target: float | None = None
    max_failures: Count | None = None
    retry_failed: bool | str = False
    audit_pruning: Fraction = 0.0
    paused_gib: NotNegative | None = None
    replicate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.15
    prefer: Literal["latency_ms", "size_mib", "seconds"] | None = None
    keep_weights: Count = 1
    keep_predictions_mib: NotNegative = 0.0
    seed: int = 0
    seeds: Count = 1
    constraints: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(distinct)] = ()
    final: bool = True
    report: bool = True
    stages: Annotated[tuple[Stage, ...], Field(strict=False), AfterValidator(_known_order)] = (
        "explore",
        "final",
    )
    refine: RefineConfig = RefineConfig()
    sampler: Sampler = TpeConfig()
    pruner: Pruner = AshaConfig()

    @property
    def trains_winner(self) -> bool:
        """Whether the winner is trained in full."""
        return self.final and "final" in self.stages
