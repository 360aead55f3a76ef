"""The processes beside this one that train with it: started once, warm, and ended with it.

They are spawned by rank 0 and stay in its process group, so whoever kills that group kills all.
Each has a pipe to rank 0; when that closes, it ends at once.
"""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Literal

from tunewright.errors import RunError
from tunewright.runs.machine.led_process import (
    leave_signals_to_parent,
    no_script,
    signals_blocked,
)
from tunewright.runs.record import Cause

START_SECONDS = 300.0
"""How long a process may take to start: it imports torch, on a cold disk."""
END_SECONDS = 60.0
"""How long the other ranks may take to end after rank 0 has."""
GRACE_SECONDS = 3.0
"""After the loss of a rank, how long an exchange with it may take to fail by itself."""


@dataclass(frozen=True)
class RankOrder:
    """What a rank is told: the run, who it is, where all meet, and what it may use."""

    folder: str
    attempt: int
    rank: int
    count: int
    meeting: str
    threads: int | None
    memory_gib: float | None


@dataclass(frozen=True)
class RankReport:
    """What a rank says: that it is there, that it has ended, with its peaks, or that it failed."""

    kind: Literal["ready", "ended", "failed"]
    cause: Cause = ""
    reason: str = ""
    memory_mib: float = 0.0
    device_mib: float = 0.0


class RankLost(RunError):
    """A rank failed or died. cause: of its failure; signal: that killed it, if one did."""

    def __init__(self, came: str, *, cause: Cause = "error", signal: int | None = None) -> None:
        super().__init__(came)
        self.cause: Cause = cause
        self.signal = signal


@dataclass(eq=False)
class _Member:
    """A process of a team. heard: what it said in this run."""

    process: SpawnProcess
    pipe: Connection
    heard: list[RankReport] = field(default_factory=list)

    def has(self, kind: str) -> bool:
        return any(report.kind == kind for report in self.heard)


