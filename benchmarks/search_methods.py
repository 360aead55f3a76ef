"""How many trainings a search needs: regret against trainings on recorded learning curves.

python benchmarks/search_methods.py --data FOLDER [--tasks lcbench-3945,alexnet]
    [--methods curves,tpe] [--seeds 0:5] [--workers 1] [--rows rows.jsonl] [--write]

FOLDER holds `lcbench_surrogate/` (model.onnx, encoding.json) and `learning_curves/` (the recorded
tables). Every method runs through the program's own study and loop, on an executor in virtual
time; all of them start with the same ten random points. Printed and stored: the interquartile mean
of the regret, with intervals from resampling tasks and then seeds (Agarwal et al. 2021), and after
how many trainings a method reaches the regret that plain TPE has at the end. Needs onnxruntime.
"""

import argparse
import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from curve_tasks import TASKS, CurveTask, LCBench, read_alexnet, read_deberta
from machine import describe_machine
from simulated_executor import BudgetSpent, SimulatedExecutor

from tunewright.config.schema import ExecutorConfig
from tunewright.config.study_schema import AshaConfig, CurvesConfig, NoPrunerConfig, Pruner
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
from tunewright.spaces.specification import specification

BUDGETS = (5.0, 7.5, 10.0, 15.0, 20.0, 25.0, 30.0)
START = 10
RESULTS = Path(__file__).parent / "results/search_methods.json"
METHODS: Mapping[str, tuple[str, Pruner]] = {
    "curves": ("curves", NoPrunerConfig()),
    "tpe": ("tpe", NoPrunerConfig()),
    "tpe+asha": ("tpe", AshaConfig()),
    "random": ("random", NoPrunerConfig()),
}


def tasks(data: Path) -> Mapping[str, Callable[[], CurveTask]]:
    """Return the tasks by name; each is read when it is called."""
    curves = data / "learning_curves"
    found: dict[str, Callable[[], CurveTask]] = {
        f"lcbench-{n}": lambda n=n: LCBench(n, data / "lcbench_surrogate")  # type: ignore[misc]
        for n in TASKS
    }
    found["alexnet"] = lambda: read_alexnet(curves / "alexnet_tuning.results.jsonl.gz")
    found["deberta"] = lambda: read_deberta(curves / "deberta-base_tuning.results.jsonl.gz")
    return found


def search(
    task: CurveTask, method: str, seed: int, budgets: Sequence[float], workers: int
) -> list[float]:
    """Return the regrets of one search after each budget, in trainings."""
    sampler, stops = METHODS[method]
    good = [Good(f"start {n}", "", v) for n, v in enumerate(task.points(seed, START))]
    space = replace(task.space, good=tuple(good))
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
    executor = SimulatedExecutor(task, budgets[-1] * task.full_cost, workers)
    with tempfile.TemporaryDirectory() as folder:
        study = Study(sqlite_url(Path(folder) / "study.db"), "study", settings, space)
        given = Search(
            folder=StudyFolder(Path(folder)),
            goals=(Goal("value", "max"),),
            constraints=(),
            configure=dict,
            seeds=(seed,),
            last_step=task.last,
            total=100_000,
            pruner=pruner(stops, task.last, "max"),
            executor=ExecutorConfig(),
        )
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
    return list(_regrets(task, executor, budgets))


def _regrets(
    task: CurveTask, executor: SimulatedExecutor, budgets: Sequence[float]
) -> Iterator[float]:
    for budget in budgets:
        spent = budget * task.full_cost
        known = [values for at, values in executor.incumbents if at <= spent]
        yield task.regret((known or [executor.incumbents[0][1]])[-1])


def interquartile_mean(regrets: np.ndarray) -> np.ndarray:
    """Return the mean of the middle half over the first axis."""
    ranked, count = np.sort(regrets, 0), len(regrets)
    return ranked[count // 4 : count - count // 4].mean(0)


def trainings_to(curve: Sequence[float], target: float) -> float:
    """Return after how many trainings a curve over BUDGETS reaches a regret, log-linear between."""
    for place, value in enumerate(curve):
        if value <= target:
            if place == 0:
                return BUDGETS[0]
            before = curve[place - 1]
            weight = (before - target) / (before - value)
            low, high = math.log(BUDGETS[place - 1]), math.log(BUDGETS[place])
            return math.exp(low + weight * (high - low))
    return math.inf


def summarise(rows: Sequence[Mapping[str, Any]], resamples: int = 2000) -> dict[str, Any]:
    """Return means with intervals by method, over the tasks and seeds that all methods have."""
    known: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(dict)
    for row in rows:
        known[row["method"]][row["task"], row["seed"]] = row["regret"]
    runs = sorted(set.intersection(*(set(found) for found in known.values())))
    seeds: dict[str, list[int]] = defaultdict(list)
    for task, seed in runs:
        seeds[task].append(seed)

    def means(drawn: Sequence[tuple[str, int]]) -> dict[str, np.ndarray]:
        return {m: interquartile_mean(np.array([k[r] for r in drawn])) for m, k in known.items()}

    rng = np.random.default_rng(0)
    observed, resampled = means(runs), []
    for _ in range(resamples):
        tasks_drawn = rng.choice(list(seeds), len(seeds))
        drawn = [(t, int(s)) for t in tasks_drawn for s in rng.choice(seeds[t], len(seeds[t]))]
        resampled.append(means(drawn))
    found: dict[str, Any] = {}
    for method in known:
        low, high = np.quantile([each[method] for each in resampled], [0.025, 0.975], axis=0)
        needed = [trainings_to(each[method], each["tpe"][-1]) for each in resampled]
        found[method] = {
            "regret": observed[method].round(4).tolist(),
            "low": low.round(4).tolist(),
            "high": high.round(4).tolist(),
            "trainings_to_tpe_at_the_end": trainings_to(observed[method], observed["tpe"][-1]),
            "interval": np.quantile(needed, [0.025, 0.975], method="nearest").tolist(),
        }
    return {"tasks": len(seeds), "runs": len(runs), "methods": found}


def main() -> None:
    """Run what is asked for, print it and store it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", default="0:5")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rows", type=Path, help="JSONL of runs, which are not made again")
    parser.add_argument("--write", action="store_true", help=f"store the result in {RESULTS.name}")
    options = parser.parse_args()
    made = options.rows and options.rows.exists()
    rows = [json.loads(line) for line in options.rows.read_text().splitlines()] if made else []
    have = {(row["task"], row["seed"], row["method"]) for row in rows}
    low, high = map(int, options.seeds.split(":"))
    for name, read in tasks(options.data).items():
        if options.tasks and name not in options.tasks.split(","):
            continue
        task = None
        for seed in range(low, high):
            for method in options.methods.split(","):
                if (name, seed, method) in have:
                    continue
                task = task or read()
                began = time.process_time()
                regret = search(task, method, seed, BUDGETS, options.workers)
                row = {"task": name, "seed": seed, "method": method}
                row |= {"regret": regret, "seconds": round(time.process_time() - began, 2)}
                rows.append(row)
                print(json.dumps(row), flush=True)
                if options.rows:
                    with options.rows.open("a") as stream:
                        stream.write(json.dumps(row) + "\n")
    summary = summarise(rows)
    for method, entry in summary["methods"].items():
        print(f"{method:10}", entry)
    if options.write:
        result = {"machine": describe_machine(), "budgets": BUDGETS, "workers": options.workers}
        RESULTS.write_text(json.dumps(result | summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
