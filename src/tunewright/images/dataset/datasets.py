"""Open, split, check and measure the data sets of a configuration. Imports without torch."""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.errors import ConfigError, DataError
from tunewright.images.dataset.channel_bits import deep_colour_notices
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.content_hash import content_keys, joined_digest
from tunewright.images.dataset.label_splits import fold_numbers_of_labels, hold_out_labels
from tunewright.images.dataset.leaks import check_leaks, copies_of, leaks_of
from tunewright.images.dataset.splits import ROUNDING, Mask, fold_numbers, hold_out, units_of
from tunewright.images.dataset.unreadable import without_broken
from tunewright.images.dataset.value_range import dark_notices
from tunewright.images.image_table import ImageTable, Indices
from tunewright.images.sources.build_table import some
from tunewright.images.sources.columns import Columns
from tunewright.images.sources.open_source import open_table
from tunewright.images.sources.reader import PictureReader
from tunewright.runs.cache import cache_folder, make_once
from tunewright.runs.callbacks import OnProgress

MakeDefault = Callable[[Path], None]
"""Writes a recipe's embedded set (picture files and an index.csv) into an empty folder."""


SAMPLED = 12
"""Pictures that are opened to find their usual size."""


@dataclass(frozen=True, eq=False)
class ImageSets:
    """Train, validation and, if there is one, test; and what to tell the user about them.

    All are parts of one table, so that one store holds the pictures of every split and fold.
    """

    train: ImageTable
    valid: ImageTable
    test: ImageTable | None
    notices: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes as the source writes them; the index is the label."""
        return self.train.classes

    @property
    def class_counts(self) -> Indices:
        """The number of training pictures of each class: int64 [C], which may hold 0."""
        return self.train.counts


def open_sets(
    data: ImagesConfig,
    *,
    make_default: MakeDefault | None = None,
    on_progress: OnProgress | None = None,
) -> ImageSets:
    """Find, split and check the pictures of a configuration, without decoding them.

    Splits given by the source are used as they are. Missing ones are taken from train, keeping
    groups and copies together: valid always (`val_split`, or one of `folds`), test only if
    `test_split` asks for it. With `skip_bad` every picture is decoded once, to leave out those that
    cannot be. make_default: draws the embedded set, used if `data.dir` is null, and kept until a
    file beside the one that defines this function changes. on_progress: called while pictures are
    hashed or checked.

    Raises DataError for data that cannot be used, ConfigError for a split that cannot be made.
    """
    _check_shares(data)
    origin = _embedded_folder(make_default) if data.dir is None else Path(data.dir)
    table = open_table(
        origin,
        group_by=data.group_by,
        columns=_columns(data),
        fewest_classes=1 if data.multi_label else 2,
    ).with_window(data.window)
    notices = list(table.notices)
    if data.skip_bad:
        table, skipped = without_broken(table, on_progress)
        notices += skipped
    notices += deep_colour_notices(table, origin) + dark_notices(table, origin)
    keys = content_keys(table, on_progress)
    given = table.splits or ("train",) * len(table)
    notices += copies_of(table, keys)
    if data.leaks == "refuse":
        check_leaks(table, keys, given)
    elif (found := leaks_of(table, keys, given)) is not None:
        notices.append(f"{found}: scores on what train has seen are too good (data.leaks=warn)")
    splits = _complete_splits(data, table, keys, given, notices)
    parts = {name: table.take(splits == name) for name in ("train", "valid", "test")}
    train, valid, test = parts["train"], parts["valid"], parts["test"]
    _check_parts(origin, table, train, valid)
    notices += _notices(data, train, valid, test if len(test) else None)
    return ImageSets(train, valid, test if len(test) else None, tuple(notices))


def _columns(data: ImagesConfig) -> Columns:
    return Columns(
        data.columns.chosen(),
        multi_label=data.multi_label,
        separator=data.label_separator,
        classes=data.columns.classes or (),
    )


def facts(data: ImagesConfig, *, make_default: MakeDefault | None = None) -> Mapping[str, float]:
    """Return what spaces may refer to: rows, classes, smallest and largest class, and side.

    side: the shorter side of a typical training picture, in pixels: the median of a few.
    """
    sets = open_sets(data, make_default=make_default)
    counts = sets.class_counts
    return {
        "rows": len(sets.train),
        "valid_rows": len(sets.valid),
        "classes": len(sets.classes),
        "smallest_class": int(counts.min()),
        "largest_class": int(counts.max()),
        "side": _usual_side(sets.train),
    }


def _usual_side(table: ImageTable) -> float:
    sides = []
    reader = PictureReader()
    for row in np.linspace(0, len(table) - 1, min(SAMPLED, len(table))).astype(int).tolist():
        with suppress(DataError):  # it is reported when all are read
            sides.append(min(reader.picture(table.places[row]).size))
    reader.close()
    return float(np.median(sides)) if sides else 0.0


def fingerprints(
    data: ImagesConfig, *, make_default: MakeDefault | None = None
) -> Mapping[str, str]:
    """Return a fingerprint each of train and valid: of their pictures, boxes and classes."""
    sets = open_sets(data, make_default=make_default)
    return {"train": table_hash(sets.train), "valid": table_hash(sets.valid)}


def table_hash(table: ImageTable) -> str:
    """Return a hash that is equal for tables with equal pictures, boxes, classes and order."""
    labels: Iterable[str]
    if table.targets is None:
        labels = (table.classes[label] for label in table.labels.tolist())
    else:
        labels = (" ".join(map(str, np.flatnonzero(row))) for row in table.targets)
    pairs = zip(content_keys(table), labels, strict=True)
    return joined_digest((*table.classes, *(f"{key} {label}" for key, label in pairs)))[:16]


def _check_shares(data: ImagesConfig) -> None:
    if data.val_split + data.test_split >= 1:
        raise ConfigError(
            f"data.val_split = {data.val_split:g} and data.test_split = {data.test_split:g}",
            expected="a sum below 1, so that something is left to train on",
        )
    if data.fold >= (data.folds or 1):
        raise ConfigError(
            f"data.fold = {data.fold} with data.folds = {data.folds or 'null'}",
            expected=f"0 to {data.folds - 1}" if data.folds else "data.folds, or data.fold=0",
        )


def _complete_splits(
    data: ImagesConfig,
    table: ImageTable,
    keys: Sequence[str],
    given: Sequence[str],
    notices: list[str],
) -> np.ndarray:
    """Return the split of each row: as given, or taken from train."""
    splits = np.array(given, dtype=object)
    val_share = data.val_split
    if data.test_split and not (splits == "test").any():
        rows, units = _free(table, keys, splits, ["train", "valid"] if data.folds else ["train"])
        out = _hold_out(table, rows, units, data.test_split, data.split_seed)
        splits[rows[out]] = "test"
        # val_split is a share of ALL pictures: of 400, with 15 % in test, 340 are left, and
        # .15 / .85 of them are 60, not 60.00000001.
        val_share = val_share / (1 - data.test_split) - ROUNDING
    if data.folds is not None:
        if (splits == "valid").any():
            notices.append("data.folds is set: the source's validation pictures join the folds")
        rows, units = _free(table, keys, splits, ["train", "valid"])
        if table.targets is None:
            folds = fold_numbers(table.labels[rows], units, data.folds, data.split_seed)
        else:
            folds = fold_numbers_of_labels(table.targets[rows], units, data.folds, data.split_seed)
        splits[rows] = np.where(folds == data.fold, "valid", "train")
    elif not (splits == "valid").any():
        if data.val_split <= 0:
            raise ConfigError(
                "data.val_split = 0, and the source has no validation pictures",
                expected="a share above 0, or a source with such a split",
            )
        rows, units = _free(table, keys, splits, ["train"])
        out = _hold_out(table, rows, units, val_share, data.split_seed)
        splits[rows[out]] = "valid"
    return splits


def _check_parts(origin: Path, table: ImageTable, train: ImageTable, valid: ImageTable) -> None:
    """Refuse a set that leaves nothing to train on, or nothing to validate."""
    if len(train) and len(valid):
        return
    if not len(train):  # what is made here keeps some of each class in train
        remedy = "Put pictures of each class into train: these splits are the source's."
    elif table.groups is not None and table.counts.max() > 1:
        remedy = "Add pictures of other groups, or set data.group_by=null, which splits groups."
    else:
        remedy = "Add pictures: a class with a single one is only trained on."
    raise DataError(
        f"{origin} leaves {len(train):,} pictures to train on and {len(valid):,} to validate",
        expected="some of each",
        remedy=remedy,
    )


def _hold_out(table: ImageTable, rows: Indices, units: Indices, share: float, seed: int) -> Mask:
    """Choose the rows to hold out, stratified by class or by each of several labels."""
    if table.targets is None:
        return hold_out(table.labels[rows], units, share, seed)
    return hold_out_labels(table.targets[rows], units, share, seed)


def _free(
    table: ImageTable, keys: Sequence[str], splits: np.ndarray, names: Sequence[str]
) -> tuple[Indices, Indices]:
    """Return the rows of some splits, and which of them belong together."""
    rows = np.flatnonzero(np.isin(splits, names))
    groups = None if table.groups is None else [table.groups[row] for row in rows.tolist()]
    return rows, units_of(groups, [keys[row] for row in rows.tolist()])


def _notices(
    data: ImagesConfig, train: ImageTable, valid: ImageTable, test: ImageTable | None
) -> list[str]:
    """Return what a user should know about the sets."""
    notices = []
    if data.dir is None:
        notices.append(
            f"data.dir is not set: the embedded default set is used ({len(train):,} pictures to "
            "train on)"
        )
    names = np.array(train.names, dtype=object)
    counts, checked = train.counts, valid.counts
    alone = names[(counts == 1) & (checked == 0)].tolist()
    if alone:
        notices.append(
            f"{len(alone):,} classes have one picture, which is in train ({some(alone)})"
        )
    empty = names[(counts == 0) & (checked == 0)].tolist()
    if empty:
        notices.append(f"{len(empty):,} classes have no picture to train on ({some(empty)})")
    unlearnt = names[(counts == 0) & (checked > 0)].tolist()
    if unlearnt:
        notices.append(
            f"{len(unlearnt):,} classes are validated and never trained on ({some(unlearnt)})"
        )
    unseen = np.flatnonzero((counts > 0) & (checked == 0))
    if unseen.size:
        listed = some(f"{names[label]} (n = {counts[label]:,} in train)" for label in unseen)
        trained = np.count_nonzero(counts)
        notices.append(
            f"validation has {trained - len(unseen):,} of {trained:,} classes of train: nothing "
            f"is measured of {listed}"
        )
    if test is None:
        notices.append("there is no test set: results are those of validation")
    return notices


def _embedded_folder(make_default: MakeDefault | None) -> Path:
    """Return the folder of a recipe's embedded set, drawn once per version of its code."""
    if make_default is None:
        raise ConfigError(
            "data.dir = null",
            expected="a folder, zip, CSV or manifest of pictures",
            remedy="Set data.dir=FOLDER.",
        )
    module = make_default.__module__
    folder = Path(inspect.getfile(sys.modules[module])).parent
    code = (file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py")))
    name = f"{module.split('.')[-2:][0]}-{joined_digest(code)[:8]}"
    return make_once(cache_folder() / "images" / "embedded" / name, make_default)
