"""What a coordinator and the worker in a job tell each other: files in a folder both see.

Each file has one writer, and is replaced as a whole. On a network file system the other side may
see it seconds later, and its times are those of another clock: so files are read again until they
say what is awaited, and life is a number that changes, never a time.
"""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeVar

from tunewright import __version__
from tunewright.errors import DataError
from tunewright.executors.executor import WorkerDeath
from tunewright.runs.atomic import read_json, write_json

LOST = "its job was requeued without notice: its node failed, or was taken away"
T = TypeVar("T")
Stage = Literal["idle", "running", "requeued", "left"]


@dataclass(frozen=True)
class WorkerPlan:
    """What a worker is told before its job begins, and does not change.

    token: tells this folder from another one at the same path of another machine. idle_seconds,
    orphan_seconds: how long it waits for an order, and for a sign of a coordinator. gpus: those of
    the worker; empty for what its job has.
    """

    token: str
    walltime_seconds: float
    notice_seconds: float
    idle_seconds: float
    orphan_seconds: float
    gpus: tuple[str, ...] = ()
    fresh: bool = False
    memory_gib: float | None = None


@dataclass(frozen=True)
class WorkOrder:
    """The coordinator's latest word to a worker; a new one has a higher serial number.

    run: train `folder`. kill: end the attempt that runs. dismiss: end the job, at once.
    """

    serial: int
    kind: Literal["run", "kill", "dismiss"]
    folder: str = ""
    attempt: int = 0
    threads: int = 1


@dataclass(frozen=True)
class WorkerState:
    """What a worker says of itself.

    beat: grows while it lives. life: how often its job has begun. serial: of the last order that it
    has taken; ended: the last one that is done. folder, attempt: of that order's run, with `death`
    where its process died and `outcome` where it left one. untaken: the run was never begun, since
    the job's time was over. left_seconds: of the job's time. problem: why it cannot work.
    """

    token: str
    beat: int
    life: int
    stage: Stage
    serial: int = 0
    ended: int = 0
    folder: str = ""
    attempt: int = 0
    outcome: bool = False
    untaken: bool = False
    death: Mapping[str, Any] | None = None
    left_seconds: float = 0.0
    job: str = ""
    host: str = ""
    pid: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def worker_death(self) -> WorkerDeath | None:
        """How the process of the last run died, if it did."""
        return None if self.death is None else _of(WorkerDeath, self.death)


@dataclass(frozen=True)
class SubmittedJob:
    """The job of a worker. system: the batch system. host: where it was submitted."""

    id: str
    system: str
    host: str


@dataclass(frozen=True)
class WorkerFolder:
    """`workers/<name>/`: the files of one worker."""

    path: Path

    @property
    def name(self) -> str:
        """The worker's name."""
        return self.path.name

    @property
    def coordinator(self) -> Path:
        """The sign of life of the coordinator, one for all workers."""
        return self.path.parent / "coordinator.json"

    def write_plan(self, plan: WorkerPlan) -> None:
        """Make the folder; before its job is submitted."""
        write_json(self.path / "plan.json", asdict(plan))

    def read_plan(self) -> WorkerPlan | None:
        """Return the plan, or None while it cannot be seen."""
        plan = _read(WorkerPlan, self.path / "plan.json")
        return plan and WorkerPlan(**{**asdict(plan), "gpus": tuple(plan.gpus)})

    def write_job(self, job: SubmittedJob) -> None:
        """Store which job the worker is."""
        write_json(self.path / "job.json", asdict(job))

    def read_job(self) -> SubmittedJob | None:
        """Return which job the worker is."""
        return _read(SubmittedJob, self.path / "job.json")

    def write_order(self, order: WorkOrder) -> None:
        """Tell the worker."""
        write_json(self.path / "order.json", asdict(order))

    def read_order(self) -> WorkOrder | None:
        """Return the coordinator's latest word, if any."""
        return _read(WorkOrder, self.path / "order.json")

    def write_state(self, state: WorkerState) -> None:
        """Tell the coordinator."""
        write_json(self.path / "state.json", asdict(state))

    def read_state(self) -> WorkerState | None:
        """Return what the worker has said last; None before its job has begun."""
        return _read(WorkerState, self.path / "state.json")

    def write_coordinator(self, beat: int) -> None:
        """Tell all workers that a coordinator lives; `beat` differs each time."""
        write_json(self.coordinator, {"beat": beat})

    def read_coordinator(self) -> object:
        """Return the coordinator's latest sign of life."""
        try:
            return (read_json(self.coordinator) or {}).get("beat")
        except DataError:
            return None


@cache
def own_versions() -> Mapping[str, str]:
    """Return the versions that a coordinator and its workers must share."""
    found = {"tunewright": __version__, "python": ".".join(_python())}
    for name in ("torch", "optuna", "pydantic"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _python() -> tuple[str, str]:
    major, minor, _ = platform.python_version_tuple()
    return major, minor


def _read(kind: type[T], path: Path) -> T | None:
    """Return the value in a file; None where there is none, or it cannot be read just now."""
    try:
        stored = read_json(path)
    except DataError:  # a stale handle of a network file system; the next look may succeed
        return None
    return None if stored is None else _of(kind, stored)


def _of(kind: type[T], stored: Mapping[str, Any]) -> T | None:
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**{name: value for name, value in stored.items() if name in known})
    except TypeError:  # of another version
        return None
