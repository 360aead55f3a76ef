"""Balanced training against the plain loss: one lambda, several seeds, equal steps.

All arms train the same small hyperprior from the same weights on the same 128-pixel crops of a
folder of photographs, with the same optimiser and schedule, and differ in `balance` alone. What is
compared is the plain loss D + R of the held-out photographs at the end, whole pictures, and its
parts. The difference of an arm from `standard` is taken seed by seed; its interval is Student's
over the seeds, and "resolved" means that it excludes 0.

    python benchmarks/balanced_rate_distortion.py PHOTOS [--epochs N] [--seeds 1,2,3]
"""

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path

from rounds import save
from scipy.special import stdtrit

from tunewright import job
from tunewright.config.compose import compose
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.search.prepare import run_part

ARMS = {
    "standard": ("balance=none",),
    "famo, fixed gamma": ("balance=famo",),
    "famo, hpcm": ("balance=famo", "balance.schedule.type=hpcm"),
    "famo, fixed gamma, every 4": ("balance=famo", "balance.every=4"),
    "qp": ("balance=qp",),
}
COMMON = (
    *("model=hyperprior", "model.channels=32", "model.latent=48", "loss.lmbda=0.013"),
    *("data.crop=128", "data.crops_per_photo=2", "training.batch_size=8", "optim=cautious_adam"),
    *("optim.lr=1e-3", "training=short", "training.precision=fp32", "training.keep_last=0"),
)
MEASURES = ("val_loss", "val_bpp", "val_psnr")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--quick", action="store_true", help="1 epoch, 2 seeds; not saved")
    options = parser.parse_args()
    seeds = [1, 2] if options.quick else [int(seed) for seed in options.seeds.split(",")]
    epochs = 1 if options.quick else options.epochs
    began = time.perf_counter()
    found: dict[str, dict[int, dict[str, float]]] = {arm: {} for arm in ARMS}
    # Seed by seed: whatever else the machine does slows all arms of a seed alike.
    for seed in seeds:
        for arm, settings in ARMS.items():
            found[arm][seed] = trained(options.photos, epochs, seed, settings)
            values = "  ".join(f"{key} {value:.4g}" for key, value in found[arm][seed].items())
            print(f"seed {seed}  {arm:<28} {values}", flush=True)
    differences = {
        arm: {key: difference(found[arm], found["standard"], key) for key in (*MEASURES, "seconds")}
        for arm in ARMS
        if arm != "standard"
    }
    for arm, by_key in differences.items():
        print(f"{arm:<28} {by_key['val_loss']['words']}")
    if not options.quick:
        facts = {
            "epochs": epochs,
            "settings": " ".join(COMMON),
            "minutes": (time.perf_counter() - began) / 60,
            "runs": found,
            "over standard": differences,
        }
        command = f"python benchmarks/balanced_rate_distortion.py PHOTOS --epochs {epochs}"
        print(f"written: {save('balanced_rate_distortion', command, None, **facts)}")


def trained(photos: Path, epochs: int, seed: int, settings: tuple[str, ...]) -> dict[str, float]:
    """Train one run to its end; return the metrics of its last epoch, and what it took."""
    recipe = find_recipe("compression")
    words = [*COMMON, f"data.dir={photos}", f"training.epochs={epochs}", f"seed={seed}", *settings]
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        folder.write_config(run_part(compose(recipe, words).tree))
        folder.begin_attempt()
        cpu = time.process_time()
        outcome = job.run(folder, threads=1)
        cpu = time.process_time() - cpu
        if outcome.state != "done":
            raise SystemExit(
                f"{' '.join(settings)}, seed {seed}: {outcome.cause}: {outcome.reason}"
            )
        history = read_progress(folder.progress)
    last = history[-1].metrics
    return {
        **{key: last[key] for key in (*MEASURES, "task_weights/bpp") if key in last},
        "skipped_steps": sum(report.metrics.get("skipped_steps", 0.0) for report in history),
        "seconds": outcome.seconds,
        "cpu_seconds": cpu,
    }


def difference(
    arm: dict[int, dict[str, float]], standard: dict[int, dict[str, float]], key: str
) -> dict[str, object]:
    """The mean of an arm minus the plain loss over seeds, with its 95 % interval by Student's t."""
    values = [arm[seed][key] - standard[seed][key] for seed in standard]
    mean = statistics.fmean(values)
    half = math.inf
    if len(values) > 1:
        spread = statistics.stdev(values) / math.sqrt(len(values))
        half = float(stdtrit(len(values) - 1, 0.975)) * spread
    resolved = "resolved" if abs(mean) > half else "not resolved"
    return {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "words": f"{key} {mean:+.4g} [{mean - half:+.4g}, {mean + half:+.4g}]: {resolved}",
    }


if __name__ == "__main__":
    main()
