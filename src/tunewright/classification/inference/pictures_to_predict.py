"""Open the pictures to predict, and recognise them again when their predictions are submitted."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.errors import DataError
from tunewright.images.sources.columns import columns_of_run

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier
    from tunewright.images.dataset.config import Window
    from tunewright.images.image_table import ImageTable


def test_table(classifier: "Classifier", data: Path | None) -> "ImageTable":
    """Return the pictures to predict: those of `data`, else the test set of the training data.

    That is a folder `test` there, or the test split. Ids that are names of files take the form that
    the training table had: without a suffix, where it had none. Raises DataError when there is
    neither, and for names that no file of predictions can hold.
    """
    from tunewright.classification.delivery.predictions_csv import check_ids
    from tunewright.images.sources.file_matching import with_bare_ids

    table = _test_table(classifier, data)
    if table.named_by_files and _trained_on_bare_ids(classifier):
        table = with_bare_ids(table)
    check_ids(table.origin, table.ids)
    return table


def window_of(member: "Classifier") -> "Window | None":
    """Return its `data.window`; None for a recipe's own kind of classifier that has none."""
    found: Window | None = getattr(member, "window", None)
    return found


def _trained_on_bare_ids(classifier: "Classifier") -> bool:
    """Return whether the training table wrote ids without suffix; false if nobody knows."""
    from tunewright.classification.classes_file import read_classes
    from tunewright.images.sources.file_matching import has_bare_ids

    known = read_classes(classifier.folder)
    if known is not None and known.bare_ids is not None:
        return known.bare_ids
    try:
        return has_bare_ids(classifier.sets.train)  # a run of an earlier version
    except DataError:
        return False


def _test_table(classifier: "Classifier", data: Path | None) -> "ImageTable":
    from tunewright.images.sources.open_source import open_table

    window = window_of(classifier)
    if data is not None:
        columns = columns_of_run(classifier.folder.read_config())
        return open_table(data, labelled=False, columns=columns).with_window(window)
    sets = classifier.sets
    if sets.test is not None:
        return sets.test
    origin = sets.train.origin
    folder = (origin if origin.is_dir() else origin.parent) / "test"
    if folder.is_dir():
        return open_table(folder, labelled=False).with_window(window)
    raise DataError(
        f"{origin} has no test set",
        expected="a folder `test` or a test split, where no pictures are named",
        remedy="Give the pictures to predict: --data DIR.",
    )


def content_digest(file: Path) -> str:
    """Return a digest of a file, by which a later change is noticed."""
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


def ids_digest(ids: Iterable[str]) -> str:
    """Return a digest that is equal for test sets with the same ids in the same order."""
    found = hashlib.blake2b(digest_size=16)
    for name in ids:
        found.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return found.hexdigest()
