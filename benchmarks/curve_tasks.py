"""Tasks for search methods: learning curves that were recorded, or that a surrogate predicts.

LCBench surrogate (Zimmer et al. 2021; the network of YAHPO Gym, Pfisterer et al. 2022): 52 epochs
of a multi-layer perceptron on an OpenML task; searched on the validation accuracy, judged on the
test accuracy at the end. Tables: recorded random searches of AlexNet and DeBERTa, in which a
proposal stands for the nearest row; the length of a training is a parameter there.
"""

import gzip
import json
import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.search.curves.encoding import fraction
from tunewright.spaces.domain import Float, Int
from tunewright.spaces.space import Parameter, Space

TASKS = (3945, 7593, 167149, 167152, 167190, 167200, 168329, 168330, 168335, 168908, 189906, 189908)
REFERENCE = 20_000
"""Random configurations whose best and median true scores are the ends of the regret's scale."""
Values = Mapping[str, Any]


class CurveTask(ABC):
    """A search problem with curves.

    last: epochs of the longest training. full_cost: epochs of one training on average. best,
    median: true scores of the reference sample.
    """

    name: str
    space: Space
    last: int
    full_cost: float
    best: float
    median: float

    @abstractmethod
    def curve(self, values: Values) -> Sequence[float]:
        """Return the validation scores after each epoch of a training."""

    @abstractmethod
    def key(self, values: Values) -> object:
        """Return what identifies a training; equal for proposals that stand for the same one."""

    @abstractmethod
    def truth(self, values: Values) -> float:
        """Return the true score at the end, which no method sees."""

    @abstractmethod
    def points(self, seed: int, count: int) -> list[dict[str, Any]]:
        """Return the first random points of a seed, the same for all methods."""

    def regret(self, values: Values) -> float:
        """Return the normalised regret: 0 is the best of the sample, 1 its median."""
        return (self.best - self.truth(values)) / (self.best - self.median)

    def rng(self, seed: int) -> np.random.Generator:
        """Return the random numbers of a task and a seed."""
        return np.random.default_rng([zlib.crc32(self.name.encode()), seed])


