"""Where runs happen: the protocol that every executor keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tunewright.runs.folder import RunFolder


@dataclass(frozen=True)
class Need:
    """What a run asks of the place where it runs.

    alone: no other run is there meanwhile, so it may hold the memory of all slots.
    """

    alone: bool = False


@dataclass(frozen=True)
class RunPlace:
    """Where a run is or would be: RAM that its process holds already, and its GPU if any."""

    held_mib: float = 0.0
    gpu: str | None = None


class Handle(Protocol):
    """One started attempt."""

    folder: RunFolder

    @property
    def ended(self) -> bool:
        """Whether the executor is done with this attempt, with or without an outcome."""
        ...

    @property
    def death(self) -> str:
        """How the worker died if it left no outcome ("killed by signal 9"), else empty."""
        ...

    def kill(self) -> None:
        """End it now; the folder may then hold no outcome."""
        ...

    def status(self) -> str:
        """Where it runs, for people."""
        ...

    def place(self) -> RunPlace:
        """Where it runs, and what it holds there now."""
        ...


class Executor(Protocol):
    """Starts attempts in run folders; results are read from the folders, not from here."""

    slots: int

    def start(self, folders: Sequence[RunFolder], need: Need) -> list[Handle]:
        """Start the current attempt of each folder; the caller keeps within `slots`."""
        ...

    def next_place(self) -> RunPlace:
        """Where the next start would run."""
        ...

    def wait(self, seconds: float) -> None:
        """Return when a run reported or ended, or after `seconds`."""
        ...

    def close(self) -> None:
        """End all workers; attempts that still run die without an outcome."""
        ...
