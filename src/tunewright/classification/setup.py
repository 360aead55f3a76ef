"""Build model, task and batches from a configuration, for every recipe that classifies pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tunewright.classification.classes_file import FILE, ClassIndex
from tunewright.classification.config import ClassifyConfig
from tunewright.classification.data_checks import open_sets
from tunewright.classification.losses import multi_label
from tunewright.classification.losses.config import classifier_scale
from tunewright.classification.losses.losses import LOSSES
from tunewright.classification.models.cosine_classifier import normalise_classifier
from tunewright.classification.models.image_classifier import input_size, make_image_model
from tunewright.classification.models.param_groups import freeze_batch_norm
from tunewright.classification.task import ClassifyTask, MultiLabelTask
from tunewright.errors import ConfigError
from tunewright.images.augment.augment import Augment, make_augment
from tunewright.images.augment.mixup import Mix, make_mix
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.batches import (
    IMAGENET,
    Finishing,
    ImageBatches,
    Normalisation,
    map_store,
)
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.placement import choose
from tunewright.images.loading.store import Store, build_store
from tunewright.images.loading.streaming import StreamedBatches
from tunewright.images.progress import ShowProgress
from tunewright.runs.callbacks import OnNotice
from tunewright.training.memory.device import free_device_bytes
from tunewright.training.task import Loader, Setup

EVALUATION_ROWS = 256
"""Pictures per batch in evaluation."""
RESIDENT_SHARE = 0.5
"""Most of a GPU's free memory that pictures may take to stay on it."""


def make_setup(config: ClassifyConfig, device: torch.device) -> Setup:
    """Build everything that is trained, for a checked configuration.

    Automatic choices (where pictures are kept) are written into the run's configuration.
    """
    sets = open_sets(config)
    notices: list[str] = []
    size = input_size(config.model, config.data.image_size)
    model = make_model(config, len(sets.classes), on_notice=notices.append)
    _check_micro_batch(model, config, len(sets.train))
    if config.finetune.freeze_batch_norm:
        norms = freeze_batch_norm(model)
        notices.append(
            f"{norms} batch norms stay as they are (finetune.freeze_batch_norm)"
            if norms
            else "finetune.freeze_batch_norm has no effect: the model has no batch norm"
        )
    counts = torch.from_numpy(sets.class_counts)
    several = config.data.multi_label
    losses = multi_label.LOSSES if several else LOSSES
    criterion = losses[config.loss.type](counts, **config.loss.keywords()).to(device)
    task = (MultiLabelTask if several else ClassifyTask)(
        criterion, counts.to(device), config.finetune
    )
    pictures = Pictures.of(config, sets.train, size, device, normalisation(model))
    notices.append(pictures.why)
    weights = None
    if config.data.weighted_sampler:
        weights = (1.0 / counts.clamp(min=1).double())[torch.from_numpy(sets.train.labels)]
    train = pictures.batches(
        sets.train,
        Batching(
            batch_size=config.training.batch_size,
            seed=config.seed,
            micro_batches=config.training.accumulate,
        ),
        augment=make_augment(config.augmentation),
        mix=make_mix(config.mixing),
        weights=weights,
    )
    return Setup(
        model,
        task,
        train,
        pictures.in_order(sets.valid),
        pictures.in_order(sets.test) if sets.test is not None else None,
        notices=tuple(notices),
        resolved={"data.store": pictures.kept},
        extra_files={FILE: ClassIndex.of(sets, config.data.dir).as_json()},
        calibrate=True,
    )


def make_model(config: ClassifyConfig, classes: int, *, on_notice: OnNotice = print) -> nn.Module:
    """Build the network of a configuration, with the weights that it asks for."""
    model = make_image_model(
        config.model, classes, image_size=config.data.image_size, on_notice=on_notice
    )
    scale = classifier_scale(config.loss)
    if scale is not None:
        normalise_classifier(model, classes, scale=scale)
    return model


def _check_micro_batch(model: nn.Module, config: ClassifyConfig, rows: int) -> None:
    """Refuse micro-batches of one picture for a network with batch norm, which has no variance."""
    training = config.training
    smallest = min(training.batch_size, rows) // training.accumulate
    if smallest < 2 and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise ConfigError(
            f"training.batch_size = {training.batch_size} and training.accumulate = "
            f"{training.accumulate} leave {smallest} of {rows:,} pictures for a micro-batch",
            expected="at least 2, since the network has batch norm",
            remedy="Raise training.batch_size, or lower training.accumulate.",
        )


def normalisation(model: nn.Module) -> Normalisation:
    """Return the model's own normalisation, if it states one; else ImageNet's."""
    known = getattr(model, "pretrained_cfg", None) or {}
    if "mean" not in known or "std" not in known:
        return IMAGENET
    return Normalisation(tuple(known["mean"]), tuple(known["std"]))


@dataclass(frozen=True)
class Pictures:
    """Where decoded pictures are kept, and the batches drawn from them.

    kept: `memory` (mapped), `device` or `stream`. why: the reason in one sentence.
    """

    config: ClassifyConfig
    size: int
    device: torch.device
    normalise: Normalisation
    kept: Literal["memory", "device", "stream"]
    why: str

    @classmethod
    def of(
        cls,
        config: ClassifyConfig,
        table: ImageTable,
        size: int,
        device: torch.device,
        normalise: Normalisation,
    ) -> "Pictures":
        """Choose for the source of `table`."""
        free = int(free_device_bytes(device)) if device.type == "cuda" else None
        choice = choose(table, size, free, config.data.store, config.data.resize)
        return cls(config, size, device, normalise, choice.store, choice.why)

    def in_order(self, table: ImageTable) -> Loader:
        """Return all pictures of a set in order, without augmentation."""
        rows = max(1, EVALUATION_ROWS // self.config.training.accumulate)
        return self.batches(
            table, Batching(batch_size=rows, seed=0, shuffle=False, drop_last=False)
        )

    def batches(
        self,
        table: ImageTable,
        batching: Batching,
        *,
        augment: Augment | None = None,
        mix: Mix | None = None,
        weights: Tensor | None = None,
    ) -> Loader:
        """Return the batches of a set; its pictures are decoded now, unless they were before."""
        resize = self.config.data.resize
        finishing = Finishing(self.normalise, augment, mix, self.device)
        if self.kept == "stream":
            workers = self.config.data.workers
            return StreamedBatches(
                table, self.size, batching, finishing,
                resize=resize, weights=weights, workers=workers,
            )  # fmt: skip
        with ShowProgress("decoding pictures") as progress:
            skip_bad = self.config.data.skip_bad
            store = build_store(
                table, self.size, resize=resize, on_progress=progress, skip_bad=skip_bad
            )
        found = ImageBatches(
            _map_store(store),
            torch.from_numpy(table.truth),
            batching,
            finishing,
            rows_of=torch.from_numpy(store.rows_of),
            weights=weights,
        )
        if self.kept == "memory":
            return found
        return found.resident(self.device, int(free_device_bytes(self.device) * RESIDENT_SHARE))


def _map_store(store: Store) -> Tensor:
    """Map the pictures of a store [rows, 3, size, size]: one tensor for all trials of a worker."""
    if (known := _TENSORS.get(store.file)) is None:
        known = _TENSORS[store.file] = map_store(store)
    return known


_TENSORS: dict[Path, Tensor] = {}
"""By file; a store is named by its content, so a new content has a new name."""
