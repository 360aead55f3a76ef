"""An executor in virtual time: trainings replay recorded curves, and no second passes.

The search that drives it is the product's own: its study, sampler, pruner, pauses and promotions.
Each epoch takes one unit of virtual time on its slot; only epochs that a search has not seen of a
training before cost budget, so that recorded results are free when they are asked for again. A
trial that is pruned stops at once: a real one looks for a request after each batch.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from curve_tasks import CurveTask

from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressWriter, read_progress
from tunewright.runs.record import Outcome, OutcomeState, Progress


class BudgetSpent(Exception):
    """The epochs of the budget have been trained."""


@dataclass
class SimulatedHandle:
    """One attempt of a training. step: the last epoch that was reported. score: after it."""

    folder: RunFolder
    values: dict[str, Any]
    writer: ProgressWriter
    attempt: int
    step: int
    score: float = 0.0
    ended: bool = False
    death: WorkerDeath | None = None

    def kill(self) -> None:
        """End the attempt."""
        self.ended = True

    def status(self) -> str:
        """Say where it runs."""
        return "in virtual time"


@dataclass
class Account:
    """What a search has trained of a task, until `budget` epochs are spent.

    incumbents: by epochs spent, the configuration that would be delivered: the best last score of
    the finished trainings, else the best of those trained longest.
    """

    task: CurveTask
    budget: float
    spent: int = 0
    incumbents: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _top: tuple[float, float] = (-1.0, 0.0)
    _seen: dict[object, int] = field(default_factory=dict)

    def train_epoch(self, values: dict[str, Any], step: int) -> tuple[float, bool]:
        """Return the score after an epoch, and whether it was the last one.

        Raises BudgetSpent where that epoch is one too many; epochs seen before are free.
        """
        curve, key = self.task.curve(values), self.task.key(values)
        if step > self._seen.get(key, 0):
            if self.spent + 1 > self.budget:
                raise BudgetSpent
            self.spent += 1
            self._seen[key] = step
        score, done = curve[step - 1], step == len(curve)
        diverged = score == 0.0  # such a training is delivered only where there is no other
        rank = (0.0 if diverged else float("inf") if done else float(step), score)
        if rank > self._top:
            self._top = rank
            self.incumbents.append((self.spent, values))
        return score, done

    def regrets(self, budgets: Sequence[float]) -> list[float]:
        """Return the regret of what would be delivered after each budget, in trainings."""
        found = []
        for budget in budgets:
            spent = budget * self.task.full_cost
            known = [values for at, values in self.incumbents if at <= spent]
            found.append(self.task.regret((known or [self.incumbents[0][1]])[-1]))
        return found


@dataclass
class SimulatedExecutor:
    """Trains on `slots` workers until the account's budget is spent."""

    account: Account
    slots: int = 1
    _clock: float = 0.0
    _events: list[tuple[float, int, SimulatedHandle]] = field(default_factory=list)
    _count: int = 0
    _reported: SimulatedHandle | None = None  # the last one, which may be pruned for it

    def refusal(self, resources: Resources) -> str | None:
        """Refuse nothing."""
        return None

    def start(self, folders: Sequence[RunFolder], resources: Resources) -> list[Handle]:
        """Begin the attempts, each from the last epoch that was reported, as from a checkpoint."""
        return [self._start(folder) for folder in folders]

    def adopt(self, folder: RunFolder, resources: Resources) -> Handle | None:
        return None

    def wait(self, seconds: float) -> None:
        """Go on to the next report; a trial that is pruned for its last one stops without delay."""
        if self._reported is not None:
            handle, self._reported = self._reported, None
            request = handle.folder.read_request(handle.attempt)
            if request is not None and request.kind == "prune" and not handle.ended:
                self._end(handle, "pruned")
                return
        while self._events:
            self._clock, _, handle = heapq.heappop(self._events)
            if not handle.ended:
                self._report(handle)
                return

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
        handle.step += 1
        handle.score, done = self.account.train_epoch(handle.values, handle.step)
        metrics = {"value": handle.score}
        handle.writer.write(Progress(handle.attempt, handle.step, metrics, float(handle.step)))
        request = handle.folder.read_request(handle.attempt)
        if done:
            self._end(handle, "done")
        elif request is not None and request.after <= handle.step:
            self._end(handle, "paused" if request.kind == "pause" else "pruned")
        else:
            self._reported = handle
            self._next(handle)

    def _end(self, handle: SimulatedHandle, state: OutcomeState) -> None:
        metrics = {"value": handle.score}
        handle.folder.write_outcome(
            Outcome(state, handle.attempt, best_step=handle.step, metrics=metrics)
        )
        handle.writer.close()
        handle.ended = True
