"""Warm workers on the nodes of a Ray cluster, one actor for each slot."""

import contextlib
import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright.config.components.executors import ExecutorConfig
from tunewright.errors import ConfigError, RunError
from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.executors.ray_cluster.carried_run import carry
from tunewright.executors.ray_cluster.demand import (
    SlotDemand,
    demand_of,
    refuse_impossible,
    threads_of,
)
from tunewright.executors.ray_cluster.node_memory import NodeMemory
from tunewright.executors.ray_cluster.ray_door import NAMESPACE, Connection, source_paths
from tunewright.executors.ray_cluster.slot import RayHandle, Slot, death_of, new_slot
from tunewright.executors.ray_cluster.slot_actor import (
    CALLS,
    SlotActor,
    SlotEvent,
    SlotPlace,
    SlotSettings,
)
from tunewright.executors.ray_cluster.source_version import source_version
from tunewright.executors.ray_cluster.worker_note import read_note
from tunewright.recipes.recipe import Run
from tunewright.runs.folder import RunFolder

LOOK_SECONDS = 2.0
"""How often the nodes of the cluster are looked at."""
BEAT_SECONDS = 5.0
"""How often actors hear that the coordinator is alive."""
ANSWER_SECONDS = 20.0
"""How long an actor may take to answer a short call."""
BEGIN_SECONDS = 10.0
"""How long a run is given to an actor that has not begun; later it waits for one that has."""


