"""Two ways to search on real trainings in equal time: `tpe` with `asha`, and `curves`.

For each seed, `tpe` with `asha` searches for a number of trials, then `curves` for as many seconds,
two workers each. The seconds are those of the processors, of all processes of a search together,
which a control group counts: beside other work the clock says little, and with two workers on two
cores one follows from the other. The search is stopped as by Ctrl-C. Compared is the best score of
a whole training; with --test, the score of the winners on the test set too, those of `pairs` after
they were trained in full.

    python benchmarks/search_real.py fashion SETS --seeds 5 --test
    python benchmarks/search_real.py cifar10_lt FOLDER --seeds 3
    python benchmarks/search_real.py photographs FOLDER --seeds 3

SETS is what `tunewright pairs split` wrote; FOLDER holds the pictures. What is done is kept in
--runs-dir, and the same command goes on.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine

RESULTS = Path(__file__).parent / "results" / "search_real.json"
RESAMPLES = 10_000
GROUPS = Path("/sys/fs/cgroup/cpuacct")
"""Control groups (version 1) that count processor time; writing there takes root."""
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class RealStudy:
    """What is searched. trials: of the arm that sets the time. sign: -1 for a smaller score.

    metric: of the test. in_full: whether winners are trained in full before it.
    """

    words: tuple[str, ...]
    trials: int
    sign: int
    metric: str
    in_full: bool = False


STUDIES = {
    "fashion": RealStudy(("pairs",), 40, 1, "recall_1", in_full=True),
    "cifar10_lt": RealStudy(
        ("longtail", "data.image_size=32", "model.fusion=global_concat", "augmentation=crop_flip",
         "goal=val_balanced_accuracy", "stages.explore.training.epochs=8"),
        20, 1, "balanced_accuracy",
    ),
    "photographs": RealStudy(
        ("compression", "data.crop=64", "data.crops_per_photo=4", "training.precision=fp32",
         "stages.explore.training.epochs=16"), 20, -1, "loss",
    ),
}  # fmt: skip
ARMS = {
    "tpe": ("--sampler", "tpe", "--pruner", "asha"),
    "curves": ("--sampler", "curves"),
}
SEARCH_ALONE = ("study.final=false", "study.replicate=0", "study.report=false", "study.jobs=2")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs-search-real"))
    parser.add_argument("--rows", type=int, default=2500, help="pictures of cifar10_lt that train")
    options = parser.parse_args()
    options.runs_dir.mkdir(parents=True, exist_ok=True)
    data = options.data.resolve()
    if options.study == "cifar10_lt":
        data = thinned(data, options.runs_dir.resolve() / "data", options.rows)
    rows = []
    for seed in range(options.seeds):
        row: dict[str, Any] = {"seed": seed}
        row["tpe"] = searched(options, data, "tpe", seed, None)
        row["curves"] = searched(options, data, "curves", seed, row["tpe"]["seconds"])
        if options.test:
            for arm in ARMS:
                row[arm]["test"] = tested(options, arm, seed)
        rows.append(row)
        print(json.dumps(row), flush=True)
    write(options, rows)


def searched(
    options: argparse.Namespace, data: Path, arm: str, seed: int, limit: float | None
) -> dict[str, Any]:
    """Search with one arm; limit: seconds, or None for a number of trials."""
    study = STUDIES[options.study]
    name = f"{options.study}-{arm}-{seed}"
    folder = options.runs_dir / name
    kept = folder / "searched.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    trials = study.trials if limit is None else 100_000
    words = (*study.words, f"data.dir={data}", *ARMS[arm], "--trials", trials, *SEARCH_ALONE)
    began = time.perf_counter()
    used = limited(options, limit, "tune", *words, "--name", name, f"study.seed={seed}")
    seconds = time.perf_counter() - began
    record = json.loads((folder / "study_summary.json").read_text())
    found = {
        "seconds": round(used, 1),
        "seconds_by_the_clock": round(seconds, 1),
        "load_1_min": round(os.getloadavg()[0], 1),
        "best_score": record["best_score"],
        "trials": record["trials"],
        "epochs_trained": record["epochs_trained"],
    }
    kept.write_text(json.dumps(found))
    return found


def tested(options: argparse.Namespace, arm: str, seed: int) -> float:
    """Return the winner's score on the test set."""
    study = STUDIES[options.study]
    name = f"{options.study}-{arm}-{seed}"
    folder = options.runs_dir / name
    kept = folder / "tested.json"
    if not kept.is_file():
        winner = json.loads((folder / "study_summary.json").read_text())["winner"]
        run = folder / "trials" / f"{winner:05d}"
        if study.in_full:
            run = options.runs_dir / f"{name}-full"
            tunewright(options, "train", folder / "best_config.yaml", "--name", run.name)
        kept.write_text(tunewright(options, "evaluate", run, "--json"))
    return float(json.loads(kept.read_text())["metrics"][study.metric])


