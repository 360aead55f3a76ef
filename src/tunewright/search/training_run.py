"""Train one configuration in full, with one seed or several: `train`, and the final stage."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunewright.config.apply import with_values
from tunewright.config.schema import ExecutorConfig as ExecutorConfig
from tunewright.config.schema import RunConfig
from tunewright.config.tree import Tree
from tunewright.errors import ConfigError, RunError
from tunewright.executors.executor import Executor, Handle
from tunewright.runs.atomic import write_json
from tunewright.runs.ending import Ending, ending_of
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import ProgressTail
from tunewright.runs.record import EndRequest, Outcome, rank_with_ties
from tunewright.runs.shared_choice import begin_sharing, read_shared_choice
from tunewright.search.callbacks import StudyCallback
from tunewright.search.loop.loop import WAIT_SECONDS
from tunewright.search.memory.admission import Memory
from tunewright.search.memory.oom_retry import original_config
from tunewright.search.prepare import run_part
from tunewright.search.signals import Interrupted, StopFlag, stopping_message
from tunewright.search.transfer.trial_matching import differences


@dataclass(frozen=True)
class TrainResult:
    """Finished runs and their scores; several when `seeds` were given."""

    metric: str
    folders: tuple[RunFolder, ...]
    outcomes: tuple[Outcome, ...]
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean score over seeds."""
        return sum(self.scores) / len(self.scores)

    @property
    def spread(self) -> float:
        """The standard deviation over seeds (n - 1); 0 for one seed."""
        if len(self.scores) < 2:
            return 0.0
        squares = sum((score - self.mean) ** 2 for score in self.scores)
        return float((squares / (len(self.scores) - 1)) ** 0.5)

    @property
    def endings(self) -> tuple[Ending | None, ...]:
        """How each run ended: with all of its epochs, or stopped early by patience."""
        return tuple(map(ending_of, self.folders))

    def best(self, direction: Literal["max", "min"]) -> RunFolder:
        """Return the folder of the best seed, the first of equal ones."""
        sign = -1.0 if direction == "max" else 1.0
        placed = rank_with_ties([(sign * score,) for score in self.scores])
        return self.folders[placed.index(min(placed))]


def free_folder(wanted: Path, tree: Mapping[str, Any]) -> RunFolder:
    """Return the first of `wanted`, `wanted-2`, ... that is empty or holds this configuration."""
    for count in range(1, 10_000):
        path = wanted if count == 1 else wanted.with_name(f"{wanted.name}-{count}")
        path = path.absolute()  # a training may change the working directory
        folder = RunFolder(path)
        try:
            if StudyFolder(path).settings.exists():
                continue  # never train inside a study's folder
            if not folder.config.exists() or not differences(original_config(folder), tree):
                return folder
        except ConfigError:
            continue  # unreadable: leave it alone
    raise ConfigError(
        f"{wanted} and 10,000 numbered names after it are taken", remedy="Choose another --name."
    )


def run_seeds(
    folder: RunFolder,
    tree: Tree,
    schema: type[RunConfig],
    metric: str,
    executor: Executor,
    limits: ExecutorConfig,
    watch: StudyCallback,
    stop: StopFlag,
) -> TrainResult:
    """Train `tree` in `folder`, or each of its `seeds` in a folder below; resume what was begun.

    Raises RunError with the reason when a run fails, Interrupted when a stop was requested.
    """
    seeds: Sequence[int] = tree.get("seeds") or []
    folders = [folder.by_seed(seed) for seed in seeds] or [folder]
    trees = [with_values(tree, {"seed": s, "seeds": []}, schema)[0] for s in seeds] or [tree]
    if seeds:  # write it first: it tells whose seeds lie below
        folder.write_config(run_part(tree))
        if read_shared_choice(folder.path.parent) is None:  # else the study shares with its seeds
            begin_sharing(folder.path, len(seeds) * tree["training"]["epochs"])
    for place, its_tree in zip(folders, trees, strict=True):
        if not place.config.exists():
            place.write_config(run_part(its_tree))
    todo = [place for place in folders if not is_done(place)]
    _train_all(todo, executor, limits, watch, stop, epochs=tree["training"]["epochs"])
    outcomes = [place.read_outcome() for place in folders]
    done = tuple(outcome for outcome in outcomes if outcome is not None)
    trained = TrainResult(metric, tuple(folders), done, tuple(o.all_metrics[metric] for o in done))
    if seeds:
        write_json(
            folder.path / "seeds.json",
            {
                "metric": metric,
                "scores": dict(zip(map(str, seeds), trained.scores, strict=True)),
                "mean": trained.mean,
                "standard_deviation": trained.spread,
            },
        )
    return trained


