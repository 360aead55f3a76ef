"""Run one training from its run folder and write its outcome. Imports no Optuna."""

import errno
import gc
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch

from tunewright.config.check import validate
from tunewright.errors import Diverged, OutOfMemory, TaskWeightsCollapsed, TunewrightError
from tunewright.recipes.recipe import Run
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Cause, Outcome, speaks_of_memory
from tunewright.training.goal import score_of
from tunewright.training.memory.device import device_peak_mib, reset_device_peak
from tunewright.training.memory.freed import return_freed_memory
from tunewright.training.memory.limit import limit_memory
from tunewright.training.randomness import seed_all
from tunewright.training.reporter import Reporter
from tunewright.training.trackers.tracking import Tracking, make_trackers


def run(
    folder: RunFolder,
    *,
    threads: int | None = None,
    on_report: Callable[[], None] | None = None,
    on_poll: Callable[[], None] | None = None,
    redirect: bool = True,
    run_override: Run | None = None,
    memory_gib: float | None = None,
) -> Outcome:
    """Train the run in `folder` and write its outcome; a failed training raises nothing.

    Raises DataError when the outcome cannot be written, and KeyboardInterrupt on Ctrl-C.
    threads: CPU threads for torch. on_report, on_poll: see `Reporter`. redirect: send the output of
    the process, native libraries included, to the run's `log.txt`. run_override: replaces the
    recipe's own `run`, for recipes that a configuration alone does not define. memory_gib: the
    memory limit of this process during the run; see `training.memory.limit`.
    """
    folder = RunFolder(folder.path.absolute())  # the training may change the working directory
    attempt = folder.attempt
    started = time.perf_counter()
    reporter = Reporter(folder, attempt, on_report, on_poll)
    try:
        try:
            with _log(folder, redirect), _keep_working_directory():
                try:
                    with limit_memory(memory_gib):
                        outcome = _train(folder, reporter, threads, run_override)
                except (Exception, SystemExit):
                    traceback.print_exc()
                    raise
        except (Exception, SystemExit) as error:
            seconds = time.perf_counter() - started
            outcome = Outcome("failed", attempt, cause_of(error), reason_of(error), seconds=seconds)
            outcome = _with_memory(outcome, reporter)
        if folder.attempt > attempt:  # another coordinator has begun the run again
            return outcome
        folder.write_outcome(outcome)
        with _log(folder, redirect):
            reporter.tracking.finish(outcome)  # may fail: the outcome is on disk already
    finally:
        reporter.close()
    return outcome


_ASKED = re.compile(r"allocate:? ((?P<size>[\d.]+ [KMGTP]iB)|(?P<bytes>\d+) bytes)")
_FREE = re.compile(r"of which (?P<size>[\d.]+ [KMGTP]iB) is free")


def cause_of(error: BaseException) -> Cause:
    """Return the kind of failure: it is counted, and it decides what the sampler learns."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, TaskWeightsCollapsed):
        return "task weights collapsed"
    if isinstance(error, OutOfMemory | MemoryError | torch.OutOfMemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return "out of memory"
    if isinstance(error, RuntimeError) and speaks_of_memory(str(error)):
        return "out of memory"
    return "error"


def reason_of(error: BaseException) -> str:
    """Return the error as one line of text for the user."""
    text = " ".join(str(error).split())
    if cause_of(error) == "out of memory" and not isinstance(error, TunewrightError):
        return _memory_reason(text)
    return text if isinstance(error, TunewrightError) else f"{type(error).__name__}: {text}"[:500]


def _memory_reason(text: str) -> str:
    """Return what was asked for and where, without torch's settings, addresses and frames."""
    where = "GPU" if "cuda" in text.lower() else "machine"
    if (asked := _ASKED.search(text)) is None:
        return f"the {where} could not give the memory that was asked for"
    size = float(asked["bytes"]) / 2**20 if asked["bytes"] else 0.0
    more = f"{size:,.0f} MiB" if size else asked["size"]
    free = _FREE.search(text)
    there = f", and {free['size']} are free" if free is not None and where == "GPU" else ""
    return f"{more} more were asked for on the {where}{there}"


def _with_memory(outcome: Outcome, reporter: Reporter) -> Outcome:
    return replace(
        outcome,
        memory_mib=round(reporter.memory.mib(), 1),
        device_mib=round(device_peak_mib(ask_driver=True), 1),
        idle_mib=round(reporter.memory.idle_mib, 1),
    )


def _train(
    folder: RunFolder, reporter: Reporter, threads: int | None, run_override: Run | None
) -> Outcome:
    tree = folder.read_config()
    recipe = find_recipe(str(tree.get("recipe")))
    if run_override is not None:
        recipe = replace(recipe, run=run_override)
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
    """Reset torch's global flags, so that a run in a warm worker starts as in a new process."""
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    if torch.are_deterministic_algorithms_enabled():  # the setter imports modules for seconds
        torch.use_deterministic_algorithms(False)
    torch.autograd.set_detect_anomaly(False)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if threads is not None:
        torch.set_num_threads(threads)
    reset_device_peak()


def release_memory() -> None:
    """Free the memory of the last run, on the device too; called between two runs of a worker."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return_freed_memory()


@contextmanager
def _keep_working_directory() -> Iterator[None]:
    """Return to the working directory afterwards: a user's function may change it."""
    try:
        before = Path.cwd()
    except FileNotFoundError:  # it was removed, so there is nothing to return to
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(before)


@contextmanager
def _log(folder: RunFolder, redirect: bool) -> Iterator[None]:
    """Send both standard streams, at the level of file descriptors, to `log.txt`."""
    if not redirect:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, number in zip(saved, (1, 2), strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(log)
