"""What a trial costs more in jobs than on warm local workers: 200 trials of one epoch of `pairs`.

The same run folders are given to each executor, as the coordinator's loop gives them, `--jobs` at
once; no search is in the time, and the training is the same in both. The first runs, during which
workers and jobs begin, are not in it. Arms:

- local: `executor.type=local`, warm worker processes.
- local_jobs: `executor.type=local_jobs`, warm workers in jobs; orders and states are files. What a
  cluster's file system adds to them is not measured here.

    python benchmarks/batch_jobs_overhead.py [--trials N] [--rounds N] [--quick]
"""

import argparse
import tempfile
import time
from pathlib import Path

from rounds import again, judge, ratio, run_rounds, save

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.executors.executor import Executor, Resources
from tunewright.executors.factory import EXECUTORS, ExecutorRequest
from tunewright.executors.resources import Share
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.prepare import run_part

FIGURE = "ms_per_trial"
WORDS = ("training.epochs=1", "training.patience=null")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a short try; writes no result")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.rounds = 20, 2
    tree = run_part(compose(find_recipe("pairs"), WORDS).tree)
    with tempfile.TemporaryDirectory() as place:
        executors: dict[str, Executor] = {}
        for name in ("local", "local_jobs"):
            request = ExecutorRequest(
                ExecutorConfig(type=name),
                Share(options.jobs, 1, (), ""),
                lambda: None,
                folder=Path(place) / name,
            )
            executors[name] = EXECUTORS[name](request)
        try:
            count = 0

            def arm(name: str):
                def measure() -> dict[str, float]:
                    nonlocal count
                    count += 1
                    folder = Path(place) / f"{name}-{count}"
                    return {FIGURE: run_all(executors[name], tree, folder, options)}

                return measure

            arms = {name: arm(name) for name in executors}
            for executor in executors.values():  # until all workers are warm
                warm = argparse.Namespace(trials=4 * options.jobs, jobs=options.jobs)
                count += 1
                run_all(executor, tree, Path(place) / f"warm-{count}", warm)
            measured = run_rounds(arms, rounds=options.rounds, null="local", warm_ups=0)
        finally:
            for executor in executors.values():
                executor.close()
    for name in [*arms, again("local")]:
        print(f"{name:<20} {measured.median(name, FIGURE):.2f} ms a trial")
    times = ratio(measured, "local_jobs", "local", FIGURE)
    more = measured.median("local_jobs", FIGURE) - measured.median("local", FIGURE)
    print(f"local_jobs / local: {times}; {more:.1f} ms more a trial")
    if not options.quick:
        path = save(
            "batch_jobs_overhead",
            f"python benchmarks/batch_jobs_overhead.py --trials {options.trials} --rounds "
            f"{options.rounds}",
            measured,
            what=f"ms of wall time a run of one epoch of pairs, {options.jobs} at once",
            trials=options.trials,
            median_ms={name: measured.median(name, FIGURE) for name in arms},
            more_ms=more,
            times_more=times,
            null=ratio(measured, again("local"), "local", FIGURE),
            verdict=judge(times, at_most=1.5),
        )
        print(path)


def run_all(executor: Executor, tree: dict, place: Path, options: argparse.Namespace) -> float:
    """Milliseconds of wall time a run, when `trials` runs are done, `jobs` at once."""
    folders = [RunFolder(place / str(number)) for number in range(options.trials)]
    for folder in folders:
        folder.write_config(tree)
    left, live = list(folders), []
    began = time.perf_counter()
    while left or live:
        while left and len(live) < options.jobs and executor.refusal(Resources()) is None:
            left[0].begin_attempt()
            live += executor.start([left.pop(0)], Resources())
        executor.wait(0.2)
        live = [handle for handle in live if not handle.ended]
    seconds = time.perf_counter() - began
    assert all(folder.read_outcome().state == "done" for folder in folders)
    return seconds / options.trials * 1000.0


if __name__ == "__main__":
    main()
