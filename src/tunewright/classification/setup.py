"""From a configuration to model, task and batches, for every recipe that classifies pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tunewright.classification.classes_file import FILE, ClassIndex
from tunewright.classification.config import ClassifyConfig
from tunewright.classification.data_checks import open_sets
from tunewright.classification.losses.config import classifier_scale
from tunewright.classification.losses.losses import LOSSES
from tunewright.classification.models.cosine_classifier import normalise_classifier
from tunewright.classification.models.image_classifier import input_size, make_image_model
from tunewright.classification.task import ClassifyTask
from tunewright.config.section import Section
from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.mixup import make_mix
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.batches import IMAGENET, ImageBatches, Normalisation, map_store
from tunewright.images.loading.placement import choose
from tunewright.images.loading.store import Store, build_store
from tunewright.images.loading.streaming import StreamedBatches
from tunewright.images.progress import ShowProgress
from tunewright.training.memory.device import free_device_bytes
from tunewright.training.task import Loader, Setup

EVALUATION_ROWS = 256
"""Pictures at once where nothing is learned."""
RESIDENT_SHARE = 0.5
"""Of the free memory of a GPU, what pictures may take to stay on it."""


def make_setup(config: ClassifyConfig, device: torch.device) -> Setup:
    """Everything that is trained, for a checked configuration.

    What was chosen here (where pictures are kept) is written into the run's configuration.
    """
    sets = open_sets(config)
    said: list[str] = []
    size = input_size(config.model, config.data.image_size)
    model = make_model(config, len(sets.classes), told=said.append)
    counts = torch.from_numpy(sets.class_counts)
    criterion = LOSSES[config.loss.type](counts, **_options(config.loss)).to(device)
    task = ClassifyTask(criterion, counts.to(device), config.finetune)
    pictures = Pictures.of(config, sets.train, size, device, normalisation(model))
    said.append(pictures.why)
    weights = None
    if config.data.weighted_sampler:
        weights = (1.0 / counts.clamp(min=1).double())[torch.from_numpy(sets.train.labels)]
    train = pictures.batches(
        sets.train,
        batch_size=config.training.batch_size,
        seed=config.seed,
        micro_batches=config.training.accumulate,
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
        notices=tuple(said),
        resolved={"data.store": pictures.kept},
        extra_files={FILE: ClassIndex.of(sets, config.data.dir).as_json()},
        calibrate=True,
    )


def make_model(config: ClassifyConfig, classes: int, *, told: Any = print) -> nn.Module:
    """The network of a configuration, with the weights that it asks for."""
    model = make_image_model(config.model, classes, image_size=config.data.image_size, told=told)
    scale = classifier_scale(config.loss)
    if scale is not None:
        normalise_classifier(model, classes, scale=scale)
    return model


def normalisation(model: nn.Module) -> Normalisation:
    """What the weights were trained with, where the model says so; else that of ImageNet."""
    known = getattr(model, "pretrained_cfg", None) or {}
    if "mean" not in known or "std" not in known:
        return IMAGENET
    return Normalisation(tuple(known["mean"]), tuple(known["std"]))


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of a source are kept once decoded, and the batches drawn from them.

    kept: `memory` (mapped), `device` or `stream`. why: in a sentence.
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
        """Decide for the source of `table`."""
        free = int(free_device_bytes(device)) if device.type == "cuda" else None
        choice = choose(table, size, free, config.data.store)
        return cls(config, size, device, normalise, choice.store, choice.why)

    def in_order(self, table: ImageTable) -> Loader:
        """All pictures of a set as they are, in order."""
        return self.batches(
            table,
            batch_size=max(1, EVALUATION_ROWS // self.config.training.accumulate),
            seed=0,
            shuffle=False,
            drop_last=False,
        )

    def batches(self, table: ImageTable, **options: Any) -> Loader:
        """Batches of a set; its pictures are decoded now, unless they were before."""
        options = {**options, "normalise": self.normalise, "device": self.device}
        if self.kept == "stream":
            workers = self.config.data.workers
            return StreamedBatches(table, size=self.size, workers=workers, **options)
        with ShowProgress("decoding pictures") as progress:
            skip_bad = self.config.data.skip_bad
            store = build_store(table, self.size, progress=progress, skip_bad=skip_bad)
        found = ImageBatches(
            _map_store(store),
            torch.from_numpy(table.labels),
            rows_of=torch.from_numpy(store.rows_of),
            **options,
        )
        if self.kept == "memory":
            return found
        return found.resident(self.device, int(free_device_bytes(self.device) * RESIDENT_SHARE))


def _map_store(store: Store) -> Tensor:
    """The pictures of a store [rows, 3, size, size]: one tensor for all trials of a worker."""
    if (known := _TENSORS.get(store.file)) is None:
        known = _TENSORS[store.file] = map_store(store)
    return known


_TENSORS: dict[Path, Tensor] = {}
"""By file; the name of a store says what is in it, so that another content has another name."""


def _options(section: Section) -> Mapping[str, Any]:
    return {name: getattr(section, name) for name in type(section).model_fields if name != "type"}
