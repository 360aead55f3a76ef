"""What runs in an actor: it keeps one warm worker on its node and speaks with the coordinator.

The worker is that of `executor.type=local`, a process of its own: how it died is known to the
signal, and it ends when the actor ends. The actor ends when no coordinator speaks to it.
"""

import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tunewright.errors import TunewrightError
from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.executors.local import LocalExecutor, LocalHandle
from tunewright.executors.ray_cluster.carried_run import CarriedRun
from tunewright.executors.ray_cluster.ray_door import own_node
from tunewright.executors.ray_cluster.source_version import source_version
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine.free_memory import free_mib

CALLS = 8
"""Calls that an actor answers at the same time; those that listen take one each."""
WATCH_SECONDS = 5.0
IDLE_SECONDS = 45.0
"""Silence after which an actor without a run ends; one with a run waits for its lease."""
PAUSE_SECONDS = 0.02
"""Time between two answers to the coordinator, unless the run ends."""
MEASURE_SECONDS = 2.0
SHARE_SECONDS = 10.0
"""How long a file of another host may take to appear on a shared file system."""


@dataclass(frozen=True)
class SlotSettings:
    """What an actor is told when it begins. directory: from which relative paths of runs count.

    gpu: whether Ray gives it one. beside: slots of a node; a run that is alone may use as many
    times `memory_gib`. lease_seconds: how long a run goes on when no coordinator speaks.
    """

    directory: str
    threads: int
    gpu: bool
    beside: int
    fresh: bool
    memory_gib: float | None
    run_override: CarriedRun | None
    lease_seconds: float


@dataclass(frozen=True)
class SlotPlace:
    """Where an actor is. version: of the package there. has_directory: whether its host has it.

    problem: why no worker can be started there; else empty.
    """

    node: str
    host: str
    process: int
    version: str
    has_directory: bool
    problem: str = ""


@dataclass(frozen=True)
class SlotEvent:
    """The state of an actor. count: of events so far, reports and ends. death: of the last run.

    held_mib: RAM of its worker. free_mib: RAM free on its node.
    """

    count: int
    ended: bool
    death: WorkerDeath | None
    held_mib: float
    free_mib: float


@dataclass(frozen=True)
class _Order:
    folder: RunFolder
    resources: Resources


