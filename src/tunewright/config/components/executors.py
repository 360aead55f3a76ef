"""Where and how trials run: the kinds of executors and what each is told."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from tunewright.config.components.plugins import EXECUTORS, refuse_plugin_options
from tunewright.config.components.ray_cluster import RayConfig
from tunewright.config.components.slurm import OF_ALL_JOBS, SlurmConfig
from tunewright.config.section import Count, Options, Positive, Section
from tunewright.registry import plugin_names

SHIPPED = ("local", "inline", "local_jobs", "ray", "slurm")
"""The executors that come with the package."""

if TYPE_CHECKING:
    ExecutorName = str
else:
    ExecutorName = Literal[tuple(dict.fromkeys((*SHIPPED, *plugin_names(EXECUTORS))))]


class ExecutorConfig(Section):
    """How trials run. isolation: warm workers that live across trials, or one per trial.

    processes: how many train each trial together, on one GPU each, or on the CPU with its threads
    divided among them. per_gpu: trials that share a GPU; auto: as many as their measured GPU memory
    allows, one until it is known. threads: CPU threads per trial (null = its share of the cores).
    trial_timeout: seconds after which a trial fails (null = never). grace_seconds: how long a stop
    waits for checkpoints. retries: how often a trial whose worker was killed is resumed from its
    last checkpoint. memory_gib: the most that a trial may hold (null = no limit), of its GPU where
    it has one, else of RAM; a trial that must run alone may hold the share of all workers.
    options: keyword arguments of the executor of an installed package. ray: the cluster and the
    workers of the executor ray. slurm: the jobs of the executors slurm and local_jobs.
    """

    type: ExecutorName = "local"
    isolation: Literal["worker", "trial"] = "worker"
    processes: Count = 1
    per_gpu: Count | Literal["auto"] = 1
    threads: Count | None = None
    trial_timeout: Positive | None = None
    retries: Annotated[int, Field(ge=0)] = 1
    grace_seconds: Positive = 15.0
    memory_gib: Positive | None = None
    options: Options = Field(default_factory=dict)
    ray: RayConfig = RayConfig()
    slurm: SlurmConfig = SlurmConfig()

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.processes > 1 and self.type != "local":
            raise ValueError(
                f"processes=1, since only the executor local starts more, not {self.type}"
            )
        if self.per_gpu != 1 and (self.processes > 1 or self.type != "local"):
            raise ValueError(
                f"per_gpu=1 with type={self.type} and processes={self.processes}: trials share a "
                "GPU only with type=local and processes=1"
            )
        if self.type not in SHIPPED:
            refuse_plugin_options(EXECUTORS, self.type, self.options, what="executor")
        elif self.options:
            raise ValueError(f"no options, since the executor {self.type} takes none")
        if self.type != "ray" and self.ray != RayConfig():
            key = next(iter(self.ray.model_dump(exclude_defaults=True)))
            raise ValueError(
                f"ray.{key} only with executor.type=ray; this is executor.type={self.type}"
            )
        if self.type != "slurm" and (foreign := self._foreign_keys()):
            raise ValueError(
                f"slurm.{foreign[0]} only with executor.type=slurm; this is executor.type="
                f"{self.type}"
            )
        return self

    def _foreign_keys(self) -> list[str]:
        """Return the set keys of the section `slurm` that this kind of executor ignores."""
        followed = OF_ALL_JOBS if self.type == "local_jobs" else frozenset()
        return [name for name in self.slurm.set_keys if name not in followed]
