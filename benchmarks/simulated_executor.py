"""An executor in virtual time: trainings replay recorded curves, and no second passes.

The search that drives it is the product's own: its study, sampler, pruner, pauses and promotions.
Each epoch takes one unit of virtual time on its slot; only epochs that a search has not seen of a
training before cost budget, so that recorded results are free when they are asked for again.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from curve_tasks import CurveTask

from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressWriter, read_progress
from tunewright.runs.record import Outcome, Progress


class BudgetSpent(Exception):
    """The epochs of the budget have been trained."""


@dataclass
class SimulatedHandle:
    """One attempt of a training. step: the last epoch that was reported."""

    folder: RunFolder
    values: dict[str, Any]
    writer: ProgressWriter
    attempt: int
    step: int
    ended: bool = False
    death: WorkerDeath | None = None

    def kill(self) -> None:
        """End the attempt."""
        self.ended = True

    def status(self) -> str:
        """Say where it runs."""
        return "in virtual time"


@dataclass
class SimulatedExecutor:
    """Trains on `slots` workers until `budget` epochs are spent.

    incumbents: by epochs spent, the configuration that would be delivered: the best last score of
    the finished trainings, else the best of those trained longest.
    """

    task: CurveTask
    budget: float
    slots: int = 1
    spent: int = 0
    incumbents: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _clock: float = 0.0
    _events: list[tuple[float, int, SimulatedHandle]] = field(default_factory=list)
    _count: int = 0
    _top: tuple[float, float] = (-1.0, 0.0)
    _seen: dict[object, int] = field(default_factory=dict)

    def refusal(self, resources: Resources) -> str | None:
        """Refuse nothing."""
        return None

    def start(self, folders: Sequence[RunFolder], resources: Resources) -> list[Handle]:
        """Begin the attempts, each from the last epoch that was reported, as from a checkpoint."""
        return [self._start(folder) for folder in folders]

    def adopt(self, folder: RunFolder, resources: Resources) -> Handle | None:
        return None

    def wait(self, seconds: float) -> None:
        """Go on to the next report."""
        if not self._events:
            return
        self._clock, _, handle = heapq.heappop(self._events)
        if not handle.ended:
            self._report(handle)

    def close(self) -> None:
        """Close the files."""
        for _, _, handle in self._events:
            handle.writer.close()

    def _start(self, folder: RunFolder) -> SimulatedHandle:
        stored = folder.read_parameters()
        assert stored is not None
        step = max((p.step for p in read_progress(folder.progress)), default=0)
        writer = ProgressWriter(folder.progress, folder.attempt, step)
        handle = SimulatedHandle(folder, dict(stored[0]), writer, folder.attempt, step)
        folder.checkpoints.mkdir(exist_ok=True)  # its state
        self._next(handle)
        return handle

    def _next(self, handle: SimulatedHandle) -> None:
        self._count += 1
        heapq.heappush(self._events, (self._clock + 1.0, self._count, handle))

    def _report(self, handle: SimulatedHandle) -> None:
        curve = self.task.curve(handle.values)
        handle.step += 1
        key = self.task.key(handle.values)
        if handle.step > self._seen.get(key, 0):
            if self.spent + 1 > self.budget:
                raise BudgetSpent
            self.spent += 1
            self._seen[key] = handle.step
        score, done = curve[handle.step - 1], handle.step == len(curve)
        self._judge(handle, score, done=done)
        metrics = {"value": score}
        handle.writer.write(Progress(handle.attempt, handle.step, metrics, float(handle.step)))
        request = handle.folder.read_request(handle.attempt)
        if not done and (request is None or request.after > handle.step):
            self._next(handle)
            return
        end = (
            "done" if done or request is None else "paused" if request.kind == "pause" else "pruned"
        )
        handle.folder.write_outcome(
            Outcome(end, handle.attempt, best_step=handle.step, metrics=metrics)
        )
        handle.writer.close()
        handle.ended = True

    def _judge(self, handle: SimulatedHandle, score: float, *, done: bool) -> None:
        diverged = score == 0.0  # such a training is delivered only where there is no other
        rank = (0.0 if diverged else float("inf") if done else float(handle.step), score)
        if rank > self._top:
            self._top = rank
            self.incumbents.append((self.spent, handle.values))
