"""An executor whose workers outlive their coordinator, as those of a cluster do."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from practice.quadratic.run import score
from practice.quadratic.studies import tuned
from tunewright.config.check import validate
from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.lease import holder, lease
from tunewright.runs.progress import ProgressWriter
from tunewright.runs.record import Outcome, Progress
from tunewright.search import explore
from tunewright.search.callbacks import PrintNotices
from tunewright.search.loop import lease as stored_lease

WORK = "import sys; from practice.components.outliving import work; work(sys.argv[1])"


class OutlivingHandle:
    """A worker with a number of its own; its parent may be another process."""

    def __init__(self, folder: RunFolder, pid: int) -> None:
        self.folder, self.pid = folder, pid
        self.death: WorkerDeath | None = None

    @property
    def ended(self) -> bool:
        return self.folder.read_outcome() is not None

    def kill(self) -> None:
        os.kill(self.pid, 9)

    def status(self) -> str:
        return f"process {self.pid}"


class OutlivingExecutor:
    """Two slots; where each attempt runs stands in its folder."""

    slots = 2

    def __init__(self) -> None:
        self.handles: list[OutlivingHandle] = []

    def refusal(self, resources: Resources) -> str | None:
        return None

    def start(self, folders: Sequence[RunFolder], resources: Resources) -> list[Handle]:
        for folder in folders:
            worker = subprocess.Popen(
                [sys.executable, "-c", WORK, str(folder.path)], start_new_session=True
            )
            worker.returncode = 0  # nobody waits for it
            place = {"pid": worker.pid, "attempt": folder.attempt}
            write_json(folder.path / "worker.json", place)
            self.handles.append(OutlivingHandle(folder, worker.pid))
        return list(self.handles[-len(folders) :])

    def adopt(self, folder: RunFolder, resources: Resources) -> Handle | None:
        place = read_json(folder.path / "worker.json")
        if place is None or place["attempt"] != folder.attempt:
            return None
        self.handles.append(OutlivingHandle(folder, place["pid"]))
        return self.handles[-1]

    def wait(self, seconds: float) -> None:
        time.sleep(0.05)

    def close(self) -> None:
        for handle in self.handles:
            if not handle.ended:
                handle.kill()

    def leave(self) -> None:
        self.handles.clear()


def work(path: str) -> None:
    """Do what a run of `quadratic` does, without torch, whoever listens."""
    folder = RunFolder(Path(path))
    attempt, saved = folder.attempt, folder.checkpoints / "last.json"
    config = validate(folder.read_config(), find_recipe("quadratic").config)
    start = (read_json(saved) or {"epoch": 0})["epoch"]
    writer = ProgressWriter(folder.progress, attempt, start)
    state, metrics = "done", {}
    for epoch in range(start + 1, config.training.epochs + 1):
        time.sleep(config.epoch_seconds)
        metrics = {"val_score": score(config.point, epoch)}
        writer.write(Progress(attempt, epoch, metrics, epoch * config.epoch_seconds))
        write_json(saved, {"epoch": epoch})
        while (folder.path.parents[2] / "hold").exists():  # a test wants all runs to stay
            time.sleep(0.05)
        request = folder.read_request(attempt)
        if request is not None and request.after <= epoch < config.training.epochs:
            state = {"pause": "paused", "prune": "pruned", "cancel": "failed"}[request.kind]
            break
    writer.close()
    folder.write_outcome(Outcome(state, attempt, best_step=1, metrics=metrics))


def coordinate(runs: str, host: str, *overrides: str) -> None:
    """Search as `tunewright tune` does, on a host of this name, with leases of two seconds."""
    lease.BEAT_SECONDS, lease.LEASE_SECONDS, lease.LOOK_SECONDS = 0.2, 2.0, 0.1
    stored_lease.BEAT_SECONDS = 0.2
    holder.this_host = lambda: holder.Host(host, host, host, "pid:[1]")
    explore.make_executor = lambda *_: OutlivingExecutor()
    tuned(Path(runs), *overrides, "study.report=false", watch=PrintNotices())
    print("ended", flush=True)
