"""What a worker runs: one run folder in, one outcome out. Imports no Optuna."""

import ctypes
import errno
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import torch

from tunewright.config.check import validate
from tunewright.errors import Diverged, OutOfMemory, TunewrightError
from tunewright.recipes.recipe import Run
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Cause, Outcome, speaks_of_memory
from tunewright.training.goal import score_of
from tunewright.training.memory.device import device_peak_mib, reset_device_peak
from tunewright.training.memory.limit import limit_memory
from tunewright.training.randomness import seed_all
from tunewright.training.reporter import Reporter
from tunewright.training.trackers.tracking import Tracking, make_trackers


def run(
    folder: RunFolder,
    *,
    threads: int | None = None,
    heard: Callable[[], None] | None = None,
    redirect: bool = True,
    bound: Run | None = None,
    memory_gib: float | None = None,
) -> Outcome:
    """Train what lies in `folder` and write its outcome; never raises for a failed training.

    Raises DataError when not even the outcome can be written, KeyboardInterrupt on Ctrl-C.
    threads: CPU threads for torch. heard: called after each report. redirect: send what the
    process prints to the run's `log.txt`, native libraries included. bound: what runs, for a
    recipe that the folder's configuration does not say all of. memory_gib: the most that this
    process may hold meanwhile; see `training.memory_limit`.
    """
    attempt = folder.attempt
    started = time.perf_counter()
    reporter = Reporter(folder, attempt, heard)
    try:
        try:
            with _log(folder, redirect):
                try:
                    with limit_memory(memory_gib):
                        outcome = _train(folder, reporter, threads, bound)
                except (Exception, SystemExit):
                    traceback.print_exc()
                    raise
        except (Exception, SystemExit) as error:
            seconds = time.perf_counter() - started
            outcome = Outcome("failed", attempt, cause_of(error), reason_of(error), seconds=seconds)
            outcome = _with_memory(outcome, reporter)
        folder.write_outcome(outcome)
        with _log(folder, redirect):
            reporter.tracking.finish(outcome)  # whatever it does, the outcome is on disk
    finally:
        reporter.close()
    return outcome


def cause_of(error: BaseException) -> Cause:
    """The kind of failure, for counting and for what the sampler is told."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, OutOfMemory | MemoryError | torch.OutOfMemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return "out of memory"
    if isinstance(error, RuntimeError) and speaks_of_memory(str(error)):
        return "out of memory"
    return "error"


def reason_of(error: BaseException) -> str:
    """One line for people."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TunewrightError) else f"{type(error).__name__}: {text}"[:500]


def _with_memory(outcome: Outcome, reporter: Reporter) -> Outcome:
    return replace(
        outcome,
        memory_mib=round(reporter.memory.mib(), 1),
        device_mib=round(device_peak_mib(ask_driver=True), 1),
        idle_mib=round(reporter.memory.idle_mib, 1),
    )


def _train(
    folder: RunFolder, reporter: Reporter, threads: int | None, bound: Run | None
) -> Outcome:
    tree = folder.read_config()
    recipe = find_recipe(str(tree.get("recipe")))
    if bound is not None:
        recipe = replace(recipe, run=bound)
    config = validate(tree, recipe.config)
    reporter.tracking = Tracking(folder, make_trackers(config.trackers))
    _fresh_flags(threads)
    seed_all(config.seed)
    outcome = _with_memory(recipe.start(folder, config, reporter), reporter)
    if outcome.state == "done":
        for goal in recipe.goals(config):
            score_of(outcome.all_metrics, goal.metric, when="at the end of the run")
    return outcome


def _fresh_flags(threads: int | None) -> None:
    """A warm worker starts each run as a new process would, whatever the last one changed."""
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    if torch.are_deterministic_algorithms_enabled():  # to ask is free, to set imports for seconds
        torch.use_deterministic_algorithms(False)
    torch.autograd.set_detect_anomaly(False)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if threads is not None:
        torch.set_num_threads(threads)
    reset_device_peak()


def release_memory() -> None:
    """Between two runs of a worker: nothing of the last one stays, on the device either."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with suppress(AttributeError, OSError):  # only the GNU library has it
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def _log(folder: RunFolder, redirect: bool) -> Iterator[None]:
    """Both standard streams, down to the file descriptors, go to `log.txt`."""
    if not redirect:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, number in zip(kept, (1, 2), strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(log)
