"""Run one training from its run folder and write its outcome. Imports no Optuna."""

import gc
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from tunewright.config.check import validate
from tunewright.config.schema import RunConfig
from tunewright.recipes.recipe import Recipe, Run
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine.process_state import keep_working_directory, output_to
from tunewright.runs.record import Outcome
from tunewright.training.goal import score_of
from tunewright.training.memory.device import device_peak_mib, reset_device_peak
from tunewright.training.memory.freed import keep_freed_memory, return_freed_memory
from tunewright.training.memory.limit import limit_memory
from tunewright.training.randomness import seed_all
from tunewright.training.ranks.following import FollowingReporter
from tunewright.training.ranks.ranks import ALONE, Ranks, is_lost_connection, join
from tunewright.training.ranks.team import (
    RankLost,
    RankOrder,
    RankReport,
    RankTeam,
    follow_leader,
)
from tunewright.training.reporter import Reporter
from tunewright.training.state.failure import cause_of, reason_of
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
    processes: int = 1,
    team: RankTeam | None = None,
    on_killed_rank: Callable[[], None] | None = None,
) -> Outcome:
    """Train the run in `folder` and write its outcome; a failed training raises nothing.

    Raises DataError when the outcome cannot be written, and KeyboardInterrupt on Ctrl-C.
    threads: CPU threads for torch. on_report, on_poll: see `Reporter`. redirect: send the output of
    the process, native libraries included, to the run's `log.txt`. run_override: replaces the
    recipe's own `run`, for recipes that a configuration alone does not define. memory_gib: the
    memory limit of the run's processes together; see `training.memory.limit`. processes: how many
    train together, with their part of the threads and the memory. team: the other ones, kept for
    the next run; by default they end with the run. on_killed_rank: called in place of writing an
    outcome when one of them was killed by a signal; it does not return.
    """
    folder = RunFolder(folder.path.absolute())  # the training may change the working directory
    attempt = folder.attempt
    started = time.perf_counter()
    reporter = Reporter(folder, attempt, on_report, on_poll)
    try:
        try:
            with _log(folder, redirect), keep_working_directory():
                try:
                    used = _Share(threads, memory_gib, processes, team, on_killed_rank)
                    outcome = _lead(folder, reporter, used, run_override)
                except (Exception, SystemExit):
                    traceback.print_exc()
                    raise
        except (Exception, SystemExit) as error:
            if on_killed_rank is not None and isinstance(error, RankLost) and error.signal:
                on_killed_rank()
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


def _with_memory(
    outcome: Outcome, reporter: Reporter, others: Sequence[RankReport] = ()
) -> Outcome:
    """Return the outcome with its peaks: in RAM of all processes, on a GPU of the fullest."""
    memory = reporter.memory.mib()
    if others:
        memory = max(memory, reporter.memory.own_mib + sum(one.memory_mib for one in others))
    device = max(device_peak_mib(ask_driver=True), *(one.device_mib for one in others), 0.0)
    return replace(
        outcome,
        memory_mib=round(memory, 1),
        device_mib=round(device, 1),
        idle_mib=round(reporter.memory.idle_mib, 1),
    )


