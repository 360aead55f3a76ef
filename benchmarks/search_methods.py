"""How many trainings a search needs: regret against trainings on recorded learning curves.

python benchmarks/search_methods.py --data FOLDER --rows rows.jsonl [--suites one,workers]
    [--tasks lcbench-3945,alexnet] [--methods curves,tpe] [--seeds 0:3] [--part 0/2]
    [--recorded baselines.json.gz] [--smac PYTHON] [--syne-tune PYTHON] [--write]

FOLDER holds `lcbench_surrogate/` (model.onnx, encoding.json) and `learning_curves/` (the recorded
tables). Every method of ours runs through the program's own study and loop, on an executor in
virtual time; all of them start with the same ten random points of a task and a seed. Suites:

one      all methods with one worker, on all tasks, 30 trainings
workers  `curves` and `tpe+asha` with 4 and 16 workers, LCBench
noise    N(0, .01) is added to every score that a method sees, LCBench
long     `tpe` and `tpe+asha` for 60 trainings, LCBench
outside  SMAC and Syne Tune, LCBench, where `--smac` or `--syne-tune` name the Python of an
         environment that has it (`pip install smac`; `pip install syne-tune huggingface_hub`)

`--recorded` adds searches that were made before with the same random points: Optuna's TPE and its
Hyperband, and ASHA of promotion type, at random and with density proposals (KDE).

`--rows` collects the searches; those in it are not made again, so that the same command goes on
where it was interrupted. `--part 0/2` and `--part 1/2` share the work between two processes with
one file. `--write` stores the summary; with `--suites ""` no search is made. Needs onnxruntime.
A search writes a study of many small rows: `TMPDIR=/dev/shm` spares the disk.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from curve_tasks import TASKS, CurveTask, LCBench, Noisy, read_alexnet, read_deberta
from machine import describe_machine
from outside_search import TOOLS, search_outside
from search_run import METHODS, hurry_optuna, search
from search_summary import (
    Runs,
    behind,
    compare_workers,
    differences,
    read_recorded,
    read_rows,
    summarise,
)

BUDGETS = (5.0, 7.5, 10.0, 15.0, 20.0, 25.0, 30.0)
LONGER = (*BUDGETS, 40.0, 50.0, 60.0)
NOISE = 0.01
RESULTS = Path(__file__).parent / "results/search_methods.json"
RECORDED = {
    "tpe": "tpe, recorded",
    "tpe+hyperband": "tpe+hyperband, recorded",
    "asha-random": "random+asha promoting, recorded",
    "asha-tpe-min3": "kde+asha promoting, recorded",
}


class Suite(NamedTuple):
    """Searches under the same circumstances."""

    methods: Sequence[str]
    workers: Sequence[int] = (1,)
    budgets: Sequence[float] = BUDGETS
    noise: float = 0.0
    tables: bool = False


SUITES = {
    "one": Suite(tuple(METHODS), tables=True),
    "workers": Suite(("curves", "tpe+asha"), workers=(4, 16)),
    "noise": Suite(("curves", "tpe", "tpe+asha", "random"), noise=NOISE),
    "long": Suite(("tpe", "tpe+asha"), budgets=LONGER),
    "outside": Suite(tuple(TOOLS)),
}


class Job(NamedTuple):
    """One search."""

    suite: str
    seed: int
    task: str
    method: str
    workers: int


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


def jobs(options: argparse.Namespace, names: Sequence[str]) -> list[Job]:
    """Return the searches that are asked for, seed by seed, so that an early end is balanced."""
    low, high = map(int, options.seeds.split(":"))
    part, parts = map(int, options.part.split("/"))
    suites = [name for name in options.suites.split(",") if name]
    wanted = options.methods.split(",") if options.methods else [*METHODS, *TOOLS]
    wanted = [m for m in wanted if m in METHODS or vars(options)[m.replace("-", "_")]]
    found = [
        Job(suite, seed, task, method, workers)
        for seed in range(low, high)
        for suite in suites
        for task in names
        if SUITES[suite].tables or task.startswith("lcbench")
        for method in SUITES[suite].methods
        if method in wanted
        for workers in SUITES[suite].workers
    ]
    return found[part::parts]


def run(job: Job, task: CurveTask, options: argparse.Namespace) -> list[float]:
    """Return the regrets of one search."""
    suite = SUITES[job.suite]
    if suite.noise:
        task = Noisy(task, suite.noise, job.seed)
    if job.method in TOOLS:
        python = vars(options)[job.method.replace("-", "_")]
        return search_outside(task, job.method, python, job.seed, suite.budgets)
    return search(task, job.method, job.seed, suite.budgets, job.workers)


def run_all(options: argparse.Namespace) -> None:
    """Make the searches that the file of rows does not hold, and add them to it."""
    readers = tasks(options.data)
    names = [n for n in readers if not options.tasks or n in options.tasks.split(",")]
    have = {tuple(row[key] for key in Job._fields) for row in read_rows(options.rows)}
    todo = [job for job in jobs(options, names) if tuple(job) not in have]
    read: dict[str, CurveTask] = {}
    began = time.monotonic()
    for place, job in enumerate(todo):
        if job.task not in read:
            read[job.task] = readers[job.task]()
        started = time.process_time()
        regret = run(job, read[job.task], options)
        seconds = round(time.process_time() - started, 2)
        row = job._asdict() | {"regret": [round(r, 5) for r in regret], "seconds": seconds}
        with options.rows.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        left = (time.monotonic() - began) / (place + 1) * (len(todo) - place - 1)
        print(
            f"{place + 1} of {len(todo)}, {left / 60:.0f} min left: {job.suite} {job.task} "
            f"seed {job.seed} {job.method} x{job.workers}: {regret[2]:.3f} at 10",
            flush=True,
        )


def by_method(rows: Sequence[Mapping[str, Any]], suite: str) -> dict[str, Runs]:
    """Return the regrets of a suite by method; several workers are part of the name."""
    found: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(dict)
    for row in rows:
        if row["suite"] == suite:
            several = f", {row['workers']} workers" if row["workers"] > 1 else ""
            found[row["method"] + several][row["task"], row["seed"]] = row["regret"]
    return dict(found)


def only(known: Mapping[str, Runs], begin: str) -> dict[str, Runs]:
    """Return the runs of the tasks whose name begins so."""
    chosen = {m: {r: v for r, v in k.items() if r[0].startswith(begin)} for m, k in known.items()}
    return {method: runs for method, runs in chosen.items() if runs}


def summary(rows: Sequence[Mapping[str, Any]], recorded: Path | None) -> dict[str, Any]:
    """Return what is stored: each suite by itself, with plain TPE of one worker as its measure."""
    one = by_method(rows, "one")
    if recorded is not None:
        before = read_recorded(recorded, RECORDED)
        one |= {m: {r: v[: len(BUDGETS)] for r, v in k.items()} for m, k in before.items()}
    found: dict[str, Any] = {"one": summarise(one, BUDGETS)}
    for name in ("lcbench", "alexnet", "deberta"):
        if part := only(one, name):
            found[f"one, {name}"] = summarise(part, BUDGETS)
    if {"curves", "random"} <= set(one):
        found["curves behind random at 10, by task"] = behind(one, "curves", "random", 2)
    for other in ("tpe", "tpe+asha", *RECORDED.values()):
        if {"curves", other} <= set(one):
            found[f"curves - {other}"] = differences(one, "curves", other)
    if workers := by_method(rows, "workers"):
        shared = only({m: one[m] for m in ("tpe", *SUITES["workers"].methods) if m in one}, "lcb")
        found["workers"] = summarise(shared | workers, BUDGETS)
        found["trainings with several workers, times those with one"] = {
            many: compare_workers(shared | workers, many.partition(",")[0], many, BUDGETS)
            for many in workers
            if many.partition(",")[0] in shared
        }
    if noise := by_method(rows, "noise"):
        found["noise"] = summarise(noise, BUDGETS)
    if long := by_method(rows, "long"):
        found["long"] = {"budgets": LONGER, **summarise(long, LONGER)}
        if {"tpe+asha", "tpe"} <= set(long):
            found["long, tpe+asha - tpe"] = differences(long, "tpe+asha", "tpe")
    if outside := by_method(rows, "outside"):
        shared = {m: one[m] for m in ("tpe", "curves", "tpe+asha") if m in one}
        found["outside"] = summarise(only(shared | outside, "lcb"), BUDGETS)
    return found


def main() -> None:
    """Make the searches, print the summary and store it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="JSONL, to which rows are added")
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--tasks", default="")
    parser.add_argument("--methods", default="")
    parser.add_argument("--seeds", default="0:3")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--recorded", type=Path)
    parser.add_argument("--smac", type=Path)
    parser.add_argument("--syne-tune", type=Path)
    parser.add_argument("--write", action="store_true", help=f"store {RESULTS.name}")
    options = parser.parse_args()
    hurry_optuna()
    run_all(options)
    rows = read_rows(options.rows)
    found = summary(rows, options.recorded)
    for name, part in found.items():
        print(f"\n{name}")
        entries = part.get("methods", {"": part})
        for method, entry in entries.items():
            print(f"  {method:24}", json.dumps(entry))
    if options.write:
        seconds: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            if row["suite"] == "one":
                seconds[row["method"]].append(row["seconds"])
        result = {"machine": describe_machine(), "budgets": BUDGETS} | found
        result["processor_seconds_a_search"] = {
            method: round(sum(each) / len(each), 1) for method, each in seconds.items()
        }
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
