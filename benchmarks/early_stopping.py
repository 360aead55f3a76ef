"""How well the end of a training that `training.patience` ends is foreseen.

Reads published curves of random searches (opda, Lourie et al.: AlexNet on ImageNet by epoch,
DeBERTa on MNLI by evaluation), ends each as the patience would, and compares what the forecast
says at each epoch before, for several shares of the patience that count as a stall and several
numbers of trainings that have ended. Errors are in percent of the full length.

    python benchmarks/early_stopping.py FOLDER

FOLDER holds alexnet_tuning.results.jsonl.gz and deberta-base_tuning.results.jsonl.gz.
"""

import argparse
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rounds import save

from tunewright.search.forecast import early_stopping
from tunewright.search.forecast.early_stopping import EarlyStopping, TrainingLength

PATIENCES = (3, 5, 10)
STALLS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Shares of the patience; 1: no stall tells the end, other trainings alone do."""
ENDED = (1, 2, 3, 5, 10, 20)
DRAWS = 20
"""How many sets of ended trainings are drawn for each curve."""


@dataclass(frozen=True)
class Curve:
    """Scores by epoch, higher is better, and the epoch at which a patience ends the training."""

    scores: tuple[float, ...]
    end: int

    @property
    def share(self) -> float:
        """The share of the full length that is trained."""
        return self.end / len(self.scores)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = {
        name: {f"patience_{patience}": measure(rows, patience) for patience in PATIENCES}
        for name, rows in (("alexnet", alexnet(folder)), ("deberta", deberta(folder)))
    }
    path = save("early_stopping", "python benchmarks/early_stopping.py FOLDER", None, **found)
    print(path)


def alexnet(folder: Path) -> list[tuple[float, ...]]:
    """Return top-1 accuracy by epoch of the runs whose loss stayed finite."""
    lines = _lines(folder / "alexnet_tuning.results.jsonl.gz")
    return [
        tuple(point["top_1"] for point in line["learning_curve"])
        for line in lines
        if not line["nan_train_loss"]
    ]


def deberta(folder: Path) -> list[tuple[float, ...]]:
    """Return matched accuracy by evaluation."""
    lines = _lines(folder / "deberta-base_tuning.results.jsonl.gz")
    return [tuple(score for _, score in line["learning_curves"]["matched"]) for line in lines]


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        yield from map(json.loads, stream)


def measure(rows: Sequence[tuple[float, ...]], patience: int) -> dict[str, Any]:
    """Return the errors for one patience, of curves at least twice as long."""
    curves = [Curve(row, ended(row, patience)) for row in rows if len(row) >= 2 * patience]
    rng = np.random.default_rng(0)
    shares = np.array([curve.share for curve in curves])
    drawn = rng.integers(0, len(curves), (len(curves), 10))
    usual = shares[drawn].mean(1)  # of ten others, as late in a study
    return {
        "curves": len(curves),
        "ended_early": sum(curve.end < len(curve.scores) for curve in curves),
        "stalled": [stalled(curves, usual.tolist(), patience, share) for share in STALLS],
        "ended": [of_others(shares, count, rng) for count in ENDED],
        "error_of_the_full_length_percent": round(100 * float((1 - shares).mean()), 1),
    }


def ended(scores: Sequence[float], patience: int) -> int:
    """Return the last epoch that is trained."""
    best, best_epoch = -np.inf, 0
    for epoch, score in enumerate(scores, start=1):
        if score > best:
            best, best_epoch = score, epoch
        if epoch - best_epoch >= patience:
            return epoch
    return len(scores)


def stalled(
    curves: Sequence[Curve], usual: Sequence[float], patience: int, share: float
) -> dict[str, Any]:
    """Return how often a stall of this share of the patience tells the end, and all errors."""
    early_stopping.STALLED = share
    errors, at_stalls, right = [], [], []
    for curve, other in zip(curves, usual, strict=True):
        epochs = len(curve.scores)
        alone = EarlyStopping(TrainingLength(epochs, patience))
        informed = EarlyStopping(TrainingLength(epochs, patience, usual=other))
        for epoch, score in enumerate(curve.scores[: curve.end - 1], start=1):
            alone.record(epoch, score)
            informed.record(epoch, score)
            end = informed.likely_end
            assert end is not None
            errors.append(abs(end - curve.end) / epochs)
            said = alone.likely_end
            if said is not None and said < epochs:  # a stall tells it
                at_stalls.append(abs(said - curve.end) / epochs)
                right.append(said == curve.end)
    return {
        "share": share,
        "error_percent": round(100 * float(np.mean(errors)), 2),
        "told_by_a_stall_percent": round(100 * len(right) / len(errors), 1),
        "error_at_stalls_percent": round(100 * float(np.mean(at_stalls)), 2) if right else None,
        "right_at_stalls_percent": round(100 * float(np.mean(right)), 1) if right else None,
    }


def of_others(shares: np.ndarray, count: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the error of the mean length of `count` other trainings."""
    drawn = rng.integers(0, len(shares) - 1, (len(shares), DRAWS, count))
    drawn += drawn >= np.arange(len(shares))[:, None, None]  # never itself
    errors = np.abs(shares[drawn].mean(2) - shares[:, None])
    return {"trainings": count, "error_percent": round(100 * float(errors.mean()), 1)}


if __name__ == "__main__":
    main()
