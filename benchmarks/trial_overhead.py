"""What a trial costs besides its work: 200 trials that only touch torch, two at a time.

Every arm searches the same four parameters by multivariate TPE on a SQLite file, reports once,
is asked once whether to prune, and ends with its score stored. Arms:

- tunewright: `tunewright.tune(objective, space, jobs=2)`, warm workers; until `tune` returns.
- fresh process: Optuna's ask and tell, a new `python` that imports torch for each trial.
- ray: Ray Tune with OptunaSearch and `reuse_actors=True`; until its last trial has ended.

Each arm runs in a process of its own, with one torch thread a worker. The first trials, during
which workers start, are not in the time.

    python benchmarks/trial_overhead.py [--ray-python PATH] [--quick]
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from rounds import again, judge, ratio, run_rounds, save
from tiny_trial import SPACE, STEPS, objective, suggested

HERE = Path(__file__).parent
FIGURE = "ms_per_trial"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--fresh-trials", type=int, default=16, help="of the arm fresh process")
    parser.add_argument("--warm", type=int, default=20, help="trials before the clock starts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ray-python", help="a Python with ray[tune], optuna and torch")
    parser.add_argument("--quick", action="store_true", help="a trial run; writes no result")
    parser.add_argument("--arm", choices=["tunewright", "fresh"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick and not options.arm:
        options.trials, options.fresh_trials, options.rounds = 40, 4, 2
    if options.arm:
        arm = {"tunewright": tunewright_arm, "fresh": fresh_arm}[options.arm]
        print(json.dumps(arm(options.trials, options.warm, options.jobs)))
        return

    def own(name: str, trials: int, warm: int):
        sizes = ["--trials", trials, "--warm", warm, "--jobs", options.jobs]
        return lambda: _run(sys.executable, __file__, "--arm", name, *sizes)

    arms = {
        "tunewright": own("tunewright", options.trials, options.warm),
        "fresh process": own("fresh", options.fresh_trials, options.jobs),
    }
    if options.ray_python:
        sizes = (options.trials, options.warm, options.jobs)
        arms["ray"] = lambda: _run(options.ray_python, HERE / "tiny_ray.py", *sizes)
    measured = run_rounds(arms, rounds=options.rounds, null="tunewright", warm_ups=0)
    targets = {"fresh process": 20.0, "ray": 3.0}
    print(f"\n{'arm':<20} ms a trial, wall, {options.jobs} at once")
    for name in [*arms, again("tunewright")]:
        print(f"{name:<20} {measured.median(name, FIGURE):.2f}")
    ratios = {}
    for name in arms:
        if name != "tunewright":
            ratios[name] = ratio(measured, name, "tunewright", FIGURE)
            verdict = judge(ratios[name], at_least=targets[name])
            print(f"{name} / tunewright: {ratios[name]}, target {targets[name]:g}: {verdict}")
    null = ratio(measured, again("tunewright"), "tunewright", FIGURE)
    print(f"tunewright / itself: {null}")
    if not options.ray_python:
        print("ray: not run (--ray-python PATH)")
    if not options.quick:
        path = save(
            "trial_overhead",
            "python benchmarks/trial_overhead.py"
            + (" --ray-python PYTHON_WITH_RAY" if options.ray_python else ""),
            measured,
            what=f"ms of wall time a trial, {options.jobs} at once",
            trials={"tunewright": options.trials, "fresh process": options.fresh_trials}
            | ({"ray": options.trials} if options.ray_python else {}),
            not_run=[] if options.ray_python else ["ray"],
            median_ms={name: measured.median(name, FIGURE) for name in arms},
            times_less=ratios,
            verdicts={n: judge(value, at_least=targets[n]) for n, value in ratios.items()},
            null=null,
        )
        print(path)


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
            objective,
            SPACE,
            "study.final=false",
            "study.pruner.type=asha",
            "study.pruner.min_resource=1",
            "executor.threads=1",
            goal="value:min",
            steps=STEPS,
            trials=trials + warm,
            jobs=jobs,
            name="tiny",
            runs_dir=Path(place),
            watch=ends,
        )
        seconds = time.perf_counter() - ends.times[warm - 1]
        stored = tuned.record.trials  # read back from the storage
        assert len(stored) == trials + warm, len(stored)
        assert all(trial.state in ("done", "pruned") for trial in stored)
        assert all(trial.curve for trial in stored)
    return {FIGURE: seconds / trials * 1000.0}


def fresh_arm(trials: int, warm: int, jobs: int) -> dict[str, float]:
    """A new interpreter for each trial; the search in this one, which does nothing else."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(jobs) as pool:
        study = optuna.create_study(
            storage=f"sqlite:///{place}/study.db",
            sampler=optuna.samplers.TPESampler(
                multivariate=True, group=True, constant_liar=True, seed=0
            ),
            pruner=optuna.pruners.SuccessiveHalvingPruner(),
        )
        running: dict[Future[float], optuna.Trial] = {}
        for _ in range(trials + warm + jobs):
            if len(ended) + len(running) < trials + warm:
                trial = study.ask()
                running[pool.submit(_fresh_score, suggested(trial))] = trial
            if len(running) < jobs and len(ended) + len(running) < trials + warm:
                continue
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                trial = running.pop(future)
                trial.report(future.result(), 1)
                trial.should_prune()
                study.tell(trial, future.result())
                ended.append(time.perf_counter())
        assert len(ended) == trials + warm, len(ended)
    return {FIGURE: (ended[-1] - ended[warm - 1]) / trials * 1000.0}


def _fresh_score(params: dict[str, object]) -> float:
    done = subprocess.run(
        [sys.executable, HERE / "tiny_trial.py", json.dumps(params)],
        check=True, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return float(done.stdout)


def _run(*words: object) -> dict[str, float]:
    """The figures that an arm in a process of its own prints last."""
    command = [str(word) for word in words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, text=True, env=environment, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {FIGURE: found[FIGURE]}


if __name__ == "__main__":
    main()
