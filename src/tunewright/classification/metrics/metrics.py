"""The metrics of one pass of a classifier: scores, groups, calibration, confusion."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.analysis.score_intervals import wilson
from tunewright.classification.losses.class_weights import Counts
from tunewright.classification.metrics.calibration import ece_of_bins, reliability_of
from tunewright.classification.metrics.class_groups import class_groups
from tunewright.classification.metrics.confusion_scores import (
    ConfusionCounts,
    Ints,
    confusion_matrix,
)
from tunewright.classification.metrics.intervals import bootstrap_intervals
from tunewright.errors import DataError, Diverged
from tunewright.training.precision import at_least_float32
from tunewright.training.task import Arrays, Metrics

COLUMNS = ("logits", "labels", "rows")


@dataclass(frozen=True)
class ClassRow:
    """One class of the table. rows: of it in this pass; predicted: rows predicted as it.

    interval: of the recall (Wilson), None without rows; precision, recall and F1 are then 0.
    """

    label: int
    train_images: int
    rows: int
    predicted: int
    precision: float
    recall: float
    f1: float
    interval: tuple[float, float] | None


class ClassMetrics(Metrics):
    """Collects {"logits" [B, C], "labels" [B], "rows" [B]}; all scores are weighted by rows.

    class_counts: [C] training images of each class, which define the groups. Arrays stay on their
    device during the pass; at its end predictions are made there, and everything moves to the CPU.
    Memory is that of the logits.
    """

    def __init__(self, class_counts: Tensor) -> None:
        self._counts: Counts = class_counts.detach().cpu().numpy()
        self._passed: list[Arrays] = []
        self._scores: dict[str, float] = {}
        self._columns: dict[str, Tensor] = {}
        self._intervals: dict[str, tuple[float, float]] | None = None

    def update(self, arrays: Arrays) -> None:
        """Add a batch; raises RuntimeError after the pass is closed."""
        if self._columns:
            raise RuntimeError("this pass is closed; use a new collector for the next one")
        self._passed.append({name: arrays[name].detach() for name in COLUMNS})

    def compute(self) -> dict[str, float]:
        """Return all of `METRICS` except those of groups without rows.

        Classes without rows count as in scikit-learn with zero_division=0: see
        `ConfusionCounts.scores`. Raises Diverged for logits that are not finite, DataError for no
        rows or unknown labels.
        """
        self._finish()
        return dict(self._scores)

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return one of `intervals`; None for `loss`, `ece` and scores without one."""
        return self.intervals().get(metric)

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the 95 % intervals of `bootstrap_intervals`, computed once."""
        if self._intervals is None:
            labels, predictions = self.labels().numpy(), self.predictions().numpy()
            self._intervals = bootstrap_intervals(labels, predictions, self._counts)
        return dict(self._intervals)

    def predictions_to_keep(self) -> Arrays:
        """Return logits [N, C] and labels [N] in the order of the table's rows."""
        order = self.rows().argsort()
        return {"logits": self.logits()[order].float(), "labels": self.labels()[order]}

    def logits(self) -> Tensor:
        """Return the logits of the pass [N, C], in its order, on the CPU, at least float32."""
        return self._column("logits")

    def labels(self) -> Tensor:
        """Return the labels [N] int64, in the order of `logits`."""
        return self._column("labels")

    def rows(self) -> Tensor:
        """Return the row of the table of each prediction, [N] int64."""
        return self._column("rows")

    def predictions(self) -> Tensor:
        """Return the class of the largest logit, [N] int64."""
        return self._column("predictions")

    def confusion(self) -> Ints:
        """Count how often each class (row) was predicted as each class (column): [C, C]."""
        labels, predictions = self.labels().numpy(), self.predictions().numpy()
        return confusion_matrix(labels, predictions, len(self._counts))

    def per_class(self) -> list[ClassRow]:
        """Return one row for each class, in their order."""
        tally = ConfusionCounts.of(self.confusion())
        precision, recall, f1 = tally.precision, tally.recall, tally.f1
        return [
            ClassRow(
                label=label,
                train_images=int(self._counts[label]),
                rows=rows,
                predicted=int(tally.predicted[label]),
                precision=float(precision[label]),
                recall=float(recall[label]),
                f1=float(f1[label]),
                interval=wilson(int(tally.hits[label]), rows) if rows else None,
            )
            for label, rows in enumerate(tally.support.tolist())
        ]

    def _column(self, name: str) -> Tensor:
        self._finish()
        return self._columns[name]

    @torch.no_grad()
    def _finish(self) -> None:
        """Close the pass: predict and score on the device, then move everything to the CPU."""
        if self._columns:
            return
        if not self._passed:
            raise DataError("nothing to measure: no rows", expected="at least one labelled row")
        logits, labels, rows = (
            torch.cat([arrays[name] for arrays in self._passed]) for name in COLUMNS
        )
        logits = finite_logits(logits)
        predictions = logits.argmax(1)
        classes = len(self._counts)
        # Checks the labels before they index anything: on a GPU a bad index ends the process.
        tally = ConfusionCounts.of(
            confusion_matrix(labels.cpu().numpy(), predictions.cpu().numpy(), classes)
        )
        scores = tally.scores(class_groups(self._counts))
        log_p = logits.log_softmax(1)
        diagram = reliability_of(log_p.amax(1).exp(), predictions == labels)
        self._scores = {name: float(value) for name, value in scores.items() if value == value}
        self._scores["ece"] = ece_of_bins(diagram)
        self._scores["loss"] = F.nll_loss(log_p, labels).item()
        self._columns = {
            "logits": logits.cpu(),
            "labels": labels.cpu(),
            "rows": rows.cpu(),
            "predictions": predictions.cpu(),
        }
        self._passed.clear()


def finite_logits(logits: Tensor) -> Tensor:
    """Return logits of any shape in float32 or more; raises Diverged where one is not finite."""
    logits = at_least_float32(logits)
    if not bool(logits.isfinite().all()):
        raise Diverged(
            "a logit is not a finite number",
            expected="finite predictions",
            remedy="Lower the learning rate, or train in another precision.",
        )
    return logits
