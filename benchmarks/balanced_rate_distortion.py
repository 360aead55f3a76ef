"""Balanced training against the plain loss: one lambda, several seeds, equal steps.

All arms train the same small hyperprior from the same weights on the same 128-pixel crops of a
folder of photographs, with the same optimiser and schedule, and differ in `balance` alone. What is
compared is the plain loss D + R at the end, and its parts, on tiles of other pictures (KODAK: PNG,
each fourth tile of 128 pixels). The difference of an arm from `standard` is taken seed by seed; its
interval is Student's over the seeds, and "resolved" means that it excludes 0. The cost is processor
time, which a busy machine disturbs less than wall time.

    python benchmarks/balanced_rate_distortion.py PHOTOS KODAK [--epochs N] [--seeds 1,2,3]

The same command goes on where it was stopped.
"""

import argparse
from pathlib import Path

from balanced_runs import COMMON, MEASURES, Figures, cut_tiles, difference, train
from rounds import save

ARMS = {
    "standard": ("balance=none",),
    "famo, fixed gamma": ("balance=famo",),
    "famo, hpcm": ("balance=famo", "balance.schedule.type=hpcm"),
    "famo, fixed gamma, every 4": ("balance=famo", "balance.every=4"),
    "qp": ("balance=qp",),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of photographs to train on")
    parser.add_argument("kodak", type=Path, help="folder of PNG pictures to validate on")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--quick", action="store_true", help="1 epoch, 2 seeds; not saved")
    options = parser.parse_args()
    seeds = [1, 2] if options.quick else [int(seed) for seed in options.seeds.split(",")]
    epochs = 1 if options.quick else options.epochs
    found: dict[str, dict[int, Figures]] = {arm: {} for arm in ARMS}
    failures: dict[str, dict[int, str]] = {}
    place = options.runs_dir.absolute() / "balanced-rate-distortion"
    tiles = cut_tiles(options.kodak, place / "tiles")
    data = (f"data.dir={options.photos.absolute()}", f"data.valid_dir={place}/tiles")
    length = (f"training.epochs={epochs}", "training.keep_last=0")
    # Seed by seed: whatever else the machine does slows all arms of a seed alike.
    for seed in seeds:
        for arm, settings in ARMS.items():
            run = place / f"{arm} {seed}"
            trained = train(run, [*data, *length, f"seed={seed}", *settings])
            found[arm][seed] = trained.last
            values = "  ".join(f"{key} {value:.4g}" for key, value in trained.last.items())
            print(f"seed {seed}  {arm:<28} {values}  {trained.failure or ''}", flush=True)
            if trained.failure is not None:
                failures.setdefault(arm, {})[seed] = trained.failure
    minutes = sum(of["cpu_seconds"] for by_seed in found.values() for of in by_seed.values()) / 60
    keys = (*MEASURES, "cpu_seconds")
    differences = {
        arm: {key: difference(found[arm], found["standard"], key) for key in keys}
        for arm in ARMS
        if arm != "standard" and arm not in failures
    }
    for arm, by_key in differences.items():
        print(f"{arm:<28} {by_key['val_loss']['words']}")
    if not options.quick:
        facts = {
            "epochs": epochs,
            "settings": " ".join(COMMON),
            "tiles": len(tiles),
            "cpu_minutes": minutes,
            "runs": found,
            "failures": failures,
            "over standard": differences,
        }
        given = f"--epochs {epochs} --seeds {options.seeds}"
        command = f"python benchmarks/balanced_rate_distortion.py PHOTOS KODAK {given}"
        print(f"written: {save('balanced_rate_distortion', command, None, **facts)}")


if __name__ == "__main__":
    main()
