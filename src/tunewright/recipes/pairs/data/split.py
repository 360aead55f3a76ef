"""Split a set of pairs into train, val, test and a tuning subset, without leaks.

Rows with the same image or the same text form a group; a group is never divided.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunewright.errors import DataError, did_you_mean
from tunewright.recipes.pairs.data.array_files import ArrayFile, read_rows, row_chunks
from tunewright.recipes.pairs.data.groups import (
    Indices,
    deal,
    image_and_text_groups,
    image_groups,
    straddling,
)
from tunewright.recipes.pairs.data.pair_checks import check_leaks
from tunewright.recipes.pairs.data.pair_files import PairSet, new_pairs

Progress = Callable[[int, int], None]
SPLITS = ("train", "val", "test")
TUNING = "train_tuning"


@dataclass(frozen=True)
class SplitReport:
    """What a split did; the counts are by the name of the set written.

    largest_group: rows of the largest group. notices: sentences for the user.
    """

    folder: Path
    rows: Mapping[str, int]
    images: Mapping[str, int]
    groups: int
    largest_group: int
    grouped_by: tuple[str, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class SplitRule:
    """How rows are divided into train, val and test; the same rule gives the same split.

    by: `groups` draws whole groups at random; `metadata` follows the metadata's `split` list
    and refuses it when an image stands in two splits. fractions: of the rows for train, val
    and test, .8 .1 .1 by default, .8 0 .2 with a ready validation set. text_groups: whether equal
    texts also join rows; None does so unless a text is so common that a group outgrows the
    smallest split.
    """

    by: Literal["groups", "metadata"] = "groups"
    fractions: tuple[float, float, float] | None = None
    text_groups: bool | None = None
    seed: int = 42


@dataclass(frozen=True)
class TuningSubset:
    """The part of train to tune on: rows, filled with whole images or with single rows.

    Single rows are what the original script drew.
    """

    rows: int = 100_000
    unit: Literal["images", "rows"] = "images"
    seed: int = 123


def split_pairs(
    source: PairSet,
    target_folder: Path | str,
    rule: SplitRule | None = None,
    subset: TuningSubset | None = None,
    *,
    validation: PairSet | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SplitReport:
    """Write `train`, `val`, `test` and `train_tuning` of `source` into a folder, before tuning.

    validation: a ready set that becomes `val`. progress: called with the rows done and to do.
    Raises DataError for leaks, impossible fractions, and sets that are there already.
    """
    target, rule, subset = Path(target_folder), rule or SplitRule(), subset or TuningSubset()
    wanted = _fractions(rule.fractions, validation)
    notices: list[str] = []
    _refuse_existing(source, target, overwrite)
    if validation is not None:
        check_leaks(source, [validation])
    groups, with_text = image_groups(source), False
    if rule.by == "metadata":
        parts = _listed_split(source, groups)
        if straddling(image_and_text_groups(source), parts).size:
            notices.append("Equal texts stand in several splits of the metadata's `split` list.")
    else:
        if rule.text_groups is not False:
            room = int(min(fraction for fraction in wanted if fraction > 0) * source.rows)
            joined = image_and_text_groups(source)
            with_text = _fit(joined, room, rule.text_groups is True, notices)
            groups = joined if with_text else groups
        parts = deal(groups, wanted, np.random.default_rng(rule.seed))
    chosen = {name: np.flatnonzero(parts == number) for number, name in enumerate(SPLITS)}
    chosen = {name: rows for name, rows in chosen.items() if rows.size}
    chosen[TUNING] = _draw_subset(source, chosen["train"], subset)
    if chosen[TUNING].size == chosen["train"].size:
        notices.append(f"{TUNING} is all of train: it has no more than {subset.rows:,} rows.")
    jobs = [(source, name, rows) for name, rows in chosen.items()]
    if validation is not None and (validation.folder, validation.name) != (target, "val"):
        jobs.append((validation, "val", np.arange(validation.rows)))
    _write(target, jobs, rule.seed, progress)
    return SplitReport(
        folder=target,
        rows={name: len(rows) for _, name, rows in jobs},
        images={name: len(np.unique(origin.ids[rows])) for origin, name, rows in jobs},
        groups=int(groups.max()) + 1,
        largest_group=int(np.bincount(groups).max()),
        grouped_by=("image", "text") if with_text else ("image",),
        notices=tuple(notices),
    )


def _fit(joined: Indices, room: int, insist: bool, notices: list[str]) -> bool:
    """Return whether grouping by text is usable: a text on most rows would join them all.

    insist: raise DataError if it is not, instead of adding a notice.
    """
    largest = int(np.bincount(joined).max())
    if largest <= room:
        return True
    glued = f"equal texts join {largest:,} of {len(joined):,} rows into one group"
    if insist:
        raise DataError(
            glued,
            expected=f"at most {room:,}, the smallest split",
            remedy="Leave text_groups out or set it to False, or use larger fractions.",
        )
    notices.append(
        f"Since {glued}, rows are grouped by image alone: a text may stand in several splits. "
        "Score with all images of a text as positives."
    )
    return False


def _fractions(
    fractions: tuple[float, float, float] | None, validation: PairSet | None
) -> tuple[float, float, float]:
    if fractions is None:
        return (0.8, 0.1, 0.1) if validation is None else (0.8, 0.0, 0.2)
    train, val, test = fractions
    if min(fractions) < 0 or train == 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DataError(
            f"fractions {fractions}",
            expected="three numbers for train, val, test, with train above 0, that add up to 1",
        )
    if validation is not None and val > 0:
        raise DataError(
            f"fractions {fractions} and a ready validation set",
            expected="one source of validation pairs",
            remedy=f"Use --fractions {train},0,{val + test:.3g}, or leave the ready set out.",
        )
    return train, val, test


def _refuse_existing(source: PairSet, target: Path, overwrite: bool) -> None:
    names = [*SPLITS, TUNING]
    if source.folder.resolve() == target.resolve() and source.name in names:
        raise DataError(
            f"{source.name!r} would be overwritten by its own split",
            remedy="Choose another folder with --output, or rename the source (its two embedding "
            "files and its metadata).",
        )
    there = [name for name in names if (target / f"{name}_metadata.json").exists()]
    if there and not overwrite:
        raise DataError(
            f"{target} already holds {', '.join(there)}",
            remedy="Choose another folder with --output, or replace them with --overwrite.",
        )


def _listed_split(source: PairSet, same_image: Indices) -> Indices:
    values = source.metadata.get("split")
    if values is None:
        raise DataError(
            f"the metadata of {source.name!r} have no 'split'",
            expected=f"one of {', '.join(SPLITS)} for every row",
            remedy="Add it, or split with --by groups.",
        )
    for value in dict.fromkeys(values):
        if value not in SPLITS:
            raise DataError(
                f"the split {value!r} in the metadata of {source.name!r}",
                expected=f"one of {', '.join(SPLITS)}",
                remedy=did_you_mean(str(value), SPLITS),
            )
    parts = np.array([SPLITS.index(value) for value in values], dtype=np.int64)
    leaks = straddling(same_image, parts)
    if leaks.size:
        examples = source.ids[np.isin(same_image, leaks[:3])]
        raise DataError(
            f"{leaks.size:,} images of {source.name!r} stand in several splits of its metadata "
            f"(image ids {', '.join(map(str, dict.fromkeys(examples.tolist())))})",
            expected="no image in two splits",
            remedy="Split with --by groups instead.",
        )
    if not (parts == 0).any():
        raise DataError(f"the metadata of {source.name!r} put no row into train")
    return parts


def _draw_subset(source: PairSet, train: Indices, subset: TuningSubset) -> Indices:
    rng, size = np.random.default_rng(subset.seed), subset.rows
    if subset.unit not in ("images", "rows"):
        raise DataError(f"subset_unit {subset.unit!r}", expected="'images' or 'rows'")
    if len(train) <= size:
        return train
    if subset.unit == "rows":
        return np.sort(rng.choice(train, size, replace=False))
    images, counts = np.unique(source.ids[train], return_inverse=False, return_counts=True)
    order = rng.permutation(len(images))
    fitting = max(1, int((np.cumsum(counts[order]) <= size).sum()))
    return train[np.isin(source.ids[train], images[order[:fitting]])]


def _write(
    target: Path, jobs: Sequence[tuple[PairSet, str, Indices]], seed: int, progress: Progress | None
) -> None:
    total, done = 2 * sum(len(rows) for _, _, rows in jobs), 0
    for origin, name, rows in jobs:
        metadata = _metadata(origin, name, rows, target, seed)
        files = (origin.images, origin.texts)
        shapes = [(file.dtype, (len(rows), file.width)) for file in files]
        with new_pairs(target, name, metadata, shapes[0], shapes[1]) as made:
            for file, copy in zip(files, made, strict=True):
                mapped = read_rows(file)
                taken = ArrayFile(file.path, file.dtype, (len(rows), file.width), file.offset)
                for chunk in row_chunks(taken):
                    copy[chunk] = mapped[rows[chunk]]
                    done += chunk.stop - chunk.start
                    if progress is not None:
                        progress(done, total)


def _metadata(origin: PairSet, name: str, rows: Indices, target: Path, seed: int) -> dict[str, Any]:
    """Return the origin's metadata for some rows; each list of N values has one value per row."""
    kept = rows.tolist()
    metadata: dict[str, Any] = {}
    for key, value in origin.metadata.items():
        per_row = isinstance(value, list) and len(value) == origin.rows
        metadata[key] = [value[row] for row in kept] if per_row else value
    for key in ("image_root", "text_root"):
        if key in metadata:
            metadata[key] = os.path.relpath(origin.folder / metadata[key], target)
    metadata |= {
        "dataset_name": name,
        "total_pairs": len(kept),
        "unique_images": len(set(metadata["image_ids"])),
        "split_of": origin.name,
        "split_seed": seed,
    }
    metadata.pop("split", None)
    return metadata