class LCBench(CurveTask):
    """One OpenML task of the surrogate in `folder` (`model.onnx`, `encoding.json`)."""

    space = Space(
        (
            Parameter("batch_size", Int(16, 512, log=True)),
            Parameter("learning_rate", Float(1e-4, 1e-1, log=True)),
            Parameter("momentum", Float(0.1, 0.99)),
            Parameter("weight_decay", Float(1e-5, 1e-1)),
            Parameter("num_layers", Int(1, 5)),
            Parameter("max_units", Int(64, 1024, log=True)),
            Parameter("max_dropout", Float(0.0, 1.0)),
        )
    )
    last, full_cost = 52, 52.0
    _VALIDATION, _TEST = 3, 5

    def __init__(self, number: int, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.name = f"lcbench-{number}"
        codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
        self._code = codes[str(number)]
        self._model = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self._known: dict[object, np.ndarray] = {}
        rng = np.random.default_rng(12345)
        sample = [self.key(self._point(row)) for row in rng.random((REFERENCE, 7))]
        true = self._predict(sample, [self.last])[:, 0, self._TEST]
        self.best, self.median = float(true.max()), float(np.median(true))

    def curve(self, values: Values) -> Sequence[float]:
        """Return the validation balanced accuracies of 52 epochs."""
        found: list[float] = self._scores(values)[:, self._VALIDATION].tolist()
        return found

    def key(self, values: Values) -> tuple[float, ...]:
        """Return the values in order."""
        return tuple(values[p.path] for p in self.space.parameters)

    def truth(self, values: Values) -> float:
        """Return the test balanced accuracy after the last epoch."""
        return float(self._scores(values)[-1, self._TEST])

    def points(self, seed: int, count: int) -> list[dict[str, Any]]:
        """Return uniform points."""
        return [self._point(row) for row in self.rng(seed).random((count, 7))]

    def _point(self, row: np.ndarray) -> dict[str, Any]:
        """Return the point at places in the unit cube; as recorded searches have it, rounded."""
        places = zip(self.space.parameters, row.tolist(), strict=True)
        return {p.path: _at(p.domain, place) for p, place in places}

    def _scores(self, values: Values) -> np.ndarray:
        key = self.key(values)
        if key not in self._known:
            self._known[key] = self._predict([key], range(1, self.last + 1))[0]
        return self._known[key]

    def _predict(self, keys: Sequence[object], epochs: Sequence[int]) -> np.ndarray:
        rows = np.empty((len(keys), len(epochs), 8), np.float32)
        rows[:, :, 0] = np.asarray(epochs, np.float32)
        rows[:, :, 1:] = np.asarray(keys, np.float32)[:, None]
        found = [
            self._model.run(
                None, {"x_cat": np.full((len(part), 1), self._code, np.int32), "x_cont": part}
            )[0]
            for part in np.array_split(rows.reshape(-1, 8), max(1, rows.size // 8000))
        ]
        return np.concatenate(found).reshape(len(keys), len(epochs), 6)


def _at(domain: Any, place: float) -> float | int:
    low, high = domain.low, domain.high
    value = low * (high / low) ** place if domain.log else low + place * (high - low)
    value = min(max(value, low), high)
    return round(value) if isinstance(domain, Int) else float(value)


class Noisy(CurveTask):
    """A task with N(0, deviation) added to every score that a search sees, not to the true ones.

    The noise belongs to the seed, the training and the epoch, so that all methods see the same.
    """

    def __init__(self, task: CurveTask, deviation: float, seed: int) -> None:
        self.name, self.space, self.last = task.name, task.space, task.last
        self.full_cost, self.best, self.median = task.full_cost, task.best, task.median
        self._task, self._deviation, self._seed = task, deviation, seed
        self._known: dict[object, list[float]] = {}

    def curve(self, values: Values) -> Sequence[float]:
        """Return the noisy scores."""
        key = self.key(values)
        if key not in self._known:
            clean = np.asarray(self._task.curve(values))
            rng = np.random.default_rng([zlib.crc32(repr(key).encode()), self._seed])
            noise = self._deviation * rng.standard_normal(len(clean))
            self._known[key] = (clean + noise).tolist()
        return self._known[key]

    def key(self, values: Values) -> object:
        """Return what identifies a training."""
        return self._task.key(values)

    def truth(self, values: Values) -> float:
        """Return the true score."""
        return self._task.truth(values)

    def points(self, seed: int, count: int) -> list[dict[str, Any]]:
        """Return the first random points of a seed."""
        return self._task.points(seed, count)


class Table(CurveTask):
    """Recorded trainings; a proposal stands for the nearest row in the unit cube."""

    def __init__(
        self,
        name: str,
        parameters: Sequence[Parameter],
        rows: Sequence[Values],
        curves: Sequence[Sequence[float]],
        true: Sequence[float],
        lengths: Sequence[int],
    ) -> None:
        self.name, self.space = name, Space(tuple(parameters))
        self._rows, self._curves, self._true = rows, curves, true
        self._places = np.array([self._place(row) for row in rows])
        self.last, self.full_cost = max(lengths), float(np.mean(lengths))
        self.best, self.median = max(true), float(np.median(true))

    def curve(self, values: Values) -> Sequence[float]:
        """Return the scores of the nearest row."""
        return self._curves[self.key(values)]

    def key(self, values: Values) -> int:
        """Return the number of the nearest row."""
        return int(np.argmin(((self._places - self._place(values)) ** 2).sum(1)))

    def truth(self, values: Values) -> float:
        """Return the true score of the nearest row."""
        return self._true[self.key(values)]

    def points(self, seed: int, count: int) -> list[dict[str, Any]]:
        """Return rows in random order."""
        return [dict(self._rows[n]) for n in self.rng(seed).permutation(len(self._rows))[:count]]

    def _place(self, values: Values) -> np.ndarray:
        return np.array([fraction(p.domain, values[p.path]) for p in self.space.parameters])


def _rows(file: Path) -> list[dict[str, Any]]:
    with gzip.open(file, "rt") as stream:
        return [json.loads(line) for line in stream]


def read_deberta(file: Path) -> Table:
    """Return the DeBERTa table; an epoch here is 1,000 steps, searched on matched accuracy."""
    recorded = _rows(file)
    curves = [[score for _, score in row["learning_curves"]["matched"]] for row in recorded]
    return Table(
        "deberta",
        [
            Parameter("num_train_epochs", Int(1, 4)),
            Parameter("train_batch_size", Int(16, 64)),
            Parameter("learning_rate", Float(1e-6, 1e-3, log=True)),
            Parameter("warmup", Float(0.0, 0.6)),
            Parameter("cls_drop_out", Float(0.0, 0.3)),
        ],
        [
            {
                "num_train_epochs": row["num_train_epochs"],
                "train_batch_size": row["train_batch_size"],
                "learning_rate": row["learning_rate"],
                "warmup": row["warmup_steps"] * row["num_train_epochs"] / row["total_model_steps"],
                "cls_drop_out": row["cls_drop_out"],
            }
            for row in recorded
        ],
        curves,
        [row["learning_curves"]["mismatched"][-1][1] for row in recorded],
        [len(curve) for curve in curves],
    )


def read_alexnet(file: Path) -> Table:
    """Return the AlexNet table; a training that diverged ends with a score of 0."""
    recorded = _rows(file)
    curves = []
    for row in recorded:
        curve = [point["top_1"] for point in row["learning_curve"]]
        broken = row["nan_train_loss"] or len(curve) < row["epochs"]
        curves.append([*curve, 0.0] if broken else curve)
    return Table(
        "alexnet",
        [
            Parameter("training.epochs", Int(20, 100)),
            Parameter("log2_batch_size", Int(7, 10)),
            Parameter("lr", Float(5e-3, 5e1, log=True)),
            Parameter("peak", Float(0.0, 0.8)),
            Parameter("momentum", Float(0.7, 1.0)),
            Parameter("weight_decay", Float(1e-6, 1e-3, log=True)),
            Parameter("label_smoothing", Float(0.0, 0.5)),
        ],
        [
            {
                "training.epochs": row["epochs"],
                "log2_batch_size": round(math.log2(row["batch_size"])),
                "lr": row["lr"],
                "peak": min(0.8, row["lr_peak_epoch"] / row["epochs"]),
                "momentum": row["momentum"],
                "weight_decay": row["weight_decay"],
                "label_smoothing": row["label_smoothing"],
            }
            for row in recorded
        ],
        curves,
        [curve[-1] for curve in curves],
        [row["epochs"] for row in recorded],
    )
