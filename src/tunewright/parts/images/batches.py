"""Pictures in batches: gathered, augmented, normalised and mixed a batch at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from tunewright.errors import DataError
from tunewright.parts.device_copies import copies_on
from tunewright.parts.images.augment import Augment
from tunewright.parts.images.mixing import Mix
from tunewright.parts.images.store import Store


class ImageBatch(NamedTuple):
    """What a step trains on.

    images [B, 3, S, S] float32, normalised; labels [B] int64; others [B] int64, the second label
    of a mixed picture; share [B] float32, the weight of `labels`, 1 where nothing is mixed;
    rows [B] int64, in the set's table.
    """

    images: Tensor
    labels: Tensor
    others: Tensor
    share: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Normalisation:
    """What is subtracted from each channel of a picture in [0, 1], then divided by."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
