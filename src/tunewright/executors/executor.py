"""The protocol that every executor implements, and the values that it exchanges with its caller."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tunewright.runs.folder import RunFolder


@dataclass(frozen=True)
class Resources:
    """The resources that a run asks for; None leaves one to the executor.

    cpus: CPU threads. gpus: whole GPUs. memory_mib, device_mib: the expected peaks, in RAM that
    only its worker holds, and on the GPU. walltime_seconds: time limit of the attempt. alone: no
    other run is running at the same time, so it may use the memory of all slots.
    """

    cpus: int | None = None
    gpus: int | None = None
    memory_mib: float | None = None
    device_mib: float | None = None
    walltime_seconds: float | None = None
    alone: bool = False


@dataclass(frozen=True)
class WorkerDeath:
    """How a worker ended whose run wrote no outcome.

    signal: the number of the signal that killed it. exit_code: that with which it exited. Neither:
    the run was ended on request. out_of_memory: the system says that memory was the reason.
    reason: what its job or node came to, in words; empty for a process on this machine.
    """

    signal: int | None = None
    exit_code: int | None = None
    out_of_memory: bool = False
    reason: str = ""

    def __str__(self) -> str:
        """Return the death in words ("killed by signal 9")."""
        if self.reason:
            return self.reason
        if self.out_of_memory:
            return "killed by the kernel for lack of memory"
        if self.signal is not None:
            return f"killed by signal {self.signal}"
        if self.exit_code == os.EX_IOERR:
            return "the run folder could not be written, as on a full disk"
        if self.exit_code is not None:
            return f"worker exited with code {self.exit_code}"
        return "killed"


class Handle(Protocol):
    """One started attempt of a run."""

    folder: RunFolder

    @property
    def ended(self) -> bool:
        """Whether the executor is done with this attempt, with or without an outcome."""
        ...

    @property
    def death(self) -> WorkerDeath | None:
        """How the worker died, if it did before the run had ended; else None."""
        ...

    def kill(self) -> None:
        """End the attempt now; its folder may then hold no outcome."""
        ...

    def status(self) -> str:
        """Return where the attempt runs, as text for the user."""
        ...


class Executor(Protocol):
    """Starts attempts in run folders; their results are read from the folders."""

    slots: int

    def refusal(self, resources: Resources) -> str | None:
        """Return why a run that asks for `resources` cannot start now; None when it can.

        The text ("needs about 1.4 GiB, 0.5 GiB free") is shown to the user, behind the name of the
        run and "waits:". While no run is running nothing is refused for long, since it would wait
        forever; an executor whose workers have not begun yet refuses until the first one has.
        """
        ...

    def start(self, folders: Sequence[RunFolder], resources: Resources) -> list[Handle]:
        """Start the current attempt of each folder; the caller never exceeds `slots`.

        resources: of each of them.
        """
        ...

    def adopt(self, folder: RunFolder, resources: Resources) -> Handle | None:
        """Return a handle of an attempt that another coordinator started and that still runs.

        None where there is none, as with executors whose workers end with their coordinator.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Wait until a run reports or ends, at most `seconds`."""
        ...

    def close(self) -> None:
        """End all workers; attempts that are still running end without an outcome."""
        ...


def let_go(executor: Executor) -> None:
    """Leave the attempts of an executor to the coordinator that has taken over.

    An executor whose attempts can be adopted has a method `leave` for it, after which `close` ends
    none of them; of the others the workers end, as with `close`.
    """
    getattr(executor, "leave", executor.close)()
