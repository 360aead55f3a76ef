"""A study shaped like the pairs guide's, on two CPU cores: the guide's way against ours.

The guide: 100 trials of 8 epochs, 100,000 pairs 1536 and 4096 wide, batches of 2048 to 8192, four
heads, three losses, TPE, SQLite. Here widths and batches are an eighth, outputs and hidden layers a
quarter, pairs a tenth, so that steps an epoch stay about what they are; learning rates are higher,
as narrower heads want them; 24 trials. Each arm is a process, timed from its start to its end:

guide              `guide_baseline.py`: threads, files read by each trial, a DataLoader of single
                   rows, no pruning. Without the guide's 4 loader processes: forked in a process of
                   several threads, they hung in the first round that was measured
ours               `tunewright tune` on the same file: two warm workers, rungs after 1 and 3 epochs,
                   2.5 times as many trials, which still end first: rungs buy many configurations
guide, same points the guide's way on a fixed list of configurations
ours, same points  ours on the same list, without a pruner: what the engine alone is worth

    python benchmarks/guide_study.py [--quick]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

EPOCHS, PATIENCE, JOBS = 8, 2, 2
POINTS_SEED = 0
SPACE: Mapping[str, Mapping[str, Any]] = {
    "head_type": {"type": "categorical", "choices": ["siglip", "clip", "attention", "mlp"]},
    "output_dim": {"type": "categorical", "choices": [64, 128, 192, 256]},
    "dropout": {"type": "float", "low": 0.0, "high": 0.3},
    "hidden_dim": {"type": "categorical", "choices": [128, 256, 512]},
    "learnable_temp": {"type": "categorical", "choices": [True, False]},
    "num_heads": {"type": "categorical", "choices": [4, 8, 16]},
    "num_layers": {"type": "categorical", "choices": [1, 2, 3]},
    "loss_type": {
        "type": "categorical",
        "choices": ["sigmoid_infonce", "softmax_infonce", "queue_infonce"],
    },
    "temperature": {"type": "float", "low": 0.01, "high": 0.2, "log": True},
    "queue_size": {"type": "categorical", "choices": [256, 512, 1024]},
    "batch_size": {"type": "categorical", "choices": [256, 512, 1024]},
    "learning_rate": {"type": "float", "low": 1e-4, "high": 3e-2, "log": True},
    "weight_decay": {"type": "float", "low": 1e-6, "high": 1e-1, "log": True},
}
SHAPE = {"rows": 10_000, "valid_rows": 2_000, "image_width": 192, "text_width": 512}
RUNGS = ("study.pruner.min_resource=1", "study.pruner.reduction_factor=3")
GUIDE_WORKERS = 0
MORE = 2.5
"""Trials of ours for one of the guide's."""
ARMS = ("guide", "ours", "guide, same points", "ours, same points")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="4 trials, a round; nothing is saved")
    parser.add_argument("--trials", type=int, default=24, help="of the guide; ours are more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        run_arm(options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    from rounds import judge, ratio, run_rounds, save, summarise
    from synthetic_pairs import write_pairs

    trials, rounds = (4, 1) if options.quick else (options.trials, options.rounds)
    shape = {**SHAPE, "rows": 2_000, "valid_rows": 500} if options.quick else SHAPE
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        write_pairs(place / "data", **shape)
        write_study(place, trials)
        told: dict[str, list[dict[str, Any]]] = {}

        def arm(name: str) -> Mapping[str, float]:
            seed = len(told.setdefault(name, []))
            found = timed(name, place, seed)
            told[name].append(found)
            figures = ("trials_per_hour", "seconds", "best", "done", "pruned", "failed", "epochs")
            return {figure: found[figure] for figure in figures}

        measured = run_rounds(
            {name: lambda name=name: arm(name) for name in ARMS},
            rounds=rounds,
            warm_ups=0,  # an arm is a whole process: a first call differs in nothing
            null="ours, same points",
        )
    ratios = {
        "ours over guide": ratio(measured, "ours", "guide", "trials_per_hour"),
        "ours over guide on a fixed list": ratio(
            measured, "ours", "guide, same points", "trials_per_hour"
        ),
        "ours over guide, same points": ratio(
            measured, "ours, same points", "guide, same points", "trials_per_hour"
        ),
        "ours over ours, same points": ratio(
            measured, "ours, same points again", "ours, same points", "trials_per_hour"
        ),
    }
    best = {name: measured.values(name, "best") for name in ARMS}
    gain = summarise(
        [ours - guide for ours, guide in zip(best["ours"], best["guide"], strict=True)]
    )
    agreement = agree(told)
    verdict = judge(ratios["ours over guide"], at_least=4)
    for name, value in ratios.items():
        print(f"trials an hour, {name}: {value}")
    print(f"best score: {best}")
    print(f"best score, ours less the guide's: {gain}")
    print(f"the same configurations, score by score: {agreement}")
    print(f"at least 4x the trials an hour: {verdict}")
    if not options.quick:
        command = "python benchmarks/guide_study.py"
        command += f" --trials {trials} --rounds {rounds}"
        written = save(
            "guide_study", command, measured,
            scale={"here": SHAPE, "the guide": "100,000 x 1536 and 4096, batches 8x larger"},
            trials=trials, more=MORE, epochs=EPOCHS, patience=PATIENCE, jobs=JOBS, rungs=RUNGS,
            space=SPACE,
            ratios=ratios, best=best, best_gain=gain, agreement=agreement, verdict=verdict,
            scores_of_points={name: [run["scores"] for run in told[name]] for name in ARMS[2:]},
        )  # fmt: skip
        print(f"written: {written}")


def agree(told: Mapping[str, list[dict[str, Any]]]) -> dict[str, float]:
    """How far scores of one configuration are apart: between the two, and between two seeds.

    A configuration is known by its place in the list; what failed in either is counted, and left
    out of the differences.
    """
    ours, guide = ([run["scores"] for run in told[name]] for name in reversed(ARMS[2:]))
    apart = [a - b for one, other in zip(ours, guide, strict=False) for a, b in _both(one, other)]
    seeds = [abs(a - b) for one, other in pairwise(ours) for a, b in _both(one, other)]
    found = {
        "pairs": float(len(apart)),
        "median_difference": statistics.median(map(abs, apart)),
        "largest_difference": max(map(abs, apart)),
        "mean_of_ours_less_the_guides": statistics.fmean(apart),
    }
    if seeds:
        found["median_difference_of_two_seeds_of_ours"] = statistics.median(seeds)
        found["largest_difference_of_two_seeds_of_ours"] = max(seeds)
    return found


def _both(
    one: Mapping[str, float | None], other: Mapping[str, float | None]
) -> list[tuple[float, float]]:
    pairs = ((score, other.get(place)) for place, score in one.items())
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def write_study(place: Path, trials: int) -> None:
    """The guide's study file, and the points that both are given."""
    import yaml

    import tunewright
    from tunewright.spaces.points import quasi_random

    file = {"study_name": "guide", "n_trials": trials, "n_jobs": JOBS, "search_space": dict(SPACE)}
    (place / "study.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
    space = tunewright.space("pairs", str(place / "study.yaml"), *ours_words(place)).space
    first = space.default()  # what a study of ours tries first
    points = chain([] if first is None else [first], quasi_random(space, POINTS_SEED))
    (place / "points.json").write_text(json.dumps(list(islice(points, trials))))


def ours_words(place: Path) -> list[str]:
    return [
        "data=folder", f"data.dir={place / 'data'}", "data.test=null", "study.final=false",
        f"stages.explore.training.epochs={EPOCHS}", f"stages.explore.training.patience={PATIENCE}",
    ]  # fmt: skip


def timed(name: str, place: Path, seed: int) -> dict[str, Any]:
    """One arm in a process of its own; its wall time includes Python, imports and worker start."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        words = ["--arm", name, "--place", folder, "--seed", str(seed)]
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # two trials on two cores
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, __file__, *words], check=True, env={**os.environ, **threads}
        )
        seconds = time.perf_counter() - started
        found: dict[str, Any] = json.loads((Path(folder) / "result.json").read_text())
    found |= {"seconds": seconds, "trials_per_hour": found["trials"] * 3600 / seconds}
    return found


def run_arm(options: argparse.Namespace) -> None:
    place = options.place
    run = run_guide if options.arm.startswith("guide") else run_ours
    found = run(place.parent, place, options, same_points=options.arm.endswith("same points"))
    (place / "result.json").write_text(json.dumps(found))


def run_guide(
    shared: Path, place: Path, options: argparse.Namespace, *, same_points: bool
) -> dict[str, Any]:
    import yaml
    from guide_baseline import search

    from tunewright.recipes.pairs.recipe import ALIASES, VALUE_ALIASES

    fixed = None
    if same_points:
        flat = {path: name for name, path in ALIASES.items() if name in SPACE}
        losses = {ours: guide for guide, ours in VALUE_ALIASES["loss.type"].items()}
        fixed = []
        for point in json.loads((shared / "points.json").read_text()):
            named = {flat[path]: value for path, value in point.items()}
            named["loss_type"] = losses[named["loss_type"]]
            fixed.append({"num_heads": 4} | named)  # inert on one token
    study = search(
        yaml.safe_load((shared / "study.yaml").read_text()),
        shared / "data",
        place,
        seed=options.seed,
        epochs=EPOCHS,
        patience=PATIENCE,
        workers=GUIDE_WORKERS if options.arm == "guide" else 0,
        fixed=fixed,
    )
    states = [trial.state.name for trial in study.trials]
    return {
        "trials": len(states),
        "best": study.best_value,
        "done": states.count("COMPLETE"),
        "pruned": 0,
        "failed": len(states) - states.count("COMPLETE"),  # pruned here are those that diverged
        "epochs": sum(len(trial.intermediate_values) for trial in study.trials),
        "scores": {str(trial.number): trial.value for trial in study.trials},
    }


def run_ours(
    shared: Path, place: Path, options: argparse.Namespace, *, same_points: bool
) -> dict[str, Any]:
    import yaml

    from tunewright import tune

    words = [*ours_words(shared), f"study.seed={options.seed}", f"seed={options.seed}"]
    if not same_points:
        trials = yaml.safe_load((shared / "study.yaml").read_text())["n_trials"]
        words += [*RUNGS, f"study.trials={round(MORE * trials)}"]
    else:
        words += ["study.sampler.type=quasi_random", "study.pruner.type=none"]
        words += [f"study.seed={POINTS_SEED}"]
    record = tune("pairs", str(shared / "study.yaml"), *words, runs_dir=place).record
    if same_points:
        given = json.loads((shared / "points.json").read_text())
        if [dict(trial.parameters) for trial in record.trials] != given:
            raise SystemExit("the points that were tried are not those of the list")
    states = [trial.state for trial in record.trials]
    return {
        "trials": len(states),
        "best": record.best.score if record.best else 0.0,
        "done": states.count("done"),
        "pruned": states.count("pruned"),
        "failed": states.count("failed") + states.count("infeasible"),
        "epochs": sum(len(trial.curve) for trial in record.trials),
        "scores": {str(trial.number): trial.score for trial in record.trials},
    }


if __name__ == "__main__":
    main()