@dataclass(frozen=True)
class _Share:
    """What a run may use; see `run`."""

    threads: int | None
    memory_gib: float | None
    processes: int
    team: RankTeam | None = None
    on_killed_rank: Callable[[], None] | None = None

    def of_each(self) -> "_Share":
        """Return what each of the processes may use: a GPU each, or a part of the CPU's."""
        threads, memory = self.threads, self.memory_gib
        if threads is not None:
            threads = max(1, threads // self.processes)
        if memory is not None and not torch.cuda.is_available():
            memory /= self.processes
        return replace(self, threads=threads, memory_gib=memory)


def _lead(
    folder: RunFolder, reporter: Reporter, share: _Share, run_override: Run | None
) -> Outcome:
    """Train as the process that writes, with others if the configuration asks for them."""
    recipe, config = _recipe_and_config(folder, run_override)
    reporter.tracking = Tracking(folder, make_trackers(config.trackers))
    share = share.of_each()
    others: list[RankReport] = []
    with (
        limit_memory(share.memory_gib),
        _others(folder, reporter.attempt, share, others) as ranks,
    ):
        outcome = _train(recipe, config, folder, reporter, share.threads, ranks)
    outcome = _with_memory(outcome, reporter, others)
    if outcome.state == "done":
        for goal in recipe.goals(config):
            score_of(outcome.all_metrics, goal.metric, when="at the end of the run")
    return outcome


def _recipe_and_config(folder: RunFolder, run_override: Run | None) -> tuple[Recipe, RunConfig]:
    tree = folder.read_config()
    recipe = find_recipe(str(tree.get("recipe")))
    if run_override is not None:
        recipe = replace(recipe, run=run_override)
    return recipe, validate(tree, recipe.config)


def _train(
    recipe: Recipe,
    config: RunConfig,
    folder: RunFolder,
    reporter: Reporter,
    threads: int | None,
    ranks: Ranks,
) -> Outcome:
    _fresh_flags(threads)
    seed_all(config.seed)
    if ranks.alone:
        return recipe.start(folder, config, reporter)
    return recipe.start(folder, config, reporter, ranks)


@contextmanager
def _others(
    folder: RunFolder, attempt: int, share: _Share, reports: list[RankReport]
) -> Iterator[Ranks]:
    """Have the other processes of a run within the block; add what they say at the end.

    share: of each process. Raises RankLost where one of them failed first.
    """
    count = share.processes
    if count == 1:
        yield ALONE
        return
    team = RankTeam(serve_rank) if share.team is None else share.team
    order = RankOrder(
        str(folder.path), attempt, 0, count, "", share.threads, share.memory_gib
    )  # fmt: skip

    def end_stuck(lost: RankLost) -> None:
        """End this worker, which may wait for the lost rank for ever."""
        if share.on_killed_rank is None:
            return  # not a worker: an exchange on the CPU fails by itself
        print(lost, flush=True)
        if lost.signal:
            share.on_killed_rank()
        folder.write_outcome(Outcome("failed", attempt, cause_of(lost), reason_of(lost)))
        os._exit(os.EX_SOFTWARE)

    try:
        with join(0, count, team.begin(order, end_stuck)) as ranks:
            yield ranks
        reports += team.end()
    except BaseException as error:
        lost = team.lost() if is_lost_connection(error) else None
        team.close()
        if lost is not None:
            raise lost from error
        raise
    finally:
        if share.team is None:
            team.close()


def serve_rank(pipe: Connection, gpu: str | None) -> None:
    """Be a rank that follows, run after run, until rank 0 ends; see `training.ranks.team`."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    keep_freed_memory(os.environ)

    def train(order: RankOrder) -> None:
        folder = RunFolder(Path(order.folder))
        reporter = FollowingReporter(folder, order.attempt)
        try:
            with (
                output_to(folder.path / f"log-rank{order.rank}.txt"),
                keep_working_directory(),
                limit_memory(order.memory_gib),
            ):
                try:
                    recipe, config = _recipe_and_config(folder, None)
                    pipe.send(RankReport("ready"))
                    with join(order.rank, order.count, Path(order.meeting)) as ranks:
                        _train(recipe, config, folder, reporter, order.threads, ranks)
                except (Exception, SystemExit):
                    traceback.print_exc()
                    raise
        except (Exception, SystemExit) as error:
            if not is_lost_connection(error):  # else another rank's failure is the reason
                pipe.send(RankReport("failed", cause_of(error), reason_of(error)))
            os._exit(os.EX_SOFTWARE)  # closes the connections, which the others wait for
        peaks = reporter.memory.mib(), device_peak_mib(ask_driver=True)
        reporter.close()
        release_memory()
        pipe.send(RankReport("ended", memory_mib=peaks[0], device_mib=peaks[1]))

    follow_leader(pipe, train)


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
def _log(folder: RunFolder, redirect: bool) -> Iterator[None]:
    """Send both standard streams to `log.txt`, if asked to."""
    if not redirect:
        yield
        return
    with output_to(folder.log):
        yield
