"""The protocol of a batch system, as far as workers need one: submit, look, cancel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tunewright.executors.executor import WorkerDeath

JobStage = Literal["waiting", "running", "ended"]


@dataclass(frozen=True)
class JobState:
    """Where a job is. reason: how one that has ended did, in words; empty where all was well."""

    stage: JobStage
    reason: str = ""
    out_of_memory: bool = False

    @property
    def death(self) -> WorkerDeath:
        """What a run died of that ran in this job when it ended."""
        reason = self.reason or "its job ended before it"
        return WorkerDeath(reason=reason, out_of_memory=self.out_of_memory)


class JobSystem(Protocol):
    """A batch system.

    name: as `executor.type` has it. look_seconds: how often it is asked for the states of jobs.
    late_seconds: how late files of a job may be seen here. share_host: whether all workers are on
    one machine, whose memory they share.
    """

    name: str
    look_seconds: float
    late_seconds: float
    share_host: bool

    def submit(self, workers: Sequence[Path]) -> list[str]:
        """Submit a job for each worker's folder; return the numbers of the jobs.

        Raises ConfigError when they are refused.
        """
        ...

    def states(self, jobs: Sequence[str]) -> Mapping[str, JobState]:
        """Return the states of jobs, as far as they are known; no answer is no state."""
        ...

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs, whether they wait or run; those that have ended are no error."""
        ...

    def end_of_log(self, job: str) -> str:
        """Return what a job has printed last, for an error; empty where it is not seen."""
        ...

    def close(self) -> None:
        """Wait until the jobs that were cancelled have ended, where they are on this machine."""
        ...
