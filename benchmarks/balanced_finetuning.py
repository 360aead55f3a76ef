"""Fine-tuning by the balanced loss: against the plain loss, and against training from scratch.

A small hyperprior is trained by the plain loss. From its weights begin three runs of a quarter of
its epochs, alike in rate (a fifth, on a cosine) and crops: the plain loss, `famo` and `qp`. Beside
them one is trained by `famo` from scratch, for as many epochs as the two stages together. Compared
are the plain loss D + R on tiles of other pictures (KODAK: PNG, each fourth tile of 128 pixels),
seed by seed, with Student's interval, and what the balanced training from scratch takes to get as
low as `famo` fine-tuned: its first epoch there, and its processor time until then.

    python benchmarks/balanced_finetuning.py PHOTOS KODAK [--epochs N] [--seeds 1,2,3]

The same command goes on where it was stopped.
"""

import argparse
from pathlib import Path

from balanced_runs import COMMON, MEASURES, Trained, cut_tiles, difference, train
from rounds import save

PLAIN, FAMO, QP, SCRATCH = "plain, goes on", "famo, fine-tuned", "qp, fine-tuned", "famo, scratch"
# The guide's gammas: .002 on a cosine to fine-tune, .006 by hpcm from scratch.
GAMMA = ("balance.gamma=0.002", "balance.schedule.type=cosine", "balance.schedule.final=0.001")
FINE_TUNED = {PLAIN: ("balance=none",), FAMO: ("balance=famo", *GAMMA), QP: ("balance=qp",)}
FROM_SCRATCH = ("balance=famo", "balance.gamma=0.006", "balance.schedule.type=hpcm")
FINE = ("finetune=whole", "schedule=cosine", "optim.lr=4e-4")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of photographs to train on")
    parser.add_argument("kodak", type=Path, help="folder of PNG pictures to validate on")
    parser.add_argument("--epochs", type=int, default=8, help="of the run that is fine-tuned")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--quick", action="store_true", help="4 epochs, 1 seed; not saved")
    options = parser.parse_args()
    seeds = [1] if options.quick else [int(seed) for seed in options.seeds.split(",")]
    epochs = 4 if options.quick else options.epochs
    arms = ("plain", *FINE_TUNED, SCRATCH)
    found: dict[str, dict[int, Trained]] = {arm: {} for arm in arms}
    place = options.runs_dir.absolute() / "balanced-finetuning"
    tiles = cut_tiles(options.kodak, place / "tiles")
    data = (f"data.dir={options.photos.absolute()}", f"data.valid_dir={place}/tiles")
    for seed in seeds:
        for arm, trained in train_all(place / str(seed), data, epochs, seed).items():
            found[arm][seed] = trained
    minutes = sum(run.cpu_seconds for of in found.values() for run in of.values()) / 60
    last = {arm: {seed: of[seed].last for seed in of} for arm, of in found.items()}
    failures = {
        f"{arm}, seed {seed}": trained.failure
        for arm, of in found.items()
        for seed, trained in of.items()
        if trained.failure is not None
    }
    failed = {name.rpartition(",")[0] for name in failures}
    differences = {
        f"{arm} - {other}": {key: difference(last[arm], last[other], key) for key in MEASURES}
        for arm, other in ((FAMO, PLAIN), (QP, PLAIN), (FAMO, SCRATCH), (PLAIN, SCRATCH))
        if arm not in failed and other not in failed
    }
    for pair, by_key in differences.items():
        print(f"{pair:<36} {by_key['val_loss']['words']}")
    same = {seed: same_quality({arm: found[arm][seed] for arm in arms}) for seed in seeds}
    for seed, figures in same.items():
        print(f"seed {seed}  {figures}")
    if not options.quick:
        facts = {
            "epochs": {"plain": epochs, "fine-tuned": epochs // 4, "scratch": epochs + epochs // 4},
            "settings": " ".join(COMMON),
            "tiles": len(tiles),
            "cpu_minutes": minutes,
            "runs": last,
            "failures": failures,
            "differences": differences,
            "scratch to the loss of famo fine-tuned": same,
        }
        given = f"--epochs {epochs} --seeds {options.seeds}"
        command = f"python benchmarks/balanced_finetuning.py PHOTOS KODAK {given}"
        print(f"written: {save('balanced_finetuning', command, None, **facts)}")


def train_all(place: Path, data: tuple[str, ...], epochs: int, seed: int) -> dict[str, Trained]:
    """Train all arms of one seed."""
    runs: dict[str, Trained] = {}

    def run(arm: str, length: int, *words: str) -> None:
        given = (*data, f"seed={seed}", f"training.epochs={length}", *words)
        runs[arm] = train(place / arm, given)
        values = "  ".join(f"{key} {value:.4g}" for key, value in runs[arm].last.items())
        print(f"seed {seed}  {arm:<18} {values}  {runs[arm].failure or ''}", flush=True)

    run("plain", epochs, "balance=none")
    # As `--checkpoint RUN` does; the rate is at its lowest at the end, so the best is a late epoch.
    weights = place / "plain" / "checkpoints" / "best.safetensors"
    for arm, balance in FINE_TUNED.items():
        run(arm, epochs // 4, *FINE, f"model.weights={weights}", *balance)
    run(SCRATCH, epochs + epochs // 4, *FROM_SCRATCH)
    return runs


def same_quality(runs: dict[str, Trained]) -> dict[str, float | int | None]:
    """Return when training from scratch is as low as `famo` fine-tuned; None where it never is.

    cpu_saved: the share of that processor time which fine-tuning alone saves, for whoever has the
    weights; cpu_saved_with_plain: after the plain training has been paid for, too.
    """
    tuned, scratch = runs[FAMO], runs[SCRATCH]
    losses = [metrics["val_loss"] for metrics in scratch.epochs]
    reached = [n for n, loss in enumerate(losses, 1) if loss <= tuned.last["val_loss"]]
    found: dict[str, float | int | None] = {"epoch": reached[0] if reached else None}
    alone, both = tuned.cpu_seconds, tuned.cpu_seconds + runs["plain"].cpu_seconds
    share = reached[0] / len(losses) if reached else None  # of its epochs, which cost the same
    cost = None if share is None else scratch.cpu_seconds * share
    return found | {
        "cpu_seconds": cost,
        "cpu_saved": None if cost is None else 1 - alone / cost,
        "cpu_saved_with_plain": None if cost is None else 1 - both / cost,
    }


if __name__ == "__main__":
    main()
