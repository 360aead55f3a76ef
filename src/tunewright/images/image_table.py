"""The one table that every source of pictures is read into: ids, places, labels, splits."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Targets = npt.NDArray[np.bool_]
UNLABELLED = -1
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class PicturePlace:
    """Where one picture is stored: a file, or a member of a zip, and the part of it that counts.

    box: left, top, right, bottom in pixels, after the rotation that EXIF asks for; None: the whole
    picture. window: the stored values that become black and white, for pictures of one channel;
    None: pictures of more than 8 bits are refused.
    """

    file: Path
    member: str | None = None
    box: tuple[float, float, float, float] | None = None
    window: tuple[float, float] | None = None

    def __str__(self) -> str:
        return str(self.file if self.member is None else self.file / self.member)


@dataclass(frozen=True, eq=False)
class ImageTable:
    """The pictures of one source, or of a part of it; row i of every column is picture i.

    ids: exactly as the source writes them, else the file's path relative to `origin`. labels: int64
    [N], index into `classes`, or -1 for no label. classes: as the source writes them, in numerical
    order if all are integers, including classes without pictures. splits: `train`, `valid` or
    `test` for each row. groups: pictures of one group stay in one split. class_names: class ->
    readable name, if there is one. category_ids: class -> the id that submissions ask for, if it
    differs. notices: what the user should know about the source. whole, whole_rows: for a part, the
    table it was taken from and the rows it took. named_by_files: no table lists the pictures, and
    ids are the names of files. targets: bool [N, C], the labels of each picture where it may have
    several, or none; `labels` are then -1. label_separator: what stands between the labels of a
    picture in the source; empty where nothing does.
    """

    origin: Path
    ids: tuple[str, ...]
    places: tuple[PicturePlace, ...]
    labels: Indices
    classes: tuple[str, ...]
    splits: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    class_names: Mapping[str, str] = field(default_factory=dict)
    category_ids: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    whole: "ImageTable | None" = None
    whole_rows: Indices | None = None
    named_by_files: bool = False
    targets: Targets | None = None
    label_separator: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> Indices:
        """The number of pictures of each class: int64 [C], which may hold 0."""
        if self.targets is not None:
            return np.asarray(self.targets.sum(axis=0), dtype=np.int64)
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))

    @property
    def names(self) -> tuple[str, ...]:
        """The name to print for each class."""
        return tuple(self.class_names.get(name, name) for name in self.classes)

    @property
    def truth(self) -> npt.NDArray[Any]:
        """What a training is told of each picture: `labels` [N], or `targets` [N, C]."""
        return self.labels if self.targets is None else self.targets

    def label_names(self, row: int) -> str:
        """Return the readable labels of a picture, for messages and figures."""
        if self.targets is None:
            return self.names[int(self.labels[row])]
        return ", ".join(self.names[at] for at in np.flatnonzero(self.targets[row])) or "no label"

    def with_window(self, window: tuple[float, float] | None) -> "ImageTable":
        """Return the table with that window for every picture; see `PicturePlace`."""
        if window is None:
            return self
        return replace(self, places=tuple(replace(at, window=window) for at in self.places))

    def take(self, rows: npt.NDArray[Any]) -> "ImageTable":
        """Return the table of some rows, in that order; it remembers where they come from.

        rows: integers, or a mask of bool [N].
        """
        kept = np.arange(len(self))[rows]
        order = kept.tolist()
        return replace(
            self,
            ids=tuple(self.ids[row] for row in order),
            places=tuple(self.places[row] for row in order),
            labels=self.labels[kept],
            targets=None if self.targets is None else self.targets[kept],
            splits=None if self.splits is None else tuple(self.splits[row] for row in order),
            groups=None if self.groups is None else tuple(self.groups[row] for row in order),
            whole=self.whole or self,
            whole_rows=kept if self.whole_rows is None else self.whole_rows[kept],
        )
