"""Model, task and batches of `retina`, as the trainer wants them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tunewright.images.augment.augment import make_augment
from tunewright.images.dataset.splits import units_of
from tunewright.images.loading.batches import map_store
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.store import Store, build_store
from tunewright.images.progress import ShowProgress
from tunewright.images.sources.build_table import INTEGER
from tunewright.recipes.retina.config import RetinaConfig
from tunewright.recipes.retina.data.batches import EyeBatches, EyeColumns
from tunewright.recipes.retina.data.datasets import EyeSets, keep_readable, open_eye_sets
from tunewright.recipes.retina.data.eye_table import BRANCHES, EyeTable
from tunewright.recipes.retina.evaluation.zero_shot import ClassPrompts
from tunewright.recipes.retina.evaluation.zero_shot_prompts import class_sentences
from tunewright.recipes.retina.models.encoder_names import SMALL, vision_shape
from tunewright.recipes.retina.models.image_encoder import make_image_encoder
from tunewright.recipes.retina.models.initial_weights import load_initial
from tunewright.recipes.retina.models.text_encoders import SmallTextEncoder
from tunewright.recipes.retina.models.tripartite import TripartiteModel
from tunewright.recipes.retina.models.word_tokenizer import Tokens, WordTokenizer
from tunewright.recipes.retina.task import TripartiteTask
from tunewright.training.memory.device import free_device_bytes
from tunewright.training.task import Setup

TOKENIZER = "tokenizer.json"
"""File of the run folder that says how texts become tokens."""
EVALUATION_ROWS = 128
"""Patients of an evaluation batch."""
RESIDENT_SHARE = 0.5
"""Most of a GPU's free memory that pictures may take to stay on it."""


class Tokenizer(Protocol):
    """What turns texts into tokens. context_length: of a text, in tokens."""

    context_length: int

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Return int64 [N, longest]."""
        ...

    def truncated(self, texts: Sequence[str]) -> int:
        """Return how many texts are longer than the context."""
        ...

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """Return the words of texts that have no token."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Return what a run folder keeps of it."""
        ...


@dataclass(frozen=True)
class OpenedRecipe:
    """Everything of a configuration: sets, store, network with its tokenizer, task."""

    config: RetinaConfig
    sets: EyeSets
    store: Store
    model: TripartiteModel
    tokenizer: Tokenizer
    task: TripartiteTask
    notices: tuple[str, ...]

    def batches(self, table: EyeTable, device: torch.device, *, training: bool) -> EyeBatches:
        """Return the batches of a set."""
        config = self.config
        rows = config.training.batch_size if training else EVALUATION_ROWS
        found = EyeBatches(
            self._columns(table),
            Batching(
                batch_size=rows,
                seed=config.seed if training else 0,
                shuffle=training,
                drop_last=training,
                micro_batches=config.training.accumulate if training else 1,
            ),
            per_eye=table.per_eye,
            repeat=config.data.one_eye == "repeat",
            mirror_right=config.data.mirror_right,
            augment=make_augment(config.augmentation) if training else None,
            device=device,
        )
        if device.type == "cuda" and config.data.store != "memory":
            found = found.resident(device, int(free_device_bytes(device) * RESIDENT_SHARE))
        return found

    def _columns(self, table: EyeTable) -> EyeColumns:
        rows_of = self.store.rows_of
        eyes = np.where(table.eyes >= 0, rows_of[table.eyes], -1)
        return EyeColumns(
            map_store(self.store),
            torch.from_numpy(eyes),
            torch.from_numpy(self.tokenizer.encode(table.texts)),
            torch.from_numpy(table.text_of),
            torch.from_numpy(table.labels),
            torch.from_numpy(units_of(table.patients)),
        )


def make_setup(config: RetinaConfig, device: torch.device) -> Setup:
    """Make model, task and batches for a validated configuration."""
    opened = open_recipe(config, device)
    sets = opened.sets
    return Setup(
        opened.model,
        opened.task,
        opened.batches(sets.train, device, training=True),
        opened.batches(sets.valid, device, training=False),
        opened.batches(sets.test, device, training=False) if sets.test is not None else None,
        notices=(*opened.notices, *_batch_norm_notices(opened.model, config)),
        extra_files={TOKENIZER: opened.tokenizer.as_json()},
        calibrate=True,
    )


def open_recipe(
    config: RetinaConfig, device: torch.device, stored: Mapping[str, Any] | None = None
) -> OpenedRecipe:
    """Open the data and build the model of a configuration.

    stored: what a run folder keeps of its tokenizer; None makes it of the training texts.
    """
    sets = open_eye_sets(config.data)
    size = image_size(config)
    with ShowProgress("decoding pictures") as progress:
        store = build_store(
            sets.train.pictures, size, on_progress=progress, skip_bad=config.data.skip_bad
        )
    if store.notices:
        sets = _readable(sets, store)
    texts = train_texts(sets.train)
    model, tokenizer, notices = make_model(config, texts, stored, initial=stored is None)
    notices += cut_texts(tokenizer, texts) if config.model.text != SMALL else []
    task = make_task(config, sets.train, tokenizer, device)
    return OpenedRecipe(config, sets, store, model, tokenizer, task, (*notices, *store.notices))


