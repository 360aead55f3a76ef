"""What a trial costs on a Ray cluster besides its work, and what 64 slots cost the coordinator.

First question, the trials of `trial_overhead.py`, two at a time:

- local: `executor.type=local`, warm worker processes.
- ray: `executor.type=ray` on a cluster of this machine with two CPUs, warm actors.
- ray tune: Ray Tune with OptunaSearch and `reuse_actors=True` on the same cluster.

Second question, 1,000 trials that sleep 0.1 s over 64 slots. 64 workers with torch do not fit into
this machine, so the slots are simulated: real calls to two Ray actors, each of which serves half
of the slots, sleeps, and writes the files of a worker. The coordinator's own part is as it is:

- executor: folders made, started, awaited and their outcomes read; no search.
- study: `tunewright.tune` with the random sampler on a SQLite file.

    python benchmarks/ray_overhead.py [--tune-path FOLDER] [--quick] [--only overhead|slots]
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from rounds import again, judge, ratio, run_rounds, save
from tiny_trial import SPACE, STEPS, objective

HERE = Path(__file__).parent
FIGURE = "ms_per_trial"
SLOTS, TRIALS, HOSTS = 64, 1000, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--warm", type=int, default=20, help="trials before the clock starts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tune-path", help="a folder with the packages that ray[tune] adds")
    parser.add_argument("--quick", action="store_true", help="a trial run; writes no result")
    parser.add_argument("--only", choices=["overhead", "slots"])
    parser.add_argument("--arm", choices=["local", "ray", "executor", "study"], help="internal")
    parser.add_argument("--address", help="internal")
    parser.add_argument("--sleep", type=float, default=0.1, help="internal")
    options = parser.parse_args()
    if options.arm in ("local", "ray"):
        print(json.dumps(tune_tiny(options)))
    elif options.arm is not None:
        arm = {"executor": drive_executor, "study": drive_study}[options.arm]
        print(json.dumps(arm(options.sleep)))
    else:
        if options.only != "slots":
            compare(options)
        if options.only != "overhead":
            measure_slots(options)


def compare(options: argparse.Namespace) -> None:
    if options.quick:
        options.trials, options.rounds = 40, 2
    sizes = ["--trials", options.trials, "--warm", options.warm, "--jobs", options.jobs]
    with two_cpus(options.tune_path or "") as address:
        on_ray = ["--arm", "ray", "--address", address, *sizes]
        arms = {
            "local": lambda: run(__file__, "--arm", "local", *sizes),
            "ray": lambda: run(__file__, *on_ray),
        }
        if options.tune_path:
            words = (options.trials, options.warm, options.jobs, address)
            arms["ray tune"] = lambda: run(HERE / "tiny_ray.py", *words)
        measured = run_rounds(arms, rounds=options.rounds, null="local", warm_ups=0)
    print(f"\n{'arm':<20} ms a trial, wall, {options.jobs} at once")
    for name in [*arms, again("local")]:
        print(f"{name:<20} {measured.median(name, FIGURE):.2f}")
    more = ratio(measured, "ray", "local", FIGURE)
    verdicts = {"ray / local, at most 1.5": judge(more, at_most=1.5)}
    ratios = {"ray / local": more}
    if options.tune_path:
        ratios["ray tune / ray"] = ratio(measured, "ray tune", "ray", FIGURE)
        verdicts["ray tune / ray, at least 3"] = judge(ratios["ray tune / ray"], at_least=3.0)
    null = ratio(measured, again("local"), "local", FIGURE)
    print(*(f"{name}: {value}" for name, value in ratios.items()), sep="\n")
    print(f"local / itself: {null}", verdicts, sep="\n")
    if not options.quick:
        path = save(
            "ray_overhead",
            "python benchmarks/ray_overhead.py --only overhead"
            + (" --tune-path FOLDER" if options.tune_path else ""),
            measured,
            what=f"ms of wall time a trial, {options.jobs} at once",
            trials=options.trials,
            not_run=[] if options.tune_path else ["ray tune"],
            median_ms={name: measured.median(name, FIGURE) for name in arms},
            ratios=ratios,
            verdicts=verdicts,
            null=null,
        )
        print(path)


def measure_slots(options: argparse.Namespace) -> None:
    """Coordinator and throughput for several lengths of a trial; one run each."""
    found = {}
    for arm in ("executor", "study"):
        for seconds in (0.1, 1.0) if not options.quick else (1.0,):
            figures = run(__file__, "--arm", arm, "--sleep", seconds)
            found[f"{arm}, {seconds:g} s"] = figures
            print(f"{arm}, {seconds:g} s:", figures)
    if not options.quick:
        path = save(
            "ray_slots",
            "python benchmarks/ray_overhead.py --only slots",
            None,
            what=f"{TRIALS} trials over {SLOTS} simulated slots, {HOSTS} real Ray actors; core: "
            "CPU seconds of the coordinator a second; throughput: of the ideal",
            targets={"core": "below 0.5", "throughput": "at least 0.9", "at": "0.1 s"},
            figures=found,
        )
        print(path)


def tune_tiny(options: argparse.Namespace) -> dict[str, float]:
    """Through the public function, workers warm."""
    import tunewright
    from tunewright.search.callbacks import StudyCallback

    ended: list[float] = []

    class Ends(StudyCallback):
        def on_trial_end(self, trial, standing):
            ended.append(time.perf_counter())

    place = ["executor.type=local"]
    if options.arm == "ray":
        place = ["executor.type=ray", f"executor.ray.address={options.address}"]
    total = options.trials + options.warm
    with tempfile.TemporaryDirectory() as folder:
        tuned = tunewright.tune(
            objective,
            SPACE,
            "study.final=false",
            "study.report=false",
            "study.pruner.type=asha",
            "study.pruner.min_resource=1",
            "executor.threads=1",
            *place,
            goal="value:min",
            steps=STEPS,
            trials=total,
            jobs=options.jobs,
            name="tiny",
            runs_dir=Path(folder),
            watch=Ends(),
        )
        stored = tuned.record.trials
        assert len(stored) == total, len(stored)
        assert all(trial.state in ("done", "pruned") for trial in stored)
    return {FIGURE: (ended[-1] - ended[options.warm - 1]) / options.trials * 1000.0}


class SleepyHost:
    """A Ray actor that serves many slots: each run sleeps, and leaves the files of a worker."""

    def __init__(self, seconds: float) -> None:
        from tunewright.executors.ray_cluster.slot_actor import SlotEvent, SlotPlace
        from tunewright.executors.ray_cluster.source_version import source_version

        self.seconds = seconds
        self.here = SlotPlace("node", "host", os.getpid(), source_version(), True)
        self.end_of_run = SlotEvent(1, True, None, 0.0, 1e6)

    async def place(self):
        return self.here

    async def sees(self, _path, _content):
        return True

    async def run(self, path, attempt, _resources):
        import asyncio

        from tunewright.runs.folder import RunFolder
        from tunewright.runs.progress import ProgressWriter
        from tunewright.runs.record import Outcome, Progress

        await asyncio.sleep(self.seconds)
        folder = RunFolder(Path(path))
        writer = ProgressWriter(folder.progress, attempt, 0)
        writer.write(Progress(attempt, 1, {"value": 1.0}, self.seconds))
        writer.close()
        folder.write_outcome(Outcome("done", attempt, best_step=1, metrics={"value": 1.0}))
        return self.end_of_run

    async def beat(self):
        pass

    async def end(self):
        pass


def open_simulated(seconds: float):
    """An executor whose 64 slots are served by a few actors."""
    import ray

    from tunewright.config.components.executors import ExecutorConfig
    from tunewright.executors.ray_cluster.open_cluster import open_cluster

    serve(seconds)
    config = ExecutorConfig(type="ray", threads=1, ray={"address": "local"})
    executor = open_cluster(config, most=SLOTS)
    while executor.begun < SLOTS:
        executor.wait(0.1)
    assert ray.is_initialized()
    return executor


def serve(seconds: float) -> None:
    """From now on, slots are served by simulated workers."""
    from tunewright.executors.ray_cluster.ray_executor import RayExecutor
    from tunewright.executors.ray_cluster.slot import Slot

    hosts = []

    def new_slot(self) -> Slot:
        import ray

        if len(hosts) < HOSTS:
            host = ray.remote(SleepyHost)
            hosts.append(host.options(num_cpus=0, max_concurrency=1000).remote(seconds))
        return Slot(hosts[len(self._slots) % len(hosts)], "simulated")

    RayExecutor._new_slot = new_slot


def drive_executor(seconds: float) -> dict[str, float]:
    """Without a search: what the executor and the files of a run cost."""
    from tunewright.executors.executor import Resources
    from tunewright.runs.folder import RunFolder

    executor = open_simulated(seconds)
    with tempfile.TemporaryDirectory() as place:
        folders = [RunFolder(Path(place) / str(number)) for number in range(TRIALS + SLOTS)]
        for folder in folders:
            folder.write_config({"recipe": "function"})
        live, done = [], 0
        for first in (True, False):  # the first trials are not in the time
            began, cpu, done = time.perf_counter(), time.process_time(), 0
            todo = folders[:SLOTS] if first else folders[SLOTS:]
            todo = list(todo)
            while todo or live:
                while todo and len(live) < executor.slots:
                    folder = todo.pop()
                    folder.begin_attempt()
                    live += executor.start([folder], Resources())
                executor.wait(0.2)
                for handle in [handle for handle in live if handle.ended]:
                    assert handle.folder.read_outcome() is not None
                    live.remove(handle)
                    done += 1
            wall, spent = time.perf_counter() - began, time.process_time() - cpu
        executor.close()
    return figures(done, wall, spent, seconds)


def drive_study(seconds: float) -> dict[str, float]:
    """A whole search, whose sampler costs next to nothing."""
    import tunewright
    from tunewright.search.callbacks import StudyCallback

    serve(seconds)
    ended: list[tuple[float, float]] = []

    class Ends(StudyCallback):
        def on_trial_end(self, trial, standing):
            ended.append((time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as place:
        tunewright.tune(
            objective,
            SPACE,
            "study.final=false",
            "study.report=false",
            "study.replicate=0",
            "study.sampler.type=random",
            "study.pruner.type=none",
            "executor.type=ray",
            "executor.ray.address=local",
            goal="value:min",
            steps=STEPS,
            trials=TRIALS + SLOTS,
            jobs=SLOTS,
            name="slots",
            runs_dir=Path(place),
            watch=Ends(),
        )
    assert len(ended) == TRIALS + SLOTS
    (began, cpu), (end, spent) = ended[SLOTS - 1], ended[-1]
    return figures(TRIALS, end - began, spent - cpu, seconds)


def figures(done: int, wall: float, spent: float, seconds: float) -> dict[str, float]:
    assert done == TRIALS, done
    ideal = -(-done // SLOTS) * seconds  # whole waves of slots
    return {
        "wall_seconds": wall,
        "trials_per_second": done / wall,
        "throughput": ideal / wall,
        "core": spent / wall,
        "cpu_ms_per_trial": spent / done * 1000.0,
    }


@contextmanager
def two_cpus(path: str):
    """The address of a cluster of this machine with two CPUs; path: for imports of its actors."""
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [os.environ.get("PYTHONPATH", ""), str(HERE), path])
    )
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def run(*words: object) -> dict[str, float]:
    """The figures that an arm in a process of its own prints last."""
    command = [sys.executable, *(str(word) for word in words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, text=True, env=environment, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {name: value for name, value in found.items() if name != "ray"}


if __name__ == "__main__":
    main()
