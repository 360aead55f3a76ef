"""The training task of image classification: its loss, predictions and metrics."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from tunewright.classification.losses.config import METRICS, MULTI_LABEL_METRICS
from tunewright.classification.losses.losses import ClassLoss
from tunewright.classification.metrics.metrics import ClassMetrics
from tunewright.classification.metrics.multi_label_metrics import MultiLabelMetrics
from tunewright.classification.models.config import FineTuneConfig
from tunewright.classification.models.param_groups import freeze, groups
from tunewright.images.loading.batches import ImageBatch
from tunewright.training.task import Arrays, Clock, Group, Loss, Metrics, Task


class ClassifyTask(Task):
    """Classification with any loss of `losses.losses`, mixed pictures and fine-tuning.

    class_counts: [C] int64, training rows of each class; they weigh losses and separate head from
    tail.
    """

    metrics_directions: Mapping[str, Literal["max", "min"]] = METRICS

    def __init__(
        self, criterion: ClassLoss, class_counts: Tensor, finetune: FineTuneConfig
    ) -> None:
        self.criterion, self.class_counts, self.finetune = criterion, class_counts, finetune

    def loss(self, model: nn.Module, batch: ImageBatch) -> Loss:
        """Return the mean loss over rows; mixed pictures count for both labels by their shares.

        The term `accuracy` is that of training pictures as they are fed: augmented, and mixed ones
        scored by the label with the larger share.
        """
        logits = model(batch.images)
        by_row = self.row_losses(logits, batch)
        main = torch.where(batch.share >= 0.5, batch.labels, batch.others)
        hits = (logits.detach().argmax(dim=1) == main).float().mean()
        return Loss(by_row.mean(), {"accuracy": hits})

    def row_losses(self, logits: Tensor, batch: ImageBatch) -> Tensor:
        """Return the loss of each row, [B]; of mixed pictures that of both labels, by share."""
        by_row: Tensor = self.criterion(logits, batch.labels)
        if batch.others.data_ptr() != batch.labels.data_ptr():  # not `share`: that waits
            others = self.criterion(logits, batch.others)
            by_row = batch.share * by_row + (1.0 - batch.share) * others
        return by_row

    def predict(self, model: nn.Module, batch: ImageBatch) -> Arrays:
        """Return logits [B, C] in float32, labels [B], and the rows [B] of the set."""
        return {
            "logits": model(batch.images).float(),
            "labels": batch.labels,
            "rows": batch.rows,
        }

    def metrics(self) -> Metrics:
        """Return a collector of logits; see `classification.metrics.metrics`."""
        return ClassMetrics(self.class_counts)

    def param_groups(self, model: nn.Module) -> list[Group]:
        """Return the parameter groups, with layer-wise learning-rate decay if configured."""
        return groups(model, self.finetune)

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        """Set class weights and frozen layers, both functions of the epoch."""
        self.criterion.at(clock.epoch, clock.epochs)
        freeze(model, self.finetune, clock)


class MultiLabelTask(ClassifyTask):
    """Classification of pictures that may have several labels, or none, each a yes or no.

    Batches have labels of bool [B, C]. class_counts: [C] int64, training rows of each label.
    """

    metrics_directions = MULTI_LABEL_METRICS

    def loss(self, model: nn.Module, batch: ImageBatch) -> Loss:
        """Return the mean loss over rows; mixed pictures count for both labels by their shares.

        The term `hamming_loss` is the share of wrong labels of pictures as they are fed, mixed ones
        against the labels with the larger share.
        """
        logits = model(batch.images)
        main = torch.where(batch.share[:, None] >= 0.5, batch.labels, batch.others)
        wrong = ((logits.detach() >= 0.0) != main).float().mean()
        return Loss(self.row_losses(logits, batch).mean(), {"hamming_loss": wrong})

    def metrics(self) -> Metrics:
        """Return a collector of logits; see `metrics.multi_label_metrics`."""
        return MultiLabelMetrics()
