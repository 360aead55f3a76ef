"""The training task of `retina`: three contrastive terms; retrieval and zero-shot metrics."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from tunewright.contrastive.cached_backward import contrastive_backward
from tunewright.recipes.retina.config import METRICS
from tunewright.recipes.retina.data.batches import EyeBatch
from tunewright.recipes.retina.data.eye_table import BRANCHES
from tunewright.recipes.retina.evaluation.eye_metrics import EyeMetrics
from tunewright.recipes.retina.evaluation.zero_shot import ClassPrompts, class_vectors
from tunewright.recipes.retina.models.tripartite import TripartiteModel, tripartite_loss
from tunewright.training.task import Arrays, Clock, Loss, StepContext, Task


class TripartiteTask(Task):
    """Contrastive training of patient, left and right eye.

    prompts: of the classes, None where the data have none. single: each patient has one label.
    graded: the classes are grades in order.
    branches: those that are trained. multi_positive: equal texts are positives of each other.
    """

    metrics_directions: Mapping[str, Literal["max", "min"]] = METRICS

    def __init__(
        self,
        prompts: ClassPrompts | None,
        *,
        single: bool,
        graded: bool = False,
        branches: Sequence[str] = BRANCHES,
        multi_positive: bool = True,
        frozen: Sequence[str] = (),
    ) -> None:
        self.prompts, self.single, self.graded = prompts, single, graded
        self.branches, self.multi_positive = tuple(branches), multi_positive
        self.frozen = tuple(frozen)
        self._class_vectors: Tensor | None = None

    def loss(self, model: nn.Module, batch: EyeBatch) -> Loss:
        """Return the sum of the branches' losses."""
        return self.contrast(model, self.encode(model, batch), self.targets(batch))

    def encode(self, model: nn.Module, batch: EyeBatch) -> tuple[Tensor, ...]:
        """Return the vectors of the three branches and of their texts, six of [B, embed_dim]."""
        found: tuple[Tensor, ...] = model(batch.left, batch.right, batch.tokens)
        return found

    def targets(self, batch: EyeBatch) -> tuple[Tensor, ...]:
        """Return the groups of equal texts and which rows take part, each [B, 3]."""
        return batch.groups, batch.shown

    def contrast(
        self, model: nn.Module, vectors: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> Loss:
        """Return the loss of vectors and `targets` of a whole batch.

        Terms: the loss and the temperature of each branch; `chance`, the loss of a model that
        cannot tell any patient of the batch from another.
        """
        groups, shown = targets
        if not self.multi_positive:
            groups = torch.arange(len(groups), device=groups.device)[:, None].expand_as(groups)
        criteria = cast(TripartiteModel, model).criteria
        losses = tripartite_loss(criteria, vectors, groups, shown, self.branches)
        terms: dict[str, Tensor] = {}
        chance = torch.zeros((), device=groups.device)
        for at, branch in enumerate(BRANCHES):
            if branch in losses:
                terms[f"{branch}_loss"] = losses[branch]
                terms[f"{branch}_temperature"] = cast(Tensor, criteria[branch].temperature)
                chance = chance + shown[:, at].sum().clamp(min=1).float().log()
        return Loss(torch.stack(list(losses.values())).sum(), {**terms, "chance": chance})

    def backward(self, model: nn.Module, batches: Sequence[EyeBatch], context: StepContext) -> Loss:
        """Leave the gradients of a step; micro-batches have each other's rows as negatives."""
        return contrastive_backward(self, model, batches, context)

    def after_step(
        self, model: nn.Module, batches: Sequence[EyeBatch], loss: Loss, context: StepContext
    ) -> None:
        """Keep the learnable scales within their bounds."""
        cast(TripartiteModel, model).clamp_()

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        """Keep frozen encoders in evaluation mode: their norms and dropout stay as they are."""
        for name in self.frozen:
            cast(nn.Module, getattr(model, name)).eval()

    def predict(self, model: nn.Module, batch: EyeBatch) -> Arrays:
        """Return the vectors of patients and their texts, and scores of classes where there are.

        images, texts: [B, embed_dim]; groups: [B], of the patient's text, negative without one;
        seen: [B]; labels: [B, C]; rows, patients: [B]; scores: [B, C], cosines to class vectors.
        """
        network = cast(TripartiteModel, model)
        images = network.encode_eyes(batch.left, batch.right)[0]
        texts = network.encode_texts(batch.tokens)[0]
        found = {
            "images": images,
            "texts": texts,
            "groups": batch.groups[:, 0],
            "rows": batch.rows,
            "labels": batch.labels,
            "seen": batch.seen,
            "patients": batch.patients,
        }
        if self.prompts is not None:
            if self._class_vectors is None:
                self._class_vectors = class_vectors(network, self.prompts)
            found["scores"] = images @ self._class_vectors.T
        return found

    def metrics(self) -> EyeMetrics:
        """Return a collector of vectors; see `evaluation.eye_metrics`.

        Here a pass begins, with weights of its own: the prompts are encoded once in each.
        """
        self._class_vectors = None
        return EyeMetrics(single=self.single, graded=self.graded)

    def first_row(self, batch: EyeBatch) -> EyeBatch:
        """Return the first patient of a batch, to time its prediction."""
        return EyeBatch(*(side[:1] for side in batch))
