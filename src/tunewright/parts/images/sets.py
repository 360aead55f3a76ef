"""The sets of a configuration: found, split, checked and measured without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tunewright.parts.images.config import ImagesData
from tunewright.parts.images.table import ImageTable, Indices

MakeDefault = Callable[[Path], None]
"""Draws a recipe's embedded set (picture files and an index.csv) into an empty folder."""


@dataclass(frozen=True, eq=False)
class ImageSets:
    """Train, validation and, where there is one, test; what to tell the user.

    All are parts of one whole table, so that one store holds the pictures of every split and fold.
    """

    train: ImageTable
    valid: ImageTable
    test: ImageTable | None
    notices: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """As the source writes them; the index is the label."""
        return self.train.classes

    @property
    def class_counts(self) -> Indices:
        """Pictures of each class in train: int64 [C], which may hold 0."""
        return self.train.counts


def open_sets(data: ImagesData, *, make_default: MakeDefault | None = None) -> ImageSets:
    """Find, split and check the pictures of a configuration; nothing is decoded.

    make_default: draws the embedded set, which is used (and kept) when `data.dir` is null.
    Raises DataError for what cannot be used, ConfigError for a split that cannot be made.
    """
    raise NotImplementedError


def facts(data: ImagesData, *, make_default: MakeDefault | None = None) -> Mapping[str, float]:
    """What spaces may refer to: rows, classes, smallest_class and largest_class of train."""
    raise NotImplementedError


def fingerprints(data: ImagesData, *, make_default: MakeDefault | None = None) -> Mapping[str, str]:
    """What tells the content of train and valid: pictures, boxes and classes."""
    raise NotImplementedError