def image_size(config: RetinaConfig) -> int:
    """Return the side of the pictures, in pixels."""
    return config.data.image_size or vision_shape(config.model.vision).side


def train_texts(table: EyeTable) -> list[str]:
    """Return the distinct texts of a set's patients."""
    return [table.texts[row] for row in np.unique(table.text_of).tolist() if row >= 0]


def make_model(
    config: RetinaConfig,
    texts: Sequence[str],
    stored: Mapping[str, Any] | None = None,
    *,
    initial: bool = True,
) -> tuple[TripartiteModel, Tokenizer, list[str]]:
    """Build the network, and the tokenizer.

    texts: those of the training patients, whose words the small text encoder knows. stored: as for
    `open_recipe`. initial: load the weights that the configuration begins from. Returns notices on
    them, too. Raises ConfigError, and DataError for weights that do not fit.
    """
    section = config.model
    image_encoder = make_image_encoder(section, image_size(config))
    text_encoder, tokenizer = _make_text_encoder(config, texts, stored)
    model = TripartiteModel(image_encoder, text_encoder, config.loss)
    notices = load_initial(model, section) if initial else []
    for name in frozen_parts(config):
        getattr(model, name).requires_grad_(False)
    if config.loss.branches == "patient":
        for maps in (model.image_maps, model.text_maps, model.criteria):
            for branch in BRANCHES[1:]:
                maps[branch].requires_grad_(False)
    return model, tokenizer, notices


def cut_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """Return a notice on texts that are longer than the context."""
    if not (cut := tokenizer.truncated(texts)):
        return []
    return [
        f"{cut:,} of {len(texts):,} texts ({cut / len(texts):.0%}) are longer than "
        f"model.context_length = {tokenizer.context_length} and are cut off"
    ]


def frozen_parts(config: RetinaConfig) -> list[str]:
    """Return the names of the encoders that stay as they are."""
    model = config.model
    return ["image_encoder"] * model.freeze_vision + ["text_encoder"] * model.freeze_text


def make_task(
    config: RetinaConfig, table: EyeTable, tokenizer: Tokenizer, device: torch.device
) -> TripartiteTask:
    """Make the task, with the prompts of the classes."""
    prompts = None
    if table.classes:
        sentences = class_sentences(config.zero_shot, table.classes, table.class_names)
        tokens = tokenizer.encode([text for texts in sentences for text in texts])
        class_of = [number for number, texts in enumerate(sentences) for _ in texts]
        prompts = ClassPrompts(
            torch.from_numpy(tokens), torch.tensor(class_of), len(table.classes)
        ).to(device)
    return TripartiteTask(
        prompts,
        single=table.single,
        graded=bool(table.classes) and all(INTEGER.fullmatch(name) for name in table.classes),
        branches=BRANCHES if config.loss.branches == "all" else BRANCHES[:1],
        multi_positive=config.loss.multi_positive,
        frozen=frozen_parts(config),
    )


def _make_text_encoder(
    config: RetinaConfig, texts: Sequence[str], stored: Mapping[str, Any] | None
) -> tuple[nn.Module, Tokenizer]:
    section = config.model
    if section.text != SMALL:
        from tunewright.recipes.retina.models import bert  # transformers take seconds

        if stored is not None and bert.is_complete(stored):
            return bert.restore_bert(stored)
        return bert.open_bert(section.text, section.context_length)
    words = (
        WordTokenizer.fit(texts, section.context_length)
        if stored is None
        else WordTokenizer.from_json(stored)
    )
    encoder = SmallTextEncoder(
        words.size,
        section.context_length,
        section.text_width,
        section.text_layers,
        section.text_heads,
        section.dropout,
    )
    return encoder, words


def _readable(sets: EyeSets, store: Store) -> EyeSets:
    parts = {name: keep_readable(getattr(sets, name), store.rows_of) for name in ("train", "valid")}
    test = None if sets.test is None else keep_readable(sets.test, store.rows_of)
    return EyeSets(parts["train"], parts["valid"], test, sets.one_view, sets.notices)


def _batch_norm_notices(model: TripartiteModel, config: RetinaConfig) -> list[str]:
    """Return a notice on batch norm in micro-batches, whose step is not that of the whole batch."""
    if config.training.accumulate == 1 or not any(
        isinstance(module, _BatchNorm) for module in model.modules()
    ):
        return []
    return [
        f"model.vision = {config.model.vision} has batch norm, which normalises by micro-batch: "
        f"with training.accumulate = {config.training.accumulate} the negatives are those of the "
        "whole batch, but the vectors differ a little from those of an undivided one"
    ]
