"""A run of `quadratic`: reports, checkpoints and ends as a training does, in microseconds."""

import json
import os
import resource
import signal
import time

from practice.quadratic.recipe import Fault, Point, QuadraticConfig
from tunewright.errors import Diverged
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome
from tunewright.training.reporter import Reporter

LEAKED: list[bytes] = []


def score(point: Point, epoch: int) -> float:
    """The curve of a point: rises towards minus its squared distance from the optimum."""
    distance = (point.x - 1.0) ** 2 + (point.y + 2.0) ** 2 + 5.0 * (point.side == "left")
    return -distance - 1.0 / epoch


def run(folder: RunFolder, config: QuadraticConfig, reporter: Reporter) -> Outcome:
    """One attempt; a checkpoint after every epoch holds nothing but the epoch."""
    faults = config.faults
    doomed = config.point.x >= faults.from_x and reporter.attempt <= faults.first_attempts
    if faults.leak_mib:
        LEAKED.append(b"x" * (faults.leak_mib * 2**20))
    saved = folder.checkpoints / "last.json"
    start = (read_json(saved) or {"epoch": 0})["epoch"]
    reporter.begin(start)
    print(f"attempt {reporter.attempt} from epoch {start} in process {os.getpid()}")
    metrics = _metrics(config.point, max(start, 1))
    for epoch in range(start + 1, config.training.epochs + 1):
        _sleep(config.epoch_seconds)
        metrics = _metrics(config.point, epoch)
        if doomed and faults.kind == "no goal":
            del metrics["val_score"]
        reporter.report(epoch, metrics, seconds=epoch * config.epoch_seconds)
        write_json(saved, {"epoch": epoch})
        if doomed and epoch >= faults.epoch:
            _go_wrong(faults.kind)
        request = reporter.request()
        if request is not None and epoch < config.training.epochs:
            state = {"pause": "paused", "prune": "pruned", "cancel": "failed"}[request.kind]
            return Outcome(state, reporter.attempt, "", request.reason, epoch, metrics)
    (folder.checkpoints / "best.json").write_text(json.dumps(metrics))
    return Outcome("done", reporter.attempt, best_step=config.training.epochs, metrics=metrics)


def _metrics(point: Point, epoch: int) -> dict[str, float]:
    value = score(point, epoch)
    return {"val_score": value, "val_loss": -value}


def _sleep(seconds: float) -> None:
    if seconds > 0.0:
        time.sleep(seconds)


def _go_wrong(kind: Fault) -> None:
    match kind:
        case "diverged":
            raise Diverged("the loss is not a finite number at step 7")
        case "out of memory":
            raise MemoryError
        case "out of device memory":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        case "error":
            raise ValueError("a bug in the recipe")
        case "exit":
            os._exit(3)
        case "signal 9":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            print("hangs", flush=True)
            time.sleep(3600)
        case "full disk":
            # Every later write of this process fails, as on a full disk (EFBIG for ENOSPC).
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
