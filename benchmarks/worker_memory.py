"""What 4 workers hold in memory for a data set of 1 GB that all of them train on.

Two studies of `pairs`, equal but for their data, train at the same time on every worker: one on
embeddings of about 1 GB in float32 `.npy` files, which the script writes, one on a tiny set. The
proportional set size (PSS: a page that n processes share counts 1/n to each) of all processes
under this one is sampled through each study, and the largest sums are compared: their
difference is what the data cost. Pages of the files that are in nobody's address space belong to
the system's cache, which it takes back when it needs them; they are in no process's figure.

    python benchmarks/worker_memory.py [--quick]
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from rounds import judge, run_rounds, save, summarise

IMAGE_WIDTH, TEXT_WIDTH = 1536, 1024
BYTES_PER_ROW = 4 * (IMAGE_WIDTH + TEXT_WIDTH)
TINY_ROWS = 4096
VALID_ROWS = 2000
BATCH = 512
SAMPLE_SECONDS = 0.2
TARGET_GB = 1.1
EPOCHS = {"large": 2, "tiny": 8}
"""So that all workers train at the same time on the tiny set, too."""
OVERRIDES = (
    "model=mlp",
    "model.hidden_dim=256",
    "model.output_dim=256",
    "model.dropout=0.0",
    "loss=softmax",
    "loss.temperature=0.07",
    "loss.learnable_temp=true",
    f"training.batch_size={BATCH}",
    "stages.explore.data.train=train",
    "study.sampler.type=random",
    "study.pruner.type=none",
    "study.final=false",
    "executor.threads=1",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", type=Path, help="a folder on a disk with room for the data")
    parser.add_argument("--quick", action="store_true", help="a trial run; writes no result")
    parser.add_argument("--study", nargs=2, metavar=("DATA", "RUNS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.study:
        study(*map(Path, options.study), options.workers)
        return
    if options.quick:
        options.rounds = 1
    with tempfile.TemporaryDirectory(dir=options.place) as temporary:
        place = Path(temporary)
        rows = int(options.gigabytes * 1e9 / BYTES_PER_ROW)
        stored = {"large": write(place / "large", rows), "tiny": write(place / "tiny", TINY_ROWS)}
        print(f"large: {rows:,} training pairs, {stored['large'] / 1e9:.2f} GB with validation")
        arms = {
            name: lambda name=name: sampled_study(place, name, options.workers) for name in stored
        }
        measured = run_rounds(arms, rounds=options.rounds, null="tiny", warm_ups=0)
    peaks = {name: measured.values(name, "peak_mb") for name in ("large", "tiny", "tiny again")}
    data_gb = {
        name: summarise(
            [(one - tiny) / 1000.0 for one, tiny in zip(peaks[name], peaks["tiny"], strict=True)]
        )
        for name in ("large", "tiny again")
    }
    verdict = judge(data_gb["large"], at_most=TARGET_GB)
    print(f"\n{options.workers} workers, MB of PSS")
    for name in arms:
        print(
            f"{name:<6} peak of the sum {measured.median(name, 'peak_mb'):.0f}, "
            f"largest worker {measured.median(name, 'largest_worker_mb'):.0f}, "
            f"private in all {measured.median(name, 'private_mb'):.0f}, "
            f"processes {measured.median(name, 'processes'):.0f}"
        )
    print(f"data, GB in all workers: {data_gb['large']}: {verdict}")
    print(f"tiny against itself, GB: {data_gb['tiny again']}")
    if not options.quick:
        print(
            save(
                "worker_memory",
                "python benchmarks/worker_memory.py",
                measured,
                what="PSS of all processes of a study, in MB (1e6 bytes), at its largest",
                workers=options.workers,
                data_gigabytes=round(stored["large"] / 1e9, 3),
                data_gb=data_gb["large"],
                verdict=verdict,
                null=data_gb["tiny again"],
            )
        )


def write(folder: Path, rows: int) -> int:
    """Pairs of random directions that resemble each other; how many bytes they take."""
    from tunewright.recipes.pairs.data.pair_files import new_pairs

    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((32, IMAGE_WIDTH + TEXT_WIDTH), dtype=np.float32)
    for name, count in (("train", rows), ("val", VALID_ROWS)):
        first = 0 if name == "train" else rows
        metadata = {"image_ids": list(range(first, first + count))}
        shapes = [("float32", (count, width)) for width in (IMAGE_WIDTH, TEXT_WIDTH)]
        with new_pairs(folder, name, metadata, *shapes) as (images, texts):
            for at in range(0, count, 4096):
                size = min(4096, count - at)
                hidden = generator.standard_normal((size, 32), dtype=np.float32)
                both = hidden @ mixing
                both += generator.standard_normal(both.shape, dtype=np.float32)
                images[at : at + size] = both[:, :IMAGE_WIDTH]
                texts[at : at + size] = both[:, IMAGE_WIDTH:]
    return sum(path.stat().st_size for path in folder.glob("*.npy"))


def study(data: Path, runs: Path, workers: int) -> None:
    """Each worker trains one trial; through the public function."""
    import tunewright

    tuned = tunewright.tune(
        "pairs",
        f"data.dir={data}",
        f"stages.explore.training.epochs={EPOCHS[data.name]}",
        *OVERRIDES,
        trials=workers,
        jobs=workers,
        name="memory",
        runs_dir=runs,
    )
    states = [(trial.state, trial.reason) for trial in tuned.record.trials]
    assert [state for state, _ in states] == ["done"] * workers, states


@dataclass
class Peak:
    """The largest sum of PSS that was seen, and what it was made of."""

    sum_bytes: int = 0
    private_bytes: int = 0
    largest_bytes: int = 0
    processes: int = 0


def sampled_study(place: Path, name: str, workers: int) -> dict[str, float]:
    """Run one study in a process of its own and sample the memory of all that it starts."""
    with tempfile.TemporaryDirectory(dir=place) as runs:
        command = [sys.executable, __file__, "--workers", str(workers)]
        process = subprocess.Popen([*command, "--study", str(place / name), runs])
        peak, samples = Peak(), 0
        while process.poll() is None:
            peak = max(peak, look(process.pid), key=lambda seen: seen.sum_bytes)
            samples += 1
            time.sleep(SAMPLE_SECONDS)
        if process.returncode != 0:
            raise SystemExit(f"the study on the {name} data failed")
    return {
        "peak_mb": peak.sum_bytes / 1e6,
        "private_mb": peak.private_bytes / 1e6,
        "largest_worker_mb": peak.largest_bytes / 1e6,
        "processes": peak.processes,
        "samples": samples,
    }


def look(pid: int) -> Peak:
    """The proportional and the private memory of a process and all below it, at one moment.

    They stand still meanwhile: a page that a second process maps between two readings would be
    counted one and a half times.
    """
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    sums, privates = [], []
    try:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        for process in processes:
            try:
                text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            except OSError:
                continue  # it ended in this moment
            found = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
            sums.append(int(found["Pss"]) * 1024)
            privates.append((int(found["Private_Clean"]) + int(found["Private_Dirty"])) * 1024)
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
    return Peak(sum(sums), sum(privates), max(sums, default=0), len(sums))


if __name__ == "__main__":
    main()
