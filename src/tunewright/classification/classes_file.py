"""The classes that a run was trained on, kept in its folder: its data may be elsewhere later.

Torch-free. Without this a prediction would need the training pictures, to know what label 3 is.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.errors import DataError, NotWritten
from tunewright.images.dataset.datasets import ImageSets
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder

FILE = "classes.json"


@dataclass(frozen=True)
class ClassIndex:
    """As `ImageTable` has them: classes as written, their training counts, names, category ids.

    data_dir: where the pictures lay, absolute, so that a run can be used from any directory;
    None for an embedded set.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    category_ids: Mapping[str, str] = field(default_factory=dict)
    data_dir: str | None = None

    @classmethod
    def of(cls, sets: ImageSets, data_dir: str | None) -> "ClassIndex":
        """Those of the training set. data_dir: as it was configured."""
        table = sets.train
        return cls(
            table.classes,
            tuple(int(count) for count in table.counts),
            dict(table.class_names),
            dict(table.category_ids),
            None if data_dir is None else str(Path(data_dir).expanduser().absolute()),
        )

    def as_json(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "classes": list(self.classes),
            "class_counts": list(self.counts),
            "names": dict(self.names),
            "category_ids": dict(self.category_ids),
            "data_dir": self.data_dir,
        }


def classes_of_run(
    folder: RunFolder, sets: Callable[[], ImageSets], data_dir: str | None
) -> ClassIndex:
    """The classes of a run: from its folder, else from its sets, which are then written there.

    sets: opens them; raises DataError where the data is gone. data_dir: as it is configured.
    """
    stored = read_classes(folder)
    if stored is None:
        stored = ClassIndex.of(sets(), data_dir)
        with contextlib.suppress(NotWritten):  # a folder that may only be read stays as it is
            write_classes(folder, stored)
    return stored


def read_classes(folder: RunFolder) -> ClassIndex | None:
    """What the folder says; None when it says nothing. DataError for what is not whole."""
    stored = read_json(folder.path / FILE)
    if stored is None:
        return None
    try:
        classes = tuple(str(name) for name in stored["classes"])
        counts = tuple(int(count) for count in stored["class_counts"])
        if not classes or len(classes) != len(counts):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{folder.path / FILE} does not say which classes there are",
            expected="classes and class_counts, one of each for every class",
            remedy="Delete it where the training data is: it is then written again.",
        ) from None
    names, ids = stored.get("names", {}), stored.get("category_ids", {})
    return ClassIndex(classes, counts, names, ids, stored.get("data_dir"))


def write_classes(folder: RunFolder, known: ClassIndex) -> None:
    """Keep the classes in the folder."""
    write_json(folder.path / FILE, known.as_json())


def data_dir_of(known: ClassIndex, configured: str | None) -> str | None:
    """Where the pictures of a run are, from any directory: as configured, else where they lay."""
    relative = configured is not None and not Path(configured).expanduser().is_absolute()
    return known.data_dir if relative and known.data_dir is not None else configured


def check_same(folder: RunFolder, known: tuple[str, ...], sets: ImageSets) -> ImageSets:
    """The sets, unless their classes are no longer those of the training: then DataError."""
    if sets.classes != known:
        raise DataError(
            f"the data of {folder.path} has other classes now than in its training: "
            f"{len(sets.classes)} and {len(known)}",
            expected=f"those of {folder.path / FILE}",
            remedy="Train again on the new data, or bring back the old one.",
        )
    return sets
