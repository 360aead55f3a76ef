"""CIFAR-10 with a long tail: do losses for rare classes beat the plain one on the same budget?

A small ColorNet-V1 study with cross-entropy, the baseline, finds network and optimiser; then four
losses train with them, three seeds each, and predict the balanced test set. Whatever is better
than cross-entropy is so with settings that were chosen for cross-entropy. On two CPU cores it takes
about a quarter of an hour; pictures have their own 32 pixels, and trainings 7 epochs, not 200.

    python examples/cifar10_lt.py FOLDER

FOLDER holds `index.csv` (file, label, split) and the pictures, in a zip or beside it. Runs go to
`runs/`, figures to `runs/cifar10-lt.json` (another place with --output). The same command resumes.
"""

import argparse
import csv
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import tunewright

LOSSES = ("cross_entropy", "smooth_modulation", "focal", "logit_adjustment")
# with msff an epoch would take three times as long
SHARED = ("data.image_size=32", "model.fusion=global_concat", "augmentation=crop_flip")
SPACE = {
    "model.dropout": {"type": "float", "low": 0.1, "high": 0.5},
    "training.batch_size": {"type": "categorical", "choices": [64, 128]},
    "optim.lr": {"type": "float", "low": 3e-4, "high": 1e-2, "log": True},
    "optim.weight_decay": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
}
RESAMPLES = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    began = time.perf_counter()
    data = (f"data.dir={options.folder}", *SHARED)
    chosen = search(data, options)
    searched = time.perf_counter() - began
    truth = labels_of_test(options.folder)
    right = {}
    for loss in LOSSES:
        right[loss] = np.stack([hits(run, truth) for run in train(data, chosen, loss, options)])
        print(f"{loss:<18} accuracy {right[loss].mean():.3f}")
    result = {
        "command": f"python examples/cifar10_lt.py FOLDER --trials {options.trials} "
        f"--epochs {options.epochs} --seeds {options.seeds}",
        "seconds": round(time.perf_counter() - began),
        "seconds_of_the_search": round(searched),
        "settings": chosen,
        "train_counts": counts_of_train(options.folder),
        "losses": compared(right, list(truth.values()), groups(options.folder)),
    }
    show(result)
    output = options.output or options.runs_dir / "cifar10-lt.json"
    output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written: {output}")


def search(data: Sequence[str], options: argparse.Namespace) -> dict[str, object]:
    """Network and optimiser that suit the plain loss, judged by balanced accuracy."""
    tuned = tunewright.tune(
        "longtail", *data, "loss=cross_entropy", "goal=val_balanced_accuracy",
        f"stages.explore.training.epochs={options.epochs}", "study.final=false",
        space=SPACE, trials=options.trials, name="cifar10-lt", runs_dir=options.runs_dir,
    )  # fmt: skip
    best = tuned.record.best
    assert best is not None
    return dict(best.parameters)


def train(
    data: Sequence[str], chosen: Mapping[str, object], loss: str, options: argparse.Namespace
) -> list[Path]:
    """The run folders of one loss, a seed each."""
    seeds = ",".join(str(seed + 1) for seed in range(options.seeds))
    trained = tunewright.train(
        "longtail", *data, *(f"{path}={value}" for path, value in chosen.items()),
        f"loss={loss}", "goal=val_balanced_accuracy", f"training.epochs={options.epochs}",
        "training.patience=null", f"seeds=[{seeds}]",
        name=f"cifar10-lt-{loss}", runs_dir=options.runs_dir,
    )  # fmt: skip
    return [folder.path for folder in trained.folders]


def hits(run: Path, truth: Mapping[str, int]) -> np.ndarray:
    """Whether each test picture was told right: bool [N], in the order of `truth`."""
    output = run / "test.csv"
    tunewright.predict(run, output=output)
    with output.open(newline="", encoding="utf-8") as file:
        told = {row["image_id"]: int(row["label"]) for row in csv.DictReader(file)}
    return np.array([told[picture] == label for picture, label in truth.items()])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def labels_of_test(folder: Path) -> dict[str, int]:
    return {row["file"]: int(row["label"]) for row in rows(folder) if row["split"] == "test"}


def counts_of_train(folder: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows(folder):
        if row["split"] == "train":
            counts[row["class"]] = counts.get(row["class"], 0) + 1
    return counts


def groups(folder: Path) -> dict[str, list[int]]:
    """Classes by how many pictures there were to train on; the names are those of `evaluate`."""
    counts = [0] * len(counts_of_train(folder))
    for row in rows(folder):
        counts[int(row["label"])] += row["split"] == "train"
    median = np.median(counts)
    found = {
        "all": list(range(len(counts))),
        "many": [label for label, count in enumerate(counts) if count > 100],
        "medium": [label for label, count in enumerate(counts) if 20 <= count <= 100],
        "few": [label for label, count in enumerate(counts) if count < 20],
        "head": [label for label, count in enumerate(counts) if count >= median],
        "tail": [label for label, count in enumerate(counts) if count < median],
    }
    return {name: labels for name, labels in found.items() if labels}


def compared(
    right: Mapping[str, np.ndarray], labels: Sequence[int], groups: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, object]]:
    """Recall by group: the mean over seeds, its interval, and the difference to cross-entropy.

    right: [seeds, N] for each loss. Both pictures and seeds are drawn with replacement, the same
    pictures for all losses, so that a difference is a paired one.
    """
    labels_of = np.asarray(labels)
    draws = np.random.default_rng(0)
    drawn: dict[str, dict[str, list[float]]] = {loss: {} for loss in right}
    for _ in range(RESAMPLES):
        pictures = draws.integers(0, len(labels_of), len(labels_of))
        for loss, hit in right.items():
            seeds = draws.integers(0, len(hit), len(hit))
            mean = hit[seeds][:, pictures].mean(axis=0)
            for name, classes in groups.items():
                inside = np.isin(labels_of[pictures], classes)
                drawn[loss].setdefault(name, []).append(float(mean[inside].mean()))
    found: dict[str, dict[str, object]] = {}
    for loss, hit in right.items():
        found[loss] = {}
        for name, classes in groups.items():
            inside = np.isin(labels_of, classes)
            by_seed = hit[:, inside].mean(axis=1)
            gain = np.subtract(drawn[loss][name], drawn["cross_entropy"][name])
            found[loss][name] = {
                "recall": float(by_seed.mean()),
                "interval": np.percentile(drawn[loss][name], [2.5, 97.5]).tolist(),
                "seeds": by_seed.tolist(),
                "above_cross_entropy": float(gain.mean()),
                "above_cross_entropy_interval": np.percentile(gain, [2.5, 97.5]).tolist(),
            }
        found[loss]["by_class"] = [
            float(hit[:, labels_of == label].mean()) for label in sorted(set(labels))
        ]
    return found


def show(result: Mapping[str, object]) -> None:
    losses = result["losses"]
    assert isinstance(losses, dict)
    for name in next(iter(losses.values())):
        if name == "by_class":
            continue
        for loss, found in losses.items():
            figures = found[name]
            low, high = figures["interval"]
            below, above = figures["above_cross_entropy_interval"]
            told = "better" if below > 0 else "worse" if above < 0 else "tied"
            told = "" if loss == "cross_entropy" else f"{below:+.3f} to {above:+.3f}  {told}"
            print(f"{name:<7} {loss:<18} {figures['recall']:.3f} ({low:.3f}-{high:.3f})  {told}")


if __name__ == "__main__":
    main()
