"""The metrics of one pass of a classifier of several labels a picture."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.classification.metrics.metrics import finite_logits
from tunewright.classification.metrics.multi_label import (
    Bools,
    Floats,
    bootstrap_label_scores,
    label_scores,
)
from tunewright.errors import DataError
from tunewright.training.task import Arrays, Metrics


class MultiLabelMetrics(Metrics):
    """Collects {"logits" [B, C], "labels" bool [B, C]} and measures `MULTI_LABEL_METRICS`."""

    def __init__(self) -> None:
        self._passed: list[tuple[Tensor, Tensor]] = []
        self._columns: tuple[Bools, Floats] | None = None
        self._loss = 0.0
        self._intervals: dict[str, tuple[float, float]] | None = None

    def update(self, arrays: Arrays) -> None:
        """Add a batch; raises RuntimeError after the pass is closed."""
        if self._columns is not None:
            raise RuntimeError("this pass is closed; use a new collector for the next one")
        self._passed.append((arrays["logits"].detach(), arrays["labels"].detach()))

    def compute(self) -> dict[str, float]:
        """Return all metrics that the pass can give; see `label_scores`.

        Raises Diverged for logits that are not finite, DataError for no rows.
        """
        targets, logits = self._finish()
        return {**label_scores(targets, logits, logits >= 0.0), "loss": self._loss}

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a metric; None for `loss` and scores without one."""
        if self._intervals is None:
            targets, logits = self._finish()
            self._intervals = bootstrap_label_scores(targets, logits, logits >= 0.0)
        return self._intervals.get(metric)

    def predictions_to_keep(self) -> Arrays:
        """Return logits [N, C] and labels bool [N, C], in the order of the pass."""
        targets, logits = self._finish()
        return {"logits": torch.from_numpy(logits).float(), "labels": torch.from_numpy(targets)}

    @torch.no_grad()
    def _finish(self) -> tuple[Bools, Floats]:
        """Close the pass; return targets and logits on the CPU."""
        if self._columns is not None:
            return self._columns
        if not self._passed:
            raise DataError("nothing to measure: no rows", expected="at least one labelled row")
        logits, labels = (torch.cat(parts) for parts in zip(*self._passed, strict=True))
        logits = finite_logits(logits)
        self._loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits)).item()
        self._columns = (
            labels.bool().cpu().numpy(),
            logits.double().cpu().numpy().astype(np.float64),
        )
        self._passed.clear()
        return self._columns
