"""Batches of patients: both eyes gathered from one store, augmented alike, with their texts."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from tunewright.images.augment.augment import Augment
from tunewright.images.loading.batches import Normalisation, normalise
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.sampler import Order, generator_of
from tunewright.training.device import copies_on

CLIP = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and standard deviation of CLIP's pictures."""


class EyeBatch(NamedTuple):
    """What a training step takes of B patients.

    left, right: [B, 3, S, S] float32, normalised; grey where the eye is absent. tokens: int64
    [B, K, L], K = 1 where one text serves all branches, else 3. groups: int64 [B, 3], equal for
    equal texts. shown: bool [B, 3], whether patient, left and right branch take part. labels: int64
    [B, C]; negative where there are none. rows: int64 [B], in the set's table.
    """

    left: Tensor
    right: Tensor
    tokens: Tensor
    groups: Tensor
    shown: Tensor
    labels: Tensor
    seen: Tensor
    rows: Tensor
    patients: Tensor


@dataclass(frozen=True, eq=False)
class EyeColumns:
    """All patients of a set as tensors.

    pictures: uint8 [R, 3, S, S], mapped or on a device. eyes: int64 [N, 2], rows of `pictures`, or
    negative. tokens: int64 [T, L], of distinct texts. text_of: int64 [N, 3], rows of `tokens`, or
    negative. labels: int64 [N, C]. patients: int64 [N].
    """

    pictures: Tensor
    eyes: Tensor
    tokens: Tensor
    text_of: Tensor
    labels: Tensor
    patients: Tensor


class EyeBatches:
    """Batches of a set of patients, for training and evaluation (a `training.task.Loader`).

    per_eye: whether eyes have texts of their own. repeat: a patient without an eye shows the other
    one twice to the patient branch. mirror_right: mirror right eyes. augment: both eyes of a
    patient get the same random numbers, so that a mirror image is one of both or of none. Counts
    are of real patients: nothing is padded, and no batch holds a patient twice.

    Raises DataError if a micro-batch would have no row.
    """

    def __init__(
        self,
        columns: EyeColumns,
        batching: Batching,
        *,
        per_eye: bool = True,
        repeat: bool = False,
        mirror_right: bool = False,
        augment: Augment | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.columns, self.device = columns, torch.device(device)
        eyes = len(columns.eyes)
        self.batching = batching.limit_to(eyes, of="patient")
        self.order, self.augment = Order(torch.arange(eyes), self.batching), augment
        self.per_eye, self.mirror_right = per_eye, mirror_right
        self.repeat = repeat
        present = columns.eyes >= 0
        self.seen = present.any(dim=1) if repeat else present.all(dim=1)
        self.shown = torch.cat([self.seen[:, None], present], dim=1) & (columns.text_of >= 0)

    def __len__(self) -> int:
        """Return the number of micro-batches in an epoch."""
        return len(self.order) * self.batching.micro_batches

    def epoch(self, epoch: int) -> Iterator[EyeBatch]:
        """Yield the micro-batches of an epoch; a pure function of seed and epoch."""
        generator = generator_of(self.batching.seed, epoch, "augment")
        for rows in self.order.epoch(epoch):
            uniform = None if self.augment is None else self.augment.draw(len(rows), generator)
            for part in self.order.batching.parts(len(rows)):
                yield self._batch(rows[part], None if uniform is None else uniform[part])

    def of_rank(self, rank: int, ranks: int) -> "EyeBatches":
        """Return the part of each micro-batch that one of several processes has."""
        found = copy(self)
        found.order = self.order.of_rank(rank, ranks)
        return found

    def resident(self, device: torch.device, budget_bytes: int) -> "EyeBatches":
        """Move all pictures to `device` if they fit into the budget, and return these batches."""
        columns = self.columns
        if (moved := copies_on(device, (columns.pictures,), budget_bytes)) is not None:
            self.columns = replace(columns, pictures=moved[0])
        return self

    def _batch(self, rows: Tensor, uniform: Tensor | None) -> EyeBatch:
        columns = self.columns
        eyes, text_of = columns.eyes[rows], columns.text_of[rows]
        if self.repeat:
            eyes = torch.where(eyes >= 0, eyes, eyes.flip(1))
        left, right = (self._pictures(eyes[:, side], side, uniform) for side in (0, 1))
        kinds = text_of if self.per_eye else text_of[:, :1]
        tokens = columns.tokens[kinds.clamp(min=0)]
        rest = (
            tokens, text_of, self.shown[rows], columns.labels[rows],
            self.seen[rows], rows, columns.patients[rows],
        )  # fmt: skip
        return EyeBatch(left, right, *(side.to(self.device, non_blocking=True) for side in rest))

    def _pictures(self, places: Tensor, side: int, uniform: Tensor | None) -> Tensor:
        pictures = self.columns.pictures
        found = pictures.index_select(0, places.clamp(min=0).to(pictures.device)).to(self.device)
        if side and self.mirror_right:
            found = found.flip(-1)
        if self.augment is not None and uniform is not None:
            found = self.augment.by_numbers(found, uniform)
        scaled = normalise(found, CLIP)
        absent = places < 0
        if bool(absent.any()):  # on the CPU: nothing waits
            scaled[absent.to(self.device)] = 0.0
        return scaled