class RankTeam:
    """The other ranks of a run, kept for the next one until `close`.

    serve: what each process runs: `serve(pipe, gpu)`, a function of a module, which begins with
    `follow_leader`. gpus: the devices of all ranks, rank 0's first; empty for the CPU.
    """

    def __init__(
        self, serve: Callable[[Connection, str | None], None], gpus: Sequence[str] = ()
    ) -> None:
        self._serve, self._gpus = serve, list(gpus)
        self._members: list[_Member] = []
        self._changed = threading.Condition()
        self._watcher: threading.Thread | None = None
        self._runs = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def begin(self, order: RankOrder, on_stuck: Callable[[RankLost], None]) -> Path:
        """Start a run on `order.count` processes; return where they meet, once all are there.

        order: of rank 0; the others get their own. on_stuck: called in another thread when a rank
        was lost and this process still waits for it after a while. Raises RankLost.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="tunewright-ranks-")
        meeting = Path(self._folder.name) / "meeting"
        self._fill(order.count - 1)
        self._runs = True
        for rank, member in enumerate(self._members, start=1):
            member.heard.clear()
            told = {**vars(order), "rank": rank, "meeting": str(meeting)}
            try:
                member.pipe.send(RankOrder(**told))
            except OSError:
                continue  # it is dead, which the watcher sees
        self._watcher = threading.Thread(
            target=self._watch, args=(on_stuck,), name="ranks", daemon=True
        )
        self._watcher.start()
        if not self._wait_for("ready", START_SECONDS):
            raise RankLost(f"a process did not start within {START_SECONDS:g} s")
        return meeting

    def end(self) -> list[RankReport]:
        """Wait until the other ranks have ended the run too; return what they say of it."""
        there = self._wait_for("ended", END_SECONDS)
        self._stop_watching()
        if not there:
            self.close()
        return [report for member in self._members for report in member.heard]

    def lost(self, seconds: float = GRACE_SECONDS) -> RankLost | None:
        """Return which rank was lost, looking for at most `seconds`; None if all are there."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (lost := self._find_lost()) is None:
                if not self._changed.wait(deadline - time.monotonic()) and (
                    time.monotonic() >= deadline
                ):
                    return self._find_lost()
        return lost

    def close(self) -> None:
        """Kill the other ranks: after a failure, their exchanges fit no longer."""
        self._stop_watching()
        for member in self._members:
            member.process.kill()
        for member in self._members:
            member.process.join()
            member.pipe.close()
            member.process.close()
        self._members = []

    def _fill(self, others: int) -> None:
        """Have so many live processes; start those that are missing."""
        if len(self._members) > others or any(not m.process.is_alive() for m in self._members):
            self.close()
        context = multiprocessing.get_context("spawn")
        while len(self._members) < others:
            rank = len(self._members) + 1
            near, far = context.Pipe()
            gpu = self._gpus[rank] if rank < len(self._gpus) else None
            process = context.Process(
                target=self._serve, args=(far, gpu), name=f"tunewright-rank-{rank}"
            )
            try:
                with signals_blocked(), no_script():
                    process.start()
            except OSError as error:
                near.close()
                raise RunError(
                    f"process {rank} of the trial cannot be started ({error})",
                    remedy="The machine may be out of memory or processes. Use fewer --jobs.",
                ) from None
            finally:
                far.close()
            self._members.append(_Member(process, near))

    def _wait_for(self, kind: str, seconds: float) -> bool:
        """Wait until all have said so; raises RankLost when one fails or dies before."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not all(member.has(kind) for member in self._members):
                if (lost := self._find_lost()) is not None:
                    raise lost
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return False
        return True

    def _find_lost(self) -> RankLost | None:
        """Return the rank that said most about its end: an error first, then a death."""
        dead: RankLost | None = None
        for rank, member in enumerate(self._members, start=1):
            for report in member.heard:
                if report.kind == "failed":
                    came = f"rank {rank} of {len(self._members) + 1} processes: {report.reason}"
                    return RankLost(came, cause=report.cause)
            if not member.process.is_alive() and dead is None:
                dead = _death(rank, len(self._members) + 1, member.process.exitcode or 0)
        return dead

    def _watch(self, on_stuck: Callable[[RankLost], None]) -> None:
        """Hear the ranks until the run has ended; see to it that this process does not hang."""
        lost_at: float | None = None
        while self._runs:
            self._hear()
            with self._changed:
                self._changed.notify_all()
                lost = self._find_lost()
            if lost is None:
                continue
            now = time.monotonic()
            lost_at = lost_at or now
            if now - lost_at > GRACE_SECONDS and self._runs:
                on_stuck(lost)
                return
            time.sleep(0.05)

    def _hear(self) -> None:
        """Wait for a message or a death, shortly, and keep the messages."""
        live = [member for member in self._members if member.process.is_alive()]
        pipes: dict[Any, _Member] = {member.pipe: member for member in live}
        wait([*pipes, *(member.process.sentinel for member in live)], timeout=0.2)
        for member in self._members:
            try:
                while member.pipe.poll():
                    member.heard.append(member.pipe.recv())
            except (EOFError, OSError):
                member.process.join(1.0)  # it is ending: then its exit code is known

    def _stop_watching(self) -> None:
        self._runs = False
        watcher, self._watcher = self._watcher, None
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _death(rank: int, count: int, code: int) -> RankLost:
    if code < 0:
        return RankLost(
            f"rank {rank} of {count} processes was killed by signal {-code}",
            cause="killed",
            signal=-code,
        )
    return RankLost(f"rank {rank} of {count} processes exited with code {code}", cause="killed")


def follow_leader(pipe: Connection, handle: Callable[[RankOrder], None]) -> None:
    """Call `handle` with each order, and die when rank 0 does, whatever is going on."""
    leave_signals_to_parent()
    orders: list[RankOrder] = []
    there = threading.Condition()

    def listen() -> None:
        while True:
            try:
                order = pipe.recv()
            except (EOFError, OSError):
                os.kill(os.getpid(), signal.SIGKILL)  # before it can write anything more
            with there:
                orders.append(order)
                there.notify()

    threading.Thread(target=listen, daemon=True).start()
    while True:
        with there:
            while not orders:
                there.wait()
            order = orders.pop(0)
        handle(order)
