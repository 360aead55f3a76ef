"""The classes that a run was trained on, kept in its folder. Imports without torch.

Without them a prediction would need the training data, to know which class label 3 is.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.errors import DataError, NotWritten
from tunewright.images.dataset.datasets import ImageSets
from tunewright.images.sources.file_matching import has_bare_ids
from tunewright.images.sources.unicode_forms import to_nfc
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder

FILE = "classes.json"


@dataclass(frozen=True)
class ClassIndex:
    """The classes of a training set: as written, with counts, readable names and category ids.

    The fields are those of `ImageTable`. bare_ids: whether the training table writes ids without
    the suffix of their files; None: unknown, in runs of earlier versions. data_dir: where the
    pictures were, absolute, so that a run can be used from any directory; None for an embedded set.
    label_separator: what the training table writes between the labels of a picture; empty where it
    has one label in a cell, or a column for each.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    category_ids: Mapping[str, str] = field(default_factory=dict)
    data_dir: str | None = None
    bare_ids: bool | None = None
    label_separator: str = ""

    @classmethod
    def of(cls, sets: ImageSets, data_dir: str | None) -> "ClassIndex":
        """Make the index of a training set. data_dir: as configured."""
        table = sets.train
        return cls(
            table.classes,
            tuple(int(count) for count in table.counts),
            dict(table.class_names),
            dict(table.category_ids),
            None if data_dir is None else str(Path(data_dir).expanduser().absolute()),
            has_bare_ids(table),
            table.label_separator,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {
            "classes": list(self.classes),
            "class_counts": list(self.counts),
            "names": dict(self.names),
            "category_ids": dict(self.category_ids),
            "data_dir": self.data_dir,
            "bare_ids": self.bare_ids,
            **({"label_separator": self.label_separator} if self.label_separator else {}),
        }


def classes_of_run(
    folder: RunFolder, sets: Callable[[], ImageSets], data_dir: str | None
) -> ClassIndex:
    """Return the classes of a run: from its folder, else from its data sets.

    Classes from the data sets are written into the folder. sets: opens the data sets; raises
    DataError if the data is gone. data_dir: as configured.
    """
    stored = read_classes(folder)
    if stored is None:
        stored = ClassIndex.of(sets(), data_dir)
        with contextlib.suppress(NotWritten):  # a read-only folder stays as it is
            write_classes(folder, stored)
    return stored


def read_classes(folder: RunFolder) -> ClassIndex | None:
    """Read the classes in a folder, or None; raises DataError for an incomplete file."""
    stored = read_json(folder.path / FILE)
    if stored is None:
        return None
    try:
        classes = tuple(to_nfc(str(name)) for name in stored["classes"])
        counts = tuple(int(count) for count in stored["class_counts"])
        names, ids = (
            {to_nfc(name): str(text) for name, text in stored.get(key, {}).items()}
            for key in ("names", "category_ids")
        )
        data_dir = stored.get("data_dir")
        whole = isinstance(stored["classes"], list) and isinstance(data_dir, str | None)
        if not whole or not classes or len(classes) != len(counts):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise DataError(
            f"{folder.path / FILE} does not list the classes",
            expected="classes and class_counts, with one entry per class",
            remedy="Delete the file on a machine with the training data: it is written again.",
        ) from None
    bare = stored.get("bare_ids")
    separator = str(stored.get("label_separator", ""))
    return ClassIndex(classes, counts, names, ids, data_dir, bare, separator)


def write_classes(folder: RunFolder, known: ClassIndex) -> None:
    """Write the classes into the folder."""
    write_json(folder.path / FILE, known.as_json())


def data_dir_of(known: ClassIndex, configured: str | None) -> str | None:
    """Return where the pictures of a run are, seen from any directory.

    An absolute path is used as configured; a relative one is replaced by the path of the training.
    """
    relative = configured is not None and not Path(configured).expanduser().is_absolute()
    return known.data_dir if relative and known.data_dir is not None else configured


def check_same(folder: RunFolder, known: tuple[str, ...], sets: ImageSets) -> ImageSets:
    """Return the sets, or raise DataError if their classes differ from those of the training."""
    if sets.classes != known:
        raise DataError(
            f"the data of {folder.path} has other classes than in its training: "
            f"{len(sets.classes)} now, {len(known)} then",
            expected=f"those of {folder.path / FILE}",
            remedy="Train again on the new data, or restore the old data.",
        )
    return sets