class RayExecutor:
    """Runs attempts in actors of a cluster, which outlive this process until their lease ends.

    most: of the slots; None for as many as the cluster has room for, also later. run_override: see
    `job.run`. Raises ConfigError when no node has room for a slot.
    """

    def __init__(
        self,
        connection: Connection,
        config: ExecutorConfig,
        *,
        most: int | None = None,
        run_override: Run | None = None,
    ) -> None:
        self._connection, self._config, self._most = connection, config, most
        self._ray = connection.ray
        nodes = connection.nodes()
        self._demand: SlotDemand = demand_of(config, [node["Resources"] for node in nodes])
        if not config.ray.autoscaling:
            refuse_impossible(self._demand, nodes)
        self._settings = SlotSettings(
            directory=str(Path.cwd()),
            threads=threads_of(config, self._demand),
            gpu=self._demand.gpus > 0,
            beside=max([1, *(self._demand.slots_on(node["Resources"]) for node in nodes)]),
            fresh=config.isolation == "trial",
            memory_gib=config.memory_gib,
            run_override=None if run_override is None else carry(run_override, source_paths()),
            lease_seconds=config.ray.lease_minutes * 60.0,
        )
        self._make = self._ray.remote(SlotActor)
        self._slots: list[Slot] = []
        self._first_nodes = {node["NodeID"] for node in nodes}
        self._seeing: set[str] = set()
        self._blind: set[str] = set()
        self._memory = NodeMemory(config.memory_gib if not self._settings.gpu else None)
        self._looked = -LOOK_SECONDS
        self._closed = threading.Event()
        self.slots = 1
        self._look(nodes)
        threading.Thread(target=self._beat, name="ray-beat", daemon=True).start()

    @property
    def begun(self) -> int:
        """How many actors have a warm worker."""
        return sum(slot.ready for slot in self._slots)

    def refusal(self, resources: Resources) -> str | None:
        """Return why a run cannot start beside the others: slots, memory, or one must be alone."""
        busy = self._busy()
        if not busy:
            return None
        if len(busy) >= self.slots:
            return f"all {self.slots} slots are taken"
        if resources.alone:
            return "it runs alone, after those that are running"
        if any(handle.resources.alone for handle in busy):
            return "a run that must be alone is running"
        idle = self._idle()
        if not idle:
            now = time.monotonic()
            waiting = [s for s in self._slots if s.handle is None and not s.lost]
            if any(now - slot.asked < BEGIN_SECONDS for slot in waiting):
                return None
            return "its worker has not begun: the cluster has no room for it yet"
        shortages = [self._memory.shortage(resources, slot, busy) for slot in idle]
        return None if None in shortages else shortages[0]

    def start(self, folders: Sequence[RunFolder], resources: Resources) -> list[Handle]:
        """Send each folder to an idle actor, or to one that is about to begin.

        Raises ConfigError when the hosts do not see the folder.
        """
        return [self._start(folder, resources) for folder in folders]

    def adopt(self, folder: RunFolder, resources: Resources) -> Handle | None:
        """Return a handle of the attempt if an actor of an earlier coordinator works on it."""
        note = read_note(folder)
        if note is None or any(slot.name == note.actor for slot in self._slots):
            return None
        try:
            actor = self._ray.get_actor(note.actor, namespace=NAMESPACE)
            call = actor.adopt.remote(str(folder.path.absolute()), note.attempt)
            event: SlotEvent | None = self._ray.get(call, timeout=ANSWER_SECONDS)
            if event is None:
                return None
            place: SlotPlace = self._ray.get(actor.place.remote(), timeout=ANSWER_SECONDS)
        except (ValueError, self._ray.exceptions.RayError):
            return None
        slot = Slot(actor, note.actor, adopted=True)
        slot.begin(place)
        handle = RayHandle(folder, resources, slot)
        slot.follow(handle, event)
        self._slots.append(slot)
        self._seeing.add(place.node)
        self._memory.note(place.node, event.free_mib)
        self._look()
        return handle

    def wait(self, seconds: float) -> None:
        """Wait until an actor reports, ends or is lost, at most `seconds`."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
        pending = {slot.pending: slot for slot in self._slots if slot.pending is not None}
        if not pending:
            return
        busy = bool(self._busy())
        references = list(pending)
        ready, _ = self._ray.wait(references, num_returns=1, timeout=seconds if busy else 0.0)
        if ready and len(references) > 1:
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0.0)
        for reference in ready:
            self._receive(pending[reference], reference)
        if not ready:
            self._refuse_full()

    def leave(self) -> None:
        """Leave the runs to another coordinator, which has taken over: `close` ends none of them.

        Those that it does not adopt end with their lease.
        """
        for slot in [slot for slot in self._slots if slot.ready]:
            if (handle := slot.handle) is not None:
                slot.lose()
                handle.end(WorkerDeath(reason="left to another coordinator"))
                self._slots.remove(slot)

    def close(self) -> None:
        """End all actors, and the cluster if it was started here."""
        if self._closed.is_set():
            return
        self._closed.set()
        ends = [slot.actor.end.remote() for slot in self._slots if slot.ready]
        if ends:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.wait(ends, num_returns=len(ends), timeout=ANSWER_SECONDS)
        for slot in self._slots:
            self._dismiss(slot)
            if (handle := slot.lose()) is not None:
                handle.end(WorkerDeath())
        self._slots = []
        self._connection.close()

    def _start(self, folder: RunFolder, resources: Resources) -> RayHandle:
        while True:
            slot = self._choose(resources)
            if slot.place is None or self._sees(slot, folder):
                break
        handle = RayHandle(folder, resources, slot)
        slot.work(handle)
        return handle

    def _choose(self, resources: Resources) -> Slot:
        """Return an idle actor with enough memory, else one that begins, else a new one."""
        idle, busy = self._idle(), self._busy()
        fitting = [s for s in idle if self._memory.shortage(resources, s, busy) is None]
        for slot in (*fitting, *idle, *self._slots):
            if slot.handle is None and not slot.lost:
                return slot
        self._slots.append(self._new_slot())
        return self._slots[-1]

    def _new_slot(self) -> Slot:
        options = self._demand.options() | {"max_concurrency": CALLS}
        return new_slot(self._make, self._settings, options, NAMESPACE)

    def _idle(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.ready and slot.handle is None]

    def _busy(self) -> list[RayHandle]:
        return [slot.handle for slot in self._slots if slot.handle is not None]

    def _look(self, nodes: Sequence[Any] | None = None) -> None:
        """Follow the cluster: as many actors as it has room for, within the limit."""
        self._looked = time.monotonic()
        nodes = self._connection.nodes() if nodes is None else nodes
        seen = [node for node in nodes if node["NodeID"] not in self._blind]
        room = sum(self._demand.slots_on(node["Resources"]) for node in seen)
        wanted = room if self._most is None else min(room, self._most)
        if self._config.ray.autoscaling and self._most is not None:
            wanted = self._most  # those that find no room make the cluster grow
        wanted = max(1, wanted)
        self._slots = [slot for slot in self._slots if not slot.lost]
        while len(self._slots) < wanted:
            self._slots.append(self._new_slot())
        spare = [s for s in self._slots if s.place is None and s.handle is None and not s.adopted]
        for slot in spare[: max(0, len(self._slots) - wanted)]:
            self._dismiss(slot)
            self._slots.remove(slot)
        self.slots = max(1, min(len(self._slots), max(room, self.begun)))

    def _receive(self, slot: Slot, reference: Any) -> None:
        """Take the answer of an actor, or note that it is gone."""
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.ActorUnavailableError:
            # The network may come back, and Ray says when the actor is dead.
            slot.pending = slot.actor.hear.remote(slot.seen, 1.0)
            return
        except self._ray.exceptions.RayError as error:
            self._lose(slot, death_of(self._ray, error, slot))
            return
        if isinstance(answer, SlotPlace):
            self._begin(slot, answer)
        elif isinstance(answer, SlotEvent):
            if slot.place is not None:
                self._memory.note(slot.place.node, answer.free_mib)
            slot.hear(answer)

    def _begin(self, slot: Slot, place: SlotPlace) -> None:
        slot.begin(place)
        handle = slot.handle
        if why := self._unlike(place):
            self._exclude(slot, why)
        elif handle is not None and self._sees(slot, handle.folder):
            slot.work(handle)
            return
        if slot.lost and handle is not None and not handle.ended:
            self._choose(handle.resources).work(handle)

    def _unlike(self, place: SlotPlace) -> ConfigError | None:
        """Return why an actor cannot work for this study; None when it can."""
        if place.version != source_version():
            return ConfigError(
                f"{place.host} has tunewright {place.version}, and here is {source_version()}",
                expected="the same code on all nodes and here",
                remedy="Install the same version there, in the environment of `ray start`.",
            )
        if not place.has_directory:
            return _unseen(place.host, self._settings.directory)
        if place.problem:
            return ConfigError(f"no worker can be started on {place.host}: {place.problem}")
        return None

    def _sees(self, slot: Slot, folder: RunFolder) -> bool:
        """Return whether the node of an actor sees a run folder; asked once of each node."""
        place = slot.place
        assert place is not None
        if place.node in self._seeing:
            return True
        token = secrets.token_hex(16)
        file = folder.path / f".token.{secrets.token_hex(4)}"
        file.write_text(token, encoding="utf-8")
        try:
            call = slot.actor.sees.remote(str(file.absolute()), token)
            sees = bool(self._ray.get(call, timeout=ANSWER_SECONDS))
        except self._ray.exceptions.RayError as error:
            self._lose(slot, death_of(self._ray, error, slot))
            return False
        finally:
            file.unlink(missing_ok=True)
        if sees:
            self._seeing.add(place.node)
        else:
            self._exclude(slot, _unseen(place.host, str(folder.path.absolute())))
        return sees

    def _exclude(self, slot: Slot, why: ConfigError) -> None:
        """Do without a node that joined later; raise the reason for one that was there before.

        It is raised for one that joined later too, when there is no other.
        """
        assert slot.place is not None
        self._dismiss(slot)
        slot.lost = True
        if slot.place.node in self._first_nodes or not self.begun:
            raise why
        self._blind.add(slot.place.node)

    def _lose(self, slot: Slot, death: WorkerDeath) -> None:
        """Note that an actor is gone; a run that had not begun goes to another one."""
        handle = slot.lose()
        self._looked = -LOOK_SECONDS
        if handle is None:
            return
        if handle.killed or slot.place is None or slot.adopted or handle.began():
            handle.end(WorkerDeath() if handle.killed else death)
        else:
            self._choose(handle.resources).work(handle)

    def _dismiss(self, slot: Slot) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(slot.actor, no_restart=True)

    def _refuse_full(self) -> None:
        """Raise RunError when no actor has begun for too long, so that the study does not hang."""
        limit = self._config.ray.start_seconds
        if self.begun:
            return
        if all(time.monotonic() - slot.asked < limit for slot in self._slots):
            return
        free = self._ray.available_resources()
        raise RunError(
            f"no worker has begun on the Ray cluster within {limit} s",
            expected=f"room for {self._demand.describe()}; free are {free.get('CPU', 0.0):g} CPU, "
            f"{free.get('GPU', 0.0):g} GPU",
            remedy="Others may use the cluster: `ray status` shows it. executor.ray.start_seconds "
            "allows more time; the same command resumes.",
        )

    def _beat(self) -> None:
        """Tell the actors that this coordinator is alive, also while it is busy elsewhere."""
        while not self._closed.wait(BEAT_SECONDS):
            for slot in list(self._slots):
                if slot.ready:
                    with contextlib.suppress(Exception):  # of a cluster that is going away
                        slot.actor.beat.remote()


def _unseen(host: str, path: str) -> ConfigError:
    return ConfigError(
        f"{host} does not see {path}",
        expected="a file system that all nodes of the Ray cluster share, at the same path",
        remedy="Put the study there with --runs-dir, and type the command in a folder that they "
        "see too.",
    )