class SlotActor:
    """One slot of a cluster; the methods are called by the coordinator, several at a time."""

    def __init__(self, settings: SlotSettings) -> None:
        self._settings = settings
        self._has_directory = _enter(settings.directory)
        devices = os.environ.get("CUDA_VISIBLE_DEVICES") if settings.gpu else None
        self._executor = LocalExecutor(
            settings.beside,  # of which this actor starts one
            threads=settings.threads,
            gpus=() if devices is None else (devices,),
            fresh=settings.fresh,
            run_override=settings.run_override,
            memory_gib=settings.memory_gib,
        )
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._changed = threading.Condition()
        self._count, self._ended = 0, True
        self._death: WorkerDeath | None = None
        self._folder: RunFolder | None = None
        self._attempt = 0
        self._handle: Handle | None = None
        self._killed = False
        self._held_mib, self._measured = 0.0, -MEASURE_SECONDS
        self._answered = 0.0
        self._spoken = time.monotonic()
        self._warm, self._problem = threading.Event(), ""
        threading.Thread(target=self._keep, name="keep-worker", daemon=True).start()
        threading.Thread(target=self._watch_lease, name="watch-lease", daemon=True).start()

    def place(self) -> SlotPlace:
        """Return where this actor is, as soon as its worker is warm."""
        self._warm.wait()
        self.beat()
        return SlotPlace(
            own_node(),
            socket.gethostname(),
            os.getpid(),
            source_version(),
            self._has_directory,
            self._problem,
        )

    def sees(self, path: str, content: str) -> bool:
        """Return whether a file that the coordinator wrote is here, with its content."""
        until = time.monotonic() + SHARE_SECONDS
        while True:
            try:
                return Path(path).read_text(encoding="utf-8") == content
            except OSError:
                if time.monotonic() > until:
                    return False
            time.sleep(0.1)

    def run(self, path: str, attempt: int, resources: Resources) -> SlotEvent:
        """Start the attempt in a run folder; return at its first event."""
        self.beat()
        with self._changed:
            self._folder, self._attempt = RunFolder(Path(path)), attempt
            self._ended = self._killed = False
            self._death, self._handle = None, None
            before, self._answered = self._count, time.monotonic()
        self._orders.put(_Order(self._folder, resources))
        return self.hear(before, WATCH_SECONDS)

    def hear(self, seen: int, seconds: float) -> SlotEvent:
        """Return the state as soon as there are more than `seen` events, or after `seconds`."""
        self.beat()
        with self._changed:
            self._changed.wait_for(lambda: self._count > seen, timeout=seconds)
            # Reports in quick succession are one answer, most often together with the end.
            early = self._answered + PAUSE_SECONDS - time.monotonic()
            if not self._ended and early > 0.0:
                self._changed.wait_for(lambda: self._ended, timeout=early)
            self._answered = time.monotonic()
            count, ended, death = self._count, self._ended, self._death
        return SlotEvent(count, ended, death, self._held_mib, free_mib())

    def adopt(self, path: str, attempt: int) -> SlotEvent | None:
        """Return the state if this actor works, or worked last, on that attempt; else None."""
        self.beat()
        with self._changed:
            if self._folder != RunFolder(Path(path)) or self._attempt != attempt or self._ended:
                return None
        return self.hear(-1, 0.0)

    def beat(self) -> None:
        """Hear that the coordinator is alive."""
        self._spoken = time.monotonic()

    def kill(self) -> None:
        """Kill the worker of the attempt that runs, and every process that it started."""
        self.beat()
        with self._changed:
            self._killed = True
            if self._handle is not None:
                self._handle.kill()

    def end(self) -> None:
        """Kill what runs and return when it has ended; the actor can then be killed."""
        self.kill()
        with self._changed:
            self._changed.wait_for(lambda: self._ended, timeout=WATCH_SECONDS)

    def _keep(self) -> None:
        """Give each order to the worker and note its events; the worker is this thread's alone."""
        try:
            self._executor.warm_up()
        except (TunewrightError, OSError) as error:
            self._problem = str(error)
        self._warm.set()
        while True:
            order = self._orders.get()
            try:
                death = self._work(order)
            except (TunewrightError, OSError) as error:
                death = WorkerDeath(reason=f"on {socket.gethostname()}: {error}")
            self._note_event(ended=True, death=death)
            self._measure()

    def _work(self, order: _Order) -> WorkerDeath | None:
        [handle] = self._executor.start([order.folder], order.resources)
        with self._changed:
            self._handle = handle
            if self._killed:
                handle.kill()
        while not handle.ended:
            self._executor.wait(WATCH_SECONDS)
            if not handle.ended:
                self._note_event(ended=False, death=None)
                self._measure()
        return handle.death

    def _measure(self) -> None:
        """Note the memory that the worker holds, from time to time: it takes milliseconds."""
        if time.monotonic() - self._measured < MEASURE_SECONDS:
            return
        busy = self._handle if not self._ended else None
        place = busy.occupant().place if isinstance(busy, LocalHandle) else None
        self._held_mib = (place or self._executor.next_place()).held_mib
        self._measured = time.monotonic()

    def _note_event(self, *, ended: bool, death: WorkerDeath | None) -> None:
        with self._changed:
            self._count += 1
            self._ended, self._death = ended, death
            self._changed.notify_all()

    def _watch_lease(self) -> None:
        """End this process when no coordinator has spoken for the time of the lease."""
        self._warm.wait()
        self.beat()
        while True:
            time.sleep(1.0)
            allowed = IDLE_SECONDS if self._ended else self._settings.lease_seconds
            if time.monotonic() - self._spoken > allowed:
                self.end()
                os._exit(0)


def _enter(directory: str) -> bool:
    """Change to the coordinator's working directory; return whether this host has it."""
    try:
        os.chdir(directory)
    except OSError:
        return False
    return True
