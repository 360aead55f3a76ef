"""Measure the cost of training on this machine, from two epochs in a temporary folder.

As many copies train at once as a study would have trials at once, so that their competition for the
machine is measured too. Each copy stops after one epoch and resumes for another: the first start
includes the start of the process, the second only the start-up of every trial.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.config.schema import RunConfig
from tunewright.config.tree import Tree
from tunewright.errors import RunError, TunewrightError
from tunewright.executors.executor import Executor, Resources
from tunewright.executors.factory import make_executor
from tunewright.executors.resources import Share
from tunewright.recipes.recipe import Recipe
from tunewright.runs.documents import parse_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine import temporary_folders
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest, Outcome
from tunewright.search.evaluate_run import evaluate_run
from tunewright.search.forecast.disk import run_bytes
from tunewright.search.loop.run_loop import WAIT_SECONDS

ONCE_SECONDS = 60.0
"""If the first epoch takes longer, the second one is skipped."""
EVALUATION_SECONDS = 120.0
"""Time limit of a measured evaluation, and its lower bound when the limit is hit."""


@dataclass(frozen=True)
class MeasuredCost:
    """The cost of training the first configuration, with others like it at the same time.

    step_seconds: of an epoch. startup_seconds: of a trial in a warm worker, before and after its
    epochs. worker_seconds: until a new worker is warm. evaluation_seconds: None without an
    evaluation. run_bytes: a run folder without its checkpoints, which have checkpoint_bytes;
    evaluation_bytes: added by the evaluation. memory_mib: peak of a worker. reports: of a whole
    trial, at the pace of those measured.
    """

    step_seconds: float
    startup_seconds: float
    worker_seconds: float
    evaluation_seconds: float | None
    run_bytes: int
    checkpoint_bytes: int
    evaluation_bytes: int
    memory_mib: float
    reports: float


def measure(
    recipe: Recipe, tree: Tree, config: RunConfig, machine: Share, *, evaluates: bool
) -> MeasuredCost:
    """Train the configuration `tree` for two epochs, evaluate it, and delete it.

    config: says where it is trained. A run that reports nothing runs to its end. Raises RunError
    when the training fails, as it would in the study.
    """
    tree = {**tree, "trackers": {}}
    # The nodes of a cluster do not see this machine's temporary folder.
    place = Path.cwd() if config.executor.type == "slurm" else None
    named = temporary_folders.prefix("plan")
    with tempfile.TemporaryDirectory(prefix=named, dir=place) as temporary:
        folders = [RunFolder(Path(temporary) / str(copy)) for copy in range(machine.slots)]
        for folder in folders:
            folder.write_config(tree)
        executor = make_executor(recipe, config, machine, lambda: None, Path(temporary))
        try:
            first = _attempt(executor, folders)
            again = all(outcome.state == "paused" for outcome in first.outcomes)
            second = first
            if again and first.slot_seconds < ONCE_SECONDS:
                second = _attempt(executor, folders)
        finally:
            executor.close()
        one = folders[0]
        own, weights = run_bytes(one)
        took = None
        if evaluates and recipe.offers("evaluate"):
            began = time.monotonic()
            try:
                evaluate_run(recipe, one, config, seconds=EVALUATION_SECONDS)
            except TunewrightError:
                if time.monotonic() - began < EVALUATION_SECONDS:
                    raise
            took = time.monotonic() - began
        histories = [read_progress(folder.progress) for folder in folders]
        reports = [report for history in histories for report in history]
        steps = sum(history[-1].step for history in histories if history)
        per_step = len(reports) / steps if steps else 0.0
        # The last step of a function is no forecast: it may stop reporting long before.
        whole = bool(recipe.open_section) or all(o.state == "done" for o in second.outcomes)
        startup = second.slot_seconds - second.training_seconds
        return MeasuredCost(
            second.training_seconds / max(1, second.steps),
            startup if second.steps else second.slot_seconds,
            max(0.0, first.slot_seconds - first.training_seconds - startup),
            took,
            own,
            weights,
            run_bytes(one)[0] - own,
            max((report.memory_mib for report in reports), default=0.0),
            len(reports) / len(folders) if whole else per_step * config.training.epochs,
        )


@dataclass(frozen=True)
class _Attempt:
    """Means over the copies of an attempt."""

    outcomes: Sequence[Outcome]
    steps: float
    training_seconds: float
    slot_seconds: float


def _attempt(executor: Executor, folders: Sequence[RunFolder]) -> _Attempt:
    """Start each folder's run and have it pause at the end of its next epoch."""
    handles, began = [], {}
    for folder in folders:
        folder.write_request(EndRequest("pause", folder.begin_attempt()))
        began[folder.path] = time.monotonic()
        handles += executor.start([folder], Resources())
    ended: dict[Path, float] = {}
    while len(ended) < len(folders):
        executor.wait(WAIT_SECONDS)
        for handle in handles:
            if handle.ended and handle.folder.path not in ended:
                ended[handle.folder.path] = time.monotonic() - began[handle.folder.path]
    outcomes = []
    for handle in handles:
        outcome = handle.folder.read_outcome()
        if outcome is None or outcome.state == "failed":
            why = handle.death if outcome is None else f"{outcome.cause}: {outcome.reason}"
            lacked = (
                handle.death is not None and handle.death.out_of_memory
                if outcome is None
                else outcome.cause == "out of memory"
            )
            raise RunError(
                f"the first configuration does not train ({why})",
                remedy=(
                    "A study would retry with smaller micro-batches, then with no other trials "
                    "running: plan with fewer --jobs or a larger training.accumulate."
                )
                if lacked
                else (
                    "Nothing was stored. Run tunewright train with the same arguments to see its "
                    "log."
                ),
            )
        outcomes.append(outcome)
    rows = [_last_attempt(folder) for folder in folders]
    count = len(folders)
    return _Attempt(
        outcomes,
        sum(steps for steps, _ in rows) / count,
        sum(seconds for _, seconds in rows) / count,
        sum(ended.values()) / count,
    )


def _last_attempt(folder: RunFolder) -> tuple[int, float]:
    """Return the steps and seconds of training that the last attempt added."""
    start, before, step, seconds = 0, 0.0, 0, 0.0
    try:
        lines = folder.progress.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0, 0.0
    for line in map(parse_json, lines):
        if "resumed_from" in line:
            start, before = line["resumed_from"], seconds if line["resumed_from"] else 0.0
        elif "step" in line:
            step, seconds = line["step"], line["seconds"]
    return max(0, step - start), max(0.0, seconds - before)
