"""One search on a task with curves, by the program's own study and loop in virtual time."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
from curve_tasks import CurveTask
from optuna.samplers._tpe import _truncnorm
from scipy.special import log_ndtr
from simulated_executor import Account, BudgetSpent, SimulatedExecutor

from tunewright.config.schema import ExecutorConfig
from tunewright.config.study_schema import (
    AshaConfig,
    CurvesConfig,
    HyperbandConfig,
    NoPrunerConfig,
    Pruner,
)
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Goal
from tunewright.runs.sqlite_url import sqlite_url
from tunewright.search.callbacks import StudyCallback
from tunewright.search.curves.curve_search import CurveSearch
from tunewright.search.curves.rungs import rungs_of
from tunewright.search.loop.curve_loop import CurveLoop
from tunewright.search.loop.lease import Lease
from tunewright.search.loop.study_loop import StudyLoop
from tunewright.search.loop.trial_runs import Search
from tunewright.search.signals import StopFlag
from tunewright.search.storage.database import Settings
from tunewright.search.study.pruners import pruner
from tunewright.search.study.study import Study
from tunewright.spaces.rules import Good
from tunewright.spaces.space import Space
from tunewright.spaces.specification import specification

START = 10
"""Random points that every method begins with, the same ones for a task and a seed."""
METHODS: Mapping[str, tuple[str, Pruner]] = {
    "curves": ("curves", NoPrunerConfig()),
    "tpe": ("tpe", NoPrunerConfig()),
    "tpe+asha": ("tpe", AshaConfig()),
    "tpe+hyperband": ("tpe", HyperbandConfig()),
    "random+asha": ("random", AshaConfig()),
    "random": ("random", NoPrunerConfig()),
}


def hurry_optuna() -> None:
    """Let SciPy compute a function that Optuna 5 computes one number at a time.

    The values are the same; a search by TPE is five times faster.
    """
    _truncnorm._log_ndtr = lambda a: log_ndtr(np.asarray(a, float))
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def search(
    task: CurveTask, method: str, seed: int, budgets: Sequence[float], workers: int = 1
) -> list[float]:
    """Return the regrets of one search after each budget, in trainings."""
    account = Account(task, budgets[-1] * task.full_cost)
    with tempfile.TemporaryDirectory() as folder:
        run_search(account, method, seed, workers, Path(folder))
    return account.regrets(budgets)


def _started(task: CurveTask, seed: int) -> Space:
    """Return the space with the random points that a search begins with: its defaults are one."""
    first, *others = task.points(seed, START)
    parameters = tuple(replace(p, default=first[p.path]) for p in task.space.parameters)
    good = tuple(Good(f"start {n}", "", values) for n, values in enumerate(others, 1))
    return replace(task.space, parameters=parameters, good=good)


def run_search(account: Account, method: str, seed: int, workers: int, folder: Path) -> None:
    """Run one search in a folder until its account is spent."""
    task = account.task
    sampler, stops = METHODS[method]
    space = _started(task, seed)
    settings = Settings(
        recipe="function",
        goal="value:max",
        metric="value",
        direction="max",
        sampler={"type": sampler},
        pruner=stops.model_dump(),
        space=specification(space),
        configuration={},
        seed=seed,
    )
    study = Study(sqlite_url(folder / "study.db"), "study", settings, space)
    given = Search(
        folder=StudyFolder(folder),
        goals=(Goal("value", "max"),),
        constraints=(),
        configure=dict,
        seeds=(seed,),
        last_step=task.last,
        total=100_000,
        pruner=pruner(stops, task.last, "max"),
        executor=ExecutorConfig(),
    )
    executor = SimulatedExecutor(account, workers)
    lease, watch = Lease(study), StudyCallback()
    loop = StudyLoop(study, given, watch, lease)
    if sampler == "curves":
        rungs = rungs_of(CurvesConfig(), task.last)
        curves = CurveSearch(space, rungs, seed=seed, startup=START)
        loop = CurveLoop(study, given, watch, lease, curves)
    try:
        loop.run(executor, StopFlag())
    except BudgetSpent:
        pass
    finally:
        executor.close()
        lease.release()
        study.close()
