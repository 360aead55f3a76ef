"""Model, task and data of `pairs`, as the trainer wants them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.contrastive.cached_backward import contrastive_backward
from tunewright.contrastive.losses import LOSSES, ContrastiveLoss
from tunewright.contrastive.retrieval import (
    RetrievalRanks,
    bootstrap_interval,
    retrieval_ranks,
    scores_of_ranks,
)
from tunewright.images.loading.batching import Batching
from tunewright.recipes.pairs.config import METRICS, PairsConfig
from tunewright.recipes.pairs.data.batches import PairBatches, open_tensor
from tunewright.recipes.pairs.data.datasets import PairSets, open_sets
from tunewright.recipes.pairs.data.groups import image_and_text_groups, text_numbers
from tunewright.recipes.pairs.data.pair_checks import integer_ids
from tunewright.recipes.pairs.data.pair_files import PairSet
from tunewright.recipes.pairs.heads import HEADS
from tunewright.training.memory.device import free_device_bytes
from tunewright.training.precision import at_least_float32
from tunewright.training.task import Arrays, Loss, Metrics, Setup, StepContext, Task

Batch = tuple[Tensor, Tensor, Tensor]
"""Images [B, width], texts [B, width], ids [B, 2]: the group of positives, and the text."""

EVALUATION_ROWS = 4096
MIN_EVALUATION_ROWS = 256
"""Rows of an evaluation batch, and the minimum with many micro-batches."""
RESIDENT_SHARE = 0.5
"""Share of a GPU's free memory that the data may occupy permanently."""