def pause_when_due(folder: RunFolder, until: float | None) -> None:
    """Request a pause of the runs in `folder` or its seeds' folders once the time is up."""
    if until is not None and time.monotonic() >= until:
        for place in folder.with_seeds():
            if place.attempt and place.read_outcome() is None:
                place.write_request(EndRequest("pause", place.attempt))


def is_done(folder: RunFolder) -> bool:
    """Return whether a run reached its end."""
    outcome = folder.read_outcome()
    return outcome is not None and outcome.state == "done"


def _train_all(
    folders: Sequence[RunFolder],
    executor: Executor,
    limits: ExecutorConfig,
    watch: StudyCallback,
    stop: StopFlag,
    *,
    epochs: int,
) -> None:
    waiting = list(folders)
    running: dict[Path, tuple[Handle, ProgressTail]] = {}
    deaths: dict[Path, int] = {}
    memory = Memory(limits, watch.notice)
    memory.executor = executor
    while waiting or running:
        while waiting and len(running) < executor.slots and not stop.set:
            beside = [handle for handle, _ in running.values()]
            if not memory.can_start(str(waiting[0].path), waiting[0], {}, beside):
                break
            folder = waiting.pop(0)
            attempt = folder.begin_attempt()
            [handle] = executor.start([folder], memory.resources_for(folder))
            running[folder.path] = (handle, ProgressTail(folder.progress, attempt))
        if stop.set:
            if stop.signalled and running:
                watch.notice(stopping_message(limits.grace_seconds))
            _pause(running, executor, limits.grace_seconds)
            raise _interrupted_training()
        executor.wait(WAIT_SECONDS)
        for path, (handle, tail) in list(running.items()):
            for progress in tail.poll():
                watch.on_epoch(progress.step, epochs, progress.metrics, progress.seconds)
            if not handle.ended:
                continue
            del running[path]
            folder, outcome = RunFolder(path), RunFolder(path).read_outcome()
            outcome = outcome or memory.oom_outcome(handle)
            if outcome is not None:
                memory.learn(folder, {}, outcome)
            if outcome is None:
                deaths[path] = deaths.get(path, 0) + 1
                if deaths[path] > limits.retries:
                    raise RunError(f"the training in {path} ended: {handle.death}")
                watch.notice(f"{handle.death}; resuming from its last checkpoint")
                waiting.append(folder)
            elif outcome.state == "paused":
                raise _interrupted_training()
            elif memory.retry_after_oom(str(path), folder, outcome):
                waiting.insert(0, folder)
            elif outcome.state != "done":
                raise RunError(
                    f"the training in {path} failed ({outcome.cause}): {outcome.reason}",
                    remedy=f"See the whole log in {folder.log}.",
                )


def _interrupted_training() -> Interrupted:
    return Interrupted(
        "stopped: the training will resume from its last checkpoint",
        remedy="Run the same command again to resume.",
    )


def _pause(
    running: dict[Path, tuple[Handle, ProgressTail]], executor: Executor, grace_seconds: float
) -> None:
    for path in running:
        folder = RunFolder(path)
        folder.write_request(EndRequest("pause", folder.attempt))
    deadline = time.monotonic() + grace_seconds
    while any(not handle.ended for handle, _ in running.values()):
        if time.monotonic() > deadline:
            return
        executor.wait(WAIT_SECONDS)