def tunewright(options: argparse.Namespace, command: str, *words: object) -> str:
    own = () if command == "evaluate" else ("--runs-dir", str(options.runs_dir))
    done = subprocess.run(
        [sys.executable, "-m", "tunewright", command, *map(str, words), *own],
        check=True, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return done.stdout


def limited(
    options: argparse.Namespace, limit: float | None, command: str, *words: object
) -> float:
    """Run a command until it ends or its processes have used `limit` seconds; return the seconds.

    It is then stopped as by Ctrl-C.
    """
    group = GROUPS / f"search-real-{os.getpid()}"
    group.mkdir()
    called = subprocess.Popen(
        [sys.executable, "-m", "tunewright", command, *map(str, words),
         "--runs-dir", str(options.runs_dir)],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: (group / "tasks").write_text(str(os.getpid())),
    )  # fmt: skip
    stopped = False
    try:
        while called.poll() is None:
            used = int((group / "cpuacct.usage").read_text()) / 1e9
            if limit is not None and used >= limit and not stopped:
                called.send_signal(signal.SIGINT)
                stopped = True
            time.sleep(POLL_SECONDS)
        if called.returncode and not stopped:
            raise SystemExit(f"{command} {words} failed")
        return int((group / "cpuacct.usage").read_text()) / 1e9
    finally:
        called.kill()
        while (group / "tasks").read_text().strip():
            time.sleep(POLL_SECONDS)
        group.rmdir()


def thinned(data: Path, place: Path, rows: int) -> Path:
    """Write a table of a random part of CIFAR-10's pictures, at the same imbalance."""
    place.mkdir(parents=True, exist_ok=True)
    with (data / "index.csv").open() as file:
        table = list(csv.DictReader(file))
    drawn = random.Random(0).sample([r for r in table if r["split"] == "train"], rows)
    with (place / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows([*drawn, *(row for row in table if row["split"] != "train")])
    archive = place / "cifar10_lt.zip"
    if not archive.exists():
        archive.symlink_to(data / "cifar10_lt.zip")
    return place


def write(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Add the paired differences of a study to the results."""
    study = STUDIES[options.study]
    result = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    gains = [study.sign * (row["curves"]["best_score"] - row["tpe"]["best_score"]) for row in rows]
    entry: dict[str, Any] = {
        "command": f"python benchmarks/search_real.py {options.study} DATA "
        f"--seeds {options.seeds}" + (" --test" if options.test else ""),
        "machine": describe_machine(),
        "gain_of_curves": interval(gains),
        "wins_of_curves": f"{sum(gain > 0 for gain in gains)} of {len(gains)}",
        "rows": rows,
    }
    if options.test:
        entry["test_gain_of_curves"] = interval(
            [row["curves"]["test"] - row["tpe"]["test"] for row in rows]
        )
    result[options.study] = entry
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: entry[key] for key in entry if key != "rows"}, indent=2))


def interval(values: list[float]) -> dict[str, float]:
    """Return the mean of paired differences with a bootstrap interval of 95 per cent."""
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"mean": float(np.mean(values)), "low": float(low), "high": float(high)}


if __name__ == "__main__":
    main()