class PairModel(nn.Module):
    """Two heads into one space, and the loss with its learnable scalars."""

    def __init__(self, image_head: nn.Module, text_head: nn.Module, criterion: ContrastiveLoss):
        super().__init__()
        self.image_head, self.text_head, self.criterion = image_head, text_head, criterion

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit vectors [B, output_dim] of images and texts."""
        return (
            _unit(self.image_head(images)),
            _unit(self.text_head(texts)),
        )


class PairTask(Task):
    """Contrastive training, measured by retrieval."""

    metrics_directions = METRICS

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Compute the contrastive loss; the temperature is reported as a term."""
        return self.contrast(model, self.encode(model, batch), self.targets(batch))

    def encode(self, model: nn.Module, batch: Batch) -> tuple[Tensor, ...]:
        """Return unit vectors of images and of texts, each [B, output_dim]."""
        vectors: tuple[Tensor, ...] = model(batch[0], batch[1])
        return vectors

    def targets(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the groups of positives, [B]."""
        return (batch[2][:, 0],)

    def contrast(
        self, model: nn.Module, vectors: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> Loss:
        """Compute the loss of unit vectors [B, output_dim] of images and texts, by groups [B]."""
        criterion: ContrastiveLoss = model.criterion  # type: ignore[assignment]
        return Loss(criterion(*vectors, *targets), {"temperature": criterion.temperature})

    def predict(self, model: nn.Module, batch: Batch) -> Arrays:
        """Return unit vectors of images and texts, with their ids."""
        images, texts = model(batch[0], batch[1])
        return {"images": images, "texts": texts, "ids": batch[2]}

    def metrics(self) -> "PairMetrics":
        """Return a collector of vectors, which computes ranks at the end of the pass."""
        return PairMetrics()

    def backward(self, model: nn.Module, batches: Sequence[Batch], context: StepContext) -> Loss:
        """Leave the gradients of a step; micro-batches have each other's rows as negatives."""
        return contrastive_backward(self, model, batches, context)

    def after_step(
        self, model: nn.Module, batches: Sequence[Batch], loss: Loss, context: StepContext
    ) -> None:
        """Keep the learnable scale within its bounds."""
        model.criterion.clamp_()  # type: ignore[operator]


class PairMetrics(Metrics):
    """Collects the vectors of one pass, since retrieval ranks within the whole set."""

    def __init__(self) -> None:
        self._passed: list[Arrays] = []
        self._ranks: RetrievalRanks | None = None

    def update(self, arrays: Arrays) -> None:
        """Keep the vectors of a batch."""
        self._passed.append(arrays)

    def ranks(self) -> RetrievalRanks:
        """Compute ranks over all collected vectors, then free the vectors."""
        if self._ranks is None:
            images, texts, ids = (
                torch.cat([arrays[name] for arrays in self._passed])
                for name in ("images", "texts", "ids")
            )
            self._ranks = retrieval_ranks(images, texts, ids[:, 0], text_ids=ids[:, 1])
            self._passed.clear()
        return self._ranks

    def compute(self) -> dict[str, float]:
        """Return recalls, ranks and gallery sizes, as `contrastive.retrieval` names them."""
        return scores_of_ranks(self.ranks())

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the bootstrap interval of `recall_1`, None for the other metrics."""
        if metric != "recall_1":
            return None
        ranks = self.ranks()
        return bootstrap_interval(ranks.i2t, ranks.t2i, ranks.image_of_text)


def make_setup(config: PairsConfig, device: torch.device) -> Setup:
    """Make heads, task and batches for a validated configuration."""
    sets = open_sets(config.data)
    train = PairBatches(
        *_tensors(sets, sets.train, config, training=True),
        Batching(
            batch_size=config.training.batch_size,
            seed=config.seed,
            micro_batches=config.training.accumulate,
        ),
        device=device,
    )
    valid = evaluation_batches(sets, sets.valid, config, device)
    test = evaluation_batches(sets, sets.test, config, device) if sets.test else None
    if device.type == "cuda":
        budget = int(free_device_bytes(device) * RESIDENT_SHARE)
        train = train.resident(device, budget)
        valid = valid.resident(device, budget // 2)
    return Setup(make_model(config, sets), PairTask(), train, valid, test)


def make_model(config: PairsConfig, sets: PairSets) -> PairModel:
    """Make freshly initialised heads for the widths of the data."""
    options = config.model.keywords()
    make_head = HEADS[config.model.type]
    criterion = LOSSES[config.loss.type](config.model.output_dim, **config.loss.keywords())
    return PairModel(
        make_head(sets.train.images.width, **options),
        make_head(sets.train.texts.width, **options),
        criterion,
    )


def evaluation_batches(
    sets: PairSets, pairs: PairSet, config: PairsConfig, device: torch.device
) -> PairBatches:
    """Return batches of all rows of a set, in order."""
    rows = max(MIN_EVALUATION_ROWS, EVALUATION_ROWS // config.training.accumulate)
    return PairBatches(
        *_tensors(sets, pairs, config, training=False),
        Batching(batch_size=rows, seed=0, shuffle=False, drop_last=False),
        device=device,
    )


def _unit(vectors: Tensor) -> Tensor:
    """Normalise rows to length 1, in float32 at least, even under autocast."""
    return F.normalize(at_least_float32(vectors), dim=1)


def _tensors(
    sets: PairSets, pairs: PairSet, config: PairsConfig, *, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mapped embeddings of a set, and its ids [N, 2]."""
    both = config.data.positives == "image_or_text" and training
    texts_repeat = config.data.texts_repeat and not training  # a loss needs only the positives
    files = (pairs.images.path, pairs.texts.path, pairs.stamps)
    key = _Key(pairs, (*files, both, texts_repeat))
    return _map_embeddings(key, both, texts_repeat)


class _Key:
    """A cache key: equal as long as the files and metadata of a set are unchanged."""

    def __init__(self, pairs: PairSet, identity: tuple[Any, ...]) -> None:
        self.pairs, self.identity = pairs, identity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)


@lru_cache(maxsize=8)
def _map_embeddings(key: _Key, both: bool, texts_repeat: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Map the embeddings; cached in a warm worker for the next trial on the same data."""
    pairs = key.pairs
    positives = image_and_text_groups(pairs) if both else integer_ids(pairs)[0]
    texts = text_numbers(pairs) if texts_repeat else np.arange(pairs.rows)
    ids = torch.from_numpy(np.stack([positives, texts], axis=1).astype(np.int64))
    return open_tensor(pairs.images), open_tensor(pairs.texts), ids
