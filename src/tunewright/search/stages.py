"""Explore, then final: a study at a cheap fidelity, then its winner trained in full."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from tunewright.config.compose import Composed
from tunewright.config.schema import RunConfig
from tunewright.config.tree import Tree
from tunewright.errors import RunError
from tunewright.executors.executor import Executor
from tunewright.executors.inline import InlineExecutor
from tunewright.executors.local import LocalExecutor
from tunewright.executors.machine import Share, share
from tunewright.executors.once import call
from tunewright.recipes.recipe import Recipe, Run, imported
from tunewright.runs.atomic import write_yaml
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import StudyRecord
from tunewright.search.address import without_password
from tunewright.search.budget import Budget, evaluated_in_time, finished_in_time
from tunewright.search.carry import carry, started_from
from tunewright.search.closing import closing
from tunewright.search.interrupt import Interrupted, stop_flag
from tunewright.search.lock import FolderLock, Lease, refuse_if_alive
from tunewright.search.loop import Ending, Loop, Search
from tunewright.search.prepare import (
    Prepared,
    full_configuration,
    prepare,
    refuse_leading_out,
    run_tree,
    trial_values,
)
from tunewright.search.pruning import pruner
from tunewright.search.rebase import rebase
from tunewright.search.repair import adopt
from tunewright.search.results import link_foreign_names, write_results
from tunewright.search.single import Trained, free_folder, is_done, pause_when_due, run_seeds
from tunewright.search.storage import silence_optuna, stored_lease
from tunewright.search.study import Study
from tunewright.search.watch import Silent, Watch
from tunewright.spaces.read import SpaceFile
from tunewright.training.trackers.tracker import require


@dataclass(frozen=True)
class Tuned:
    """What `tune` made. final: None when it was not asked for, or nothing finished."""

    folder: StudyFolder
    record: StudyRecord
    ending: Ending
    final: Trained | None
    evaluation: Mapping[str, Any] | None


def tune(
    recipe: Recipe,
    composed: Composed,
    *,
    given: SpaceFile | None = None,
    runs: Path = Path("runs"),
    watch: Watch | None = None,
    from_: str | None = None,
    imports: Sequence[str] = (),
) -> Tuned:
    """Search, resume if the study was begun before, then train and evaluate the winner.

    given: a space file, laid over the recipe's own. from_, imports: see `api.tune`. Raises a
    TunewrightError of the kind that fits for everything that can be known before the first
    trial; afterwards only for lost storage (StorageLost), a failed final training (RunError)
    and Ctrl-C (Interrupted).
    """
    began = time.monotonic()
    silence_optuna()
    watch = watch or Silent()
    prepared = prepare(recipe, composed, given=given, runs=runs)
    prepared, sources = started_from(recipe, prepared, from_, imports, runs)
    for notice in prepared.notices:
        watch.notice(notice)
    lock = FolderLock(prepared.folder.path)
    try:
        refuse_if_alive(prepared.name, stored_lease(prepared.url, prepared.name))
        if prepared.changed:
            rebase(recipe, prepared, watch)
        elif sources:
            carry(recipe, prepared, sources, [*([from_] if from_ else []), *imports], watch)
        executor_share = share(prepared.config.executor, prepared.config.study.jobs)
        watch.notice(
            f"{executor_share.slots} worker(s) with {executor_share.threads} CPU thread(s) each "
            f"({executor_share.why})"
        )
        seconds = prepared.config.study.budget
        budget = None if seconds is None else Budget(seconds, began)
        record, ending = _explore(recipe, composed, prepared, executor_share, watch, budget)
        trained, evaluation = None, None
        if prepared.config.study.final and record.best is not None:  # also when the time was up
            final = partial(_final, recipe, composed, prepared, record, executor_share, watch)
            trained = finished_in_time(budget, watch, partial(final, budget))
            winner = prepared.folder.trial(record.best.number)
            if trained is not None:
                winner = trained.best(prepared.settings.direction)
            measured = partial(evaluated, recipe, winner, composed.config, executor_share, None)
            evaluation = evaluated_in_time(budget, watch, measured)
        return Tuned(prepared.folder, record, ending, trained, evaluation)
    finally:
        lock.release()


def train(
    recipe: Recipe,
    composed: Composed,
    *,
    name: str | None = None,
    runs: Path = Path("runs"),
    watch: Watch | None = None,
) -> Trained:
    """Train one configuration in full, by one seed or several; the same call resumes."""
    watch = watch or Silent()
    require(composed.config.trackers.names)
    for notice in [*composed.notices, *recipe.check_data(composed.config)]:
        watch.notice(notice)
    metric = recipe.goals(composed.config)[0].metric
    if name is not None:
        refuse_leading_out(name, runs)
    folder = free_folder(runs / (name or f"train-{recipe.name}"), composed.tree)
    lock = FolderLock(folder.path)
    try:
        return _trained(
            folder,
            composed.tree,
            recipe,
            metric,
            composed.config,
            share(composed.config.executor, composed.config.study.jobs),
            watch,
        )
    finally:
        lock.release()


def evaluated(
    recipe: Recipe,
    folder: RunFolder,
    config: RunConfig,
    machine: Share,
    split: str | None = None,
    seconds: float | None = None,
) -> Mapping[str, Any] | None:
    """What the recipe's own evaluation says of a run, computed in a process of its own.

    seconds: after which that process is ended, with a RunError.
    """
    if not recipe.evaluate:
        return None
    function = _Late(recipe.evaluate)
    if config.executor.type == "inline":
        found: Mapping[str, Any] = function(folder.path, split)
        return found
    threads = machine.threads * machine.slots
    try:
        answer: Mapping[str, Any] = call(
            function, folder.path, split, threads=threads, seconds=seconds
        )
    except RunError as error:
        raise RunError(
            f"the evaluation of {folder.path} failed: {error}",
            remedy="The training is whole: "
            f"tunewright evaluate {quote(str(folder.path))} measures it again.",
        ) from None
    return answer


@dataclass(frozen=True)
class _Late:
    """A function by `module:function`, imported where it is called: in another process."""

    name: str

    def __call__(self, *arguments: Any) -> Any:
        return imported(self.name)(*arguments)


def _explore(
    recipe: Recipe,
    composed: Composed,
    prepared: Prepared,
    machine: Share,
    watch: Watch,
    budget: Budget | None,
) -> tuple[StudyRecord, Ending]:
    adopted = adopt(prepared.url, prepared.name, prepared.settings, prepared.folder)
    if adopted:
        watch.notice(
            f"trial {', '.join(map(str, adopted))} was not in the storage, as after a crash of the "
            "machine, and is taken from its folder"
        )
    study = Study(
        prepared.url,
        prepared.name,
        prepared.settings,
        prepared.space,
        outage_seconds=prepared.config.study.outage_seconds,
        told=watch.notice,
    )
    lease: Lease | None = None
    executor: Executor | None = None
    try:
        lease = Lease(study)
        _write_study_files(prepared, composed)
        seed = prepared.config.seed
        search = Search(
            folder=prepared.folder,
            goals=prepared.settings.goals,
            constraints=prepared.constraints,
            configure=lambda values: run_tree(recipe, prepared, values),
            seeds=range(seed, seed + prepared.config.study.seeds),
            last_step=prepared.config.training.epochs,
            total=prepared.config.study.trials,
            pruner=pruner(
                prepared.config.study.pruner,
                prepared.config.training.epochs,
                prepared.settings.direction,
            ),
            executor=prepared.config.executor,
            timeout=prepared.config.study.timeout,
            closing=closing(recipe, composed, prepared, machine),
            budget=budget,
        )
        loop = Loop(study, search, watch, lease)
        executor = make_executor(prepared.config, machine, loop.hear, _bound(recipe))
        try:
            with stop_flag(at_once=isinstance(executor, InlineExecutor)) as stop:
                ending = loop.run(executor, stop)
        except KeyboardInterrupt:
            raise _interrupted(prepared.name, len(loop.standing_by), search.total) from None
        record = study.record()
        write_results(
            prepared.folder,
            record,
            lambda trial: full_configuration(
                recipe, composed.tree, trial_values(recipe, prepared, trial.parameters)
            ),
        )
        link_foreign_names(prepared.folder, recipe.study_names)
        if ending == "interrupted":
            raise _interrupted(prepared.name, len(loop.standing_by), search.total)
        return record, ending
    finally:
        if executor is not None:
            executor.close()
        if lease is not None:
            lease.release()
        study.close()


def _final(
    recipe: Recipe,
    composed: Composed,
    prepared: Prepared,
    record: StudyRecord,
    machine: Share,
    watch: Watch,
    budget: Budget | None,
    until: float | None,
) -> Trained | None:
    best = record.best
    assert best is not None
    values = trial_values(recipe, prepared, best.parameters)
    tree = full_configuration(recipe, composed.tree, values)
    folder = prepared.folder.final
    previous = free_folder(folder.path, tree)
    if budget is not None and not is_done(previous) and not budget.allows(watch):
        return None
    if previous != folder:  # `final` is always the best trial's; what was there makes room
        aside = folder.path.with_name("final.aside")
        folder.path.rename(aside)
        if previous.path.exists():  # it was the best before, and is so again
            previous.path.rename(folder.path)
        aside.rename(previous.path)
        watch.notice(f"the final run of an earlier best is now in {previous.path}")
    watch.notice(f"final: trial {best.number} is trained in full, in {folder.path}")
    metric = prepared.settings.metric
    return _trained(folder, tree, recipe, metric, composed.config, machine, watch, until)


def _trained(
    folder: RunFolder,
    tree: Tree,
    recipe: Recipe,
    metric: str,
    config: RunConfig,
    machine: Share,
    watch: Watch,
    until: float | None = None,
) -> Trained:
    seeds = max(1, len(tree.get("seeds") or []))
    slots = min(machine.slots, seeds)
    threads = config.executor.threads or max(1, machine.threads * machine.slots // slots)
    one = replace(machine, slots=slots, threads=threads)
    executor = make_executor(config, one, partial(pause_when_due, folder, until), _bound(recipe))
    try:
        with stop_flag(at_once=isinstance(executor, InlineExecutor), until=until) as stop:
            return run_seeds(
                folder, tree, recipe.config, metric, executor, config.executor, watch, stop
            )
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped at once: the state is as old as the last checkpoint",
            remedy="The same command resumes.",
        ) from None
    finally:
        executor.close()


def make_executor(
    config: RunConfig, machine: Share, heard: Any, bound: Run | None = None
) -> Executor:
    """The executor that the configuration asks for. bound: see `job.run`."""
    if config.executor.type == "inline":
        return InlineExecutor(heard, threads=machine.threads, bound=bound)
    return LocalExecutor(
        machine.slots,
        threads=machine.threads,
        gpus=machine.gpus,
        fresh=config.executor.isolation == "trial",
        bound=bound,
        memory_gib=config.executor.memory_gib,
    )


def _bound(recipe: Recipe) -> Run | None:
    return None if isinstance(recipe.run, str) else recipe.run


def _write_study_files(prepared: Prepared, composed: Composed) -> None:
    write_yaml(
        prepared.folder.space,
        prepared.settings.space,
        header="The checked space of this study.",
    )
    write_yaml(
        prepared.folder.settings,
        {
            "name": prepared.name,
            "storage": without_password(prepared.url) if composed.config.study.storage else None,
            "configuration": _shown(composed.tree),
            "replaced": sorted({*prepared.reserved, *prepared.space.derived}),
            "settings": prepared.settings.as_stored(),
            "reserved": dict(prepared.reserved),
        },
        header="What `tunewright analyze` needs to know of this study.",
    )


def _shown(tree: Tree) -> Tree:
    """The configuration as it may lie in a file that others read."""
    storage = tree["study"]["storage"]
    return {**tree, "study": {**tree["study"], "storage": storage and without_password(storage)}}


def _interrupted(name: str, waiting: int, total: int) -> Interrupted:
    return Interrupted(
        f"stopped: every finished trial of {name!r} is stored; {waiting} running one(s) "
        "go on from their last checkpoints",
        remedy=f"Type the same command again to resume; the total stays {total} trials.",
    )
