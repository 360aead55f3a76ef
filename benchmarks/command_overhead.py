"""What a trial of a script costs besides the script: 200 times `python -c pass`, two at a time.

Arms:

- bare: the script started by `subprocess`, without any search.
- tunewright: `tunewright.tune("command", ..., jobs=2)`; the first trials, during which workers
  start, are not in the time.
- by hand: Optuna's ask and tell around `subprocess`, as one writes it, on a SQLite file too.

The overhead of an arm is its time a trial less that of the bare arm in the same round. W&B's agent
needs a server for its sweeps, so it is not among the arms.

    python benchmarks/command_overhead.py [--quick]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from rounds import run_rounds, save, summarise

FIGURE = "ms_per_trial"
LIMIT_MS = 30.0
SPACE = {
    "x": {"type": "float", "low": -1.0, "high": 1.0},
    "n": {"type": "int", "low": 1, "high": 8},
}
SCRIPT = [sys.executable, "-c", "pass", "{x}", "{n}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--warm", type=int, default=10, help="trials before the clock starts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a trial run; writes no result")
    parser.add_argument("--arm", choices=list(ARMS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(ARMS[options.arm](options.trials, options.warm, options.jobs)))
        return
    if options.quick:
        options.trials, options.rounds = 40, 2

    def own(name: str):
        words = ["--trials", options.trials, "--warm", options.warm, "--jobs", options.jobs]
        command = [sys.executable, __file__, "--arm", name, *map(str, words)]

        def run() -> dict[str, float]:
            done = subprocess.run(command, text=True, capture_output=True)
            if done.returncode != 0:
                raise SystemExit(f"the arm {name} failed:\n{done.stderr[-3000:]}")
            return json.loads(done.stdout.splitlines()[-1])

        return run

    measured = run_rounds({name: own(name) for name in ARMS}, rounds=options.rounds, warm_ups=0)
    bare = measured.values("bare", FIGURE)
    over = {
        name: [one - base for one, base in zip(measured.values(name, FIGURE), bare, strict=True)]
        for name in ARMS
        if name != "bare"
    }
    medians = {name: statistics.median(values) for name, values in over.items()}
    for name, value in medians.items():
        print(f"{name:<12} {value:6.1f} ms a trial over the script's own time")
    verdict = "met" if medians["tunewright"] <= LIMIT_MS else "missed"
    print(f"limit {LIMIT_MS:g} ms: {verdict}")
    if not options.quick:
        print(
            save(
                "command_overhead",
                "python benchmarks/command_overhead.py",
                measured,
                what=f"ms of wall time a trial over the bare script, {options.jobs} at once",
                trials=options.trials,
                median_ms={name: measured.median(name, FIGURE) for name in ARMS},
                overhead_ms={name: summarise(values) for name, values in over.items()},
                limit_ms=LIMIT_MS,
                verdict=verdict,
                not_run=["wandb agent: its sweeps need a server"],
            )
        )


def bare_arm(trials: int, warm: int, jobs: int) -> dict[str, float]:
    """The script alone, `jobs` at once."""
    words = [*SCRIPT[:3], "0.5", "3"]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda _: subprocess.run(words, check=True), range(warm)))
        began = time.perf_counter()
        list(pool.map(lambda _: subprocess.run(words, check=True), range(trials)))
    return {FIGURE: (time.perf_counter() - began) / trials * 1000.0}


def tunewright_arm(trials: int, warm: int, jobs: int) -> dict[str, float]:
    """Through the public function, workers warm."""
    import tunewright
    from tunewright.search.callbacks import StudyCallback

    class Ends(StudyCallback):
        def __init__(self):
            self.times: list[float] = []

        def on_trial_end(self, trial, standing):
            self.times.append(time.perf_counter())

    ends = Ends()
    with tempfile.TemporaryDirectory() as place:
        tuned = tunewright.tune(
            "command",
            "study.pruner.type=none",
            "executor.threads=1",
            script=SCRIPT,
            space=SPACE,
            goal="seconds:min",
            trials=trials + warm,
            jobs=jobs,
            name="tiny",
            runs_dir=Path(place),
            watch=ends,
        )
        seconds = ends.times[-1] - ends.times[warm - 1]
        assert len(tuned.record.of_state("done")) == trials + warm
    return {FIGURE: seconds / trials * 1000.0}


def by_hand_arm(trials: int, warm: int, jobs: int) -> dict[str, float]:
    """Optuna around `subprocess`, the same sampler and storage."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(jobs) as pool:
        sampler = optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, seed=0
        )
        study = optuna.create_study(storage=f"sqlite:///{place}/study.db", sampler=sampler)
        running: dict[Future, optuna.Trial] = {}
        while len(ended) < trials + warm:
            while len(running) < jobs and len(ended) + len(running) < trials + warm:
                trial = study.ask()
                x, n = trial.suggest_float("x", -1.0, 1.0), trial.suggest_int("n", 1, 8)
                words = [*SCRIPT[:3], str(x), str(n)]
                running[pool.submit(_timed, words)] = trial
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                study.tell(running.pop(future), future.result())
                ended.append(time.perf_counter())
    return {FIGURE: (ended[-1] - ended[warm - 1]) / trials * 1000.0}


def _timed(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - began


ARMS = {"bare": bare_arm, "tunewright": tunewright_arm, "by hand": by_hand_arm}

if __name__ == "__main__":
    main()
