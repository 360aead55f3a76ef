"""A worker as its coordinator knows it: its job, what it says, and the order it was given."""

import time
from dataclasses import dataclass, field

from tunewright.executors.batch.job_system import JobState
from tunewright.executors.batch.silence import Silence
from tunewright.executors.batch.worker_folder import WorkerFolder, WorkerState, WorkOrder
from tunewright.executors.executor import Resources, WorkerDeath
from tunewright.runs.folder import RunFolder

SILENT_SECONDS = 240.0
"""After this time without a beat a worker is given up, even if its job is said to run."""


class BatchHandle:
    """An attempt that a worker in a job runs, or will run."""

    def __init__(self, folder: RunFolder, attempt: int, resources: Resources) -> None:
        self.folder, self.attempt, self.resources = folder, attempt, resources
        self.ended = self.killed = False
        self.death: WorkerDeath | None = None
        self.worker: KnownWorker | None = None
        self.began: float | None = None

    def kill(self) -> None:
        """Have the worker end the attempt; one that waits for a worker ends at once."""
        if self.ended or self.killed:
            return
        self.killed = True
        if self.worker is None:
            self.end(WorkerDeath())
        else:
            self.worker.tell("kill")

    def end(self, death: WorkerDeath | None) -> None:
        """Take note of the end; the death counts where the attempt has left no outcome."""
        self.ended, self.death = True, death
        self.worker = None

    def status(self) -> str:
        """Return the job and the host."""
        if self.worker is None or self.worker.state is None:
            return "waits for a worker"
        state = self.worker.state
        return f"worker {self.worker.folder.name} (job {state.job} on {state.host})"


@dataclass
class KnownWorker:
    """One worker.

    token, gpus: of its plan. state: what it has said last; None before its job has begun. handle:
    the attempt that it was given. given: the serial number of that order. job_state: what the batch
    system says; of a foreign job it says nothing. lost_life: the life in which its job was taken
    away. ended_at: when it was found to have ended.
    """

    folder: WorkerFolder
    job: str
    token: str
    gpus: tuple[str, ...] = ()
    foreign: bool = False
    state: WorkerState | None = None
    job_state: JobState | None = None
    handle: BatchHandle | None = None
    given: int = 0
    serial: int = 0
    silence: Silence = field(default_factory=Silence)
    dismissed: bool = False
    heard: bool = True
    lost_life: int = 0
    read_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None

    def look(self) -> bool:
        """Read what the worker says; return whether it is news other than a sign of life."""
        said = self.folder.read_state()
        if said is None:
            return False
        # The same again, or what a network file system has kept of before.
        if self.state is not None and (said.life, said.beat) <= (self.state.life, self.state.beat):
            return False
        before, self.state, self.read_at = self.state, said, time.monotonic()
        self.silence.hear((said.life, said.beat))
        self.heard = self.heard or before is not None
        self.serial = max(self.serial, said.serial)
        return before is None or _news(before) != _news(said)

    def tell(self, kind: str, folder: str = "", attempt: int = 0, threads: int = 1) -> None:
        """Give an order, which replaces the one before."""
        self.serial += 1
        if kind == "dismiss":
            self.dismissed = True
        self.folder.write_order(WorkOrder(self.serial, kind, folder, attempt, threads))  # type: ignore[arg-type]

    @property
    def has_begun(self) -> bool:
        """Whether its job has begun and works."""
        return (
            self.state is not None
            and self.heard
            and self.state.stage in ("idle", "running")
            and self.state.life != self.lost_life
            and not self.is_over
            and not self.dismissed
        )

    @property
    def is_over(self) -> bool:
        """Whether it will never work again, by its own word or that of the batch system."""
        if self.state is not None and self.state.stage == "left":
            return True
        return self.job_state is not None and self.job_state.stage == "ended"

    @property
    def waits(self) -> bool:
        """Whether its job waits in the queue, for the first time or again."""
        return not self.has_begun and not self.is_over and not self.dismissed

    @property
    def is_free(self) -> bool:
        """Whether it can be given a run now."""
        if self.state is None or not self.has_begun or self.handle is not None:
            return False
        return self.state.stage == "idle" and self.state.serial >= self.serial

    @property
    def left_seconds(self) -> float:
        """What is left of its job's time."""
        assert self.state is not None
        return self.state.left_seconds - (time.monotonic() - self.read_at)


def _news(state: WorkerState) -> tuple[object, ...]:
    return state.life, state.stage, state.serial, state.ended, state.problem
