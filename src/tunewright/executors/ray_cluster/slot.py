"""One actor of the cluster as the coordinator sees it, and the attempt that it works on."""

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from tunewright.executors.executor import Resources, WorkerDeath
from tunewright.executors.ray_cluster.slot_actor import (
    WATCH_SECONDS,
    SlotEvent,
    SlotPlace,
)
from tunewright.executors.ray_cluster.worker_note import WorkerNote
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressTail

LISTEN_SECONDS = 2 * WATCH_SECONDS
"""How long a call of `hear` waits for an event."""


class RayHandle:
    """An attempt that runs, or waits for room, on the cluster."""

    def __init__(self, folder: RunFolder, resources: Resources, slot: "Slot") -> None:
        self.folder, self.resources, self.slot = folder, resources, slot
        self.attempt = folder.attempt
        self.ended = self.killed = False
        self.death: WorkerDeath | None = None

    def kill(self) -> None:
        """Kill the worker and every process it started."""
        if not self.ended:
            self.killed = True
            self.slot.kill()

    def status(self) -> str:
        """Return the host and the actor's process id, or that it waits for room."""
        place = self.slot.place
        if place is None:
            return "waits for room on the cluster"
        return f"{place.host}, actor {self.slot.name} (pid {place.process})"

    def began(self) -> bool:
        """Return whether the attempt has written anything."""
        tail = ProgressTail(self.folder.progress, self.attempt)
        return bool(tail.poll()) or self.folder.read_outcome() is not None

    def end(self, death: WorkerDeath | None) -> None:
        """Note that the attempt is over."""
        self.ended, self.death = True, death


class Slot:
    """An actor; its calls are asynchronous, and their answers are received by `RayExecutor`.

    actor: of Ray. place: None until it has begun. pending: the reference of the answer that is
    awaited next. handle: what it works on.
    """

    def __init__(self, actor: Any, name: str, *, adopted: bool = False) -> None:
        self.actor, self.name = actor, name
        self.asked = time.monotonic()
        self.place: SlotPlace | None = None
        self.pending: Any = actor.place.remote()
        self.handle: RayHandle | None = None
        self.held_mib, self.seen = 0.0, 0
        self.adopted, self.lost = adopted, False
        self._waiting: RayHandle | None = None

    @property
    def ready(self) -> bool:
        """Whether the actor has begun and is alive."""
        return self.place is not None and not self.lost

    def work(self, handle: RayHandle) -> None:
        """Send an attempt, or keep it until the actor has begun."""
        self.handle, handle.slot = handle, self
        if self.place is None:
            self._waiting = handle
            return
        self._waiting = None
        WorkerNote(self.name, handle.attempt, self.place.host).write(handle.folder)
        path = str(handle.folder.path.absolute())
        self.pending = self.actor.run.remote(path, handle.attempt, handle.resources)

    def follow(self, handle: RayHandle, event: SlotEvent) -> None:
        """Listen to an attempt that another coordinator started."""
        self.handle = handle
        self.hear(event)

    def begin(self, place: SlotPlace) -> None:
        """Note where the actor is; the attempt that waited for it is not sent yet."""
        self.place, self.pending = place, None

    def hear(self, event: SlotEvent) -> None:
        """Take an event of the attempt, and listen on unless it was the last."""
        self.seen, self.held_mib, self.pending = event.count, event.held_mib, None
        handle = self.handle
        if handle is None:
            return
        if event.ended:
            self.handle = None
            handle.end(event.death)
        else:
            self.pending = self.actor.hear.remote(event.count, LISTEN_SECONDS)

    def lose(self) -> RayHandle | None:
        """Note that the actor is gone; return the attempt that it had."""
        self.lost, self.pending = True, None
        handle, self.handle = self.handle, None
        return handle

    def kill(self) -> None:
        """Kill the worker; an attempt that was not sent yet ends at once."""
        if self._waiting is not None and self.place is None:
            handle, self.handle, self._waiting = self._waiting, None, None
            handle.end(WorkerDeath())
        elif not self.lost:
            self.actor.kill.remote()


def new_slot(make: Any, settings: Any, options: Mapping[str, Any], namespace: str) -> Slot:
    """Ask the cluster for an actor that outlives its coordinator.

    make: the actor's class, as Ray has it.
    """
    name = f"slot-{secrets.token_hex(6)}"
    actor = make.options(
        name=name, namespace=namespace, lifetime="detached", max_restarts=0, **options
    ).remote(settings)
    return Slot(actor, name)


def death_of(ray: Any, error: BaseException, slot: Slot) -> WorkerDeath:
    """Return what became of an actor, from the error that its call raised."""
    where = f"on {slot.place.host}" if slot.place is not None else "before it began"
    text = " ".join(str(error).split())
    if isinstance(error, ray.exceptions.OutOfMemoryError) or _OUT_OF_MEMORY.search(text):
        return WorkerDeath(out_of_memory=True)
    if isinstance(error, ray.exceptions.NodeDiedError) or _NODE.search(text):
        return WorkerDeath(reason=f"its node was lost ({where})")
    if isinstance(error, ray.exceptions.RayTaskError):
        return WorkerDeath(reason=f"its actor failed {where}: {_last_line(error)}")
    return WorkerDeath(reason=f"its actor was lost {where}")


_OUT_OF_MEMORY = re.compile(r"running low on memory|memory pressure|out of memory", re.I)
_NODE = re.compile(r"node (was terminated|has (died|been))|node_death|owner node|died node", re.I)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
