"""What a job of a batch system asks for, and how its workers behave near its end."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from tunewright.config.section import Count, Options, Positive, Section
from tunewright.runs.quantities import duration, seconds_of

Duration = Annotated[float, BeforeValidator(seconds_of)]
"""Seconds, written as a number or as 45m, 8h, 1h30m, 2d."""
OF_ALL_JOBS = frozenset({"walltime", "notice", "idle", "setup"})
"""Keys that submitit's local jobs follow too; the others are words for SLURM."""
OWN_WORDS = frozenset(
    {"array", "error", "job-name", "open-mode", "output", "parsable", "requeue", "signal", "time"}
)
"""Options of sbatch that the executor sets itself, or that other keys set."""


class SlurmConfig(Section):
    """The jobs of executor.type=slurm; each is a worker that runs trials one after another.

    partition, account, qos, constraint: as `sbatch` takes them. gpus: GPUs of a job; gres: the same
    in SLURM's words ("gpu:a100:1"). cpus_per_task: cores of a job. mem_gib: its memory. walltime:
    its time limit; SLURM counts it in whole minutes. notice: how long before the end of its time a
    job is told, so that its trial can save itself. array_parallelism: how many jobs run at once
    (null = all). setup: shell lines that run before the worker. idle: a worker without work ends
    after this time. additional: further options of sbatch, such as {reservation: mine}.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gpus: Count | None = None
    gres: str | None = None
    cpus_per_task: Count | None = None
    mem_gib: Positive | None = None
    walltime: Duration = 14_400.0
    notice: Duration = 90.0
    constraint: str | None = None
    array_parallelism: Count | None = None
    setup: tuple[str, ...] = Field(default=(), strict=False)
    idle: Duration = 600.0
    additional: Options = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.notice * 2 > self.walltime:
            raise ValueError(
                f"a walltime of at least twice the notice of {duration(self.notice)}, so that "
                f"trials get most of it; it is {duration(self.walltime)}"
            )
        if self.gpus is not None and self.gres is not None:
            raise ValueError("either gpus or gres, which both ask for GPUs")
        words = {name.replace("_", "-").lstrip("-") for name in self.additional}
        own = {name.replace("_", "-") for name in type(self).model_fields} | OWN_WORDS
        if taken := sorted(words & own):
            raise ValueError(
                f"additional options of sbatch without {', '.join(taken)}, which the executor or "
                "another key sets"
            )
        return self

    @property
    def set_keys(self) -> list[str]:
        """The keys that differ from their defaults."""
        default = SlurmConfig()
        names = type(self).model_fields
        return [name for name in names if getattr(self, name) != getattr(default, name)]
