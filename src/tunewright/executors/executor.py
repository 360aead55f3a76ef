"""The protocol that every executor implements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tunewright.runs.folder import RunFolder


@dataclass(frozen=True)
class Need:
    """The resources that a run asks for.

    alone: no other run is running at the same time, so it may use the memory of all slots.
    """

    alone: bool = False


@dataclass(frozen=True)
class RunPlace:
    """Where a run is or would be: the RAM (MiB) its process holds already, and its GPU if any."""

    held_mib: float = 0.0
    gpu: str | None = None


class Handle(Protocol):
    """One started attempt of a run."""

    folder: RunFolder

    @property
    def ended(self) -> bool:
        """Whether the executor is done with this attempt, with or without an outcome."""
        ...

    @property
    def death(self) -> str:
        """How the worker died if it wrote no outcome ("killed by signal 9"), else empty."""
        ...

    def kill(self) -> None:
        """End the attempt now; its folder may then hold no outcome."""
        ...

    def status(self) -> str:
        """Return where the attempt runs, as text for the user."""
        ...

    def place(self) -> RunPlace:
        """Return where the attempt runs, and the memory its process holds now."""
        ...


class Executor(Protocol):
    """Starts attempts in run folders; their results are read from the folders."""

    slots: int

    def start(self, folders: Sequence[RunFolder], need: Need) -> list[Handle]:
        """Start the current attempt of each folder; the caller never exceeds `slots`."""
        ...

    def next_place(self) -> RunPlace:
        """Return where the next run would start."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait until a run reports or ends, at most `seconds`."""
        ...

    def close(self) -> None:
        """End all workers; attempts that are still running end without an outcome."""
        ...
