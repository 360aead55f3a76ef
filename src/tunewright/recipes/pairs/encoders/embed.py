"""Embed a user's own pictures and texts as a set of pairs."""

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tunewright.errors import DataError, did_you_mean
from tunewright.images.sources.columns import IMAGE, TEXT
from tunewright.images.sources.csv_rows import CsvRows, read_csv
from tunewright.images.sources.decode import DecodedFile, PictureSource
from tunewright.recipes.pairs.data.groups import number_texts
from tunewright.recipes.pairs.data.pair_files import holds_pairs, save_pairs
from tunewright.recipes.pairs.data.split import SPLITS
from tunewright.recipes.pairs.encoders.classical import Floats
from tunewright.recipes.pairs.encoders.image_encoders import PICTURE_ENCODERS
from tunewright.recipes.pairs.encoders.text_encoders import TEXT_ENCODERS
from tunewright.registry import Registry

T = TypeVar("T")
Row = dict[str, str]
GROUP_COLUMN = "image_group"
SPLIT_COLUMN = "split"


@dataclass(frozen=True)
class EmbedReport:
    """What was embedded: counts, widths of the embeddings, skipped rows and notices.

    skipped: (file, reason) of each skipped row. notices: sentences for the user.
    """

    rows: int
    images: int
    widths: tuple[int, int]
    skipped: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]


def embed_folder(
    images: Path | str,
    table_csv: Path | str,
    target_folder: Path | str,
    name: str,
    *,
    image_encoder: str = "classical",
    text_encoder: str = "classical",
    image_model: str | None = None,
    text_model: str | None = None,
    dimensions: int | None = None,
    batch_size: int | None = None,
    image_column: str | None = None,
    text_column: str | None = None,
    id_column: str | None = None,
    split_column: str | None = SPLIT_COLUMN,
    skip_bad: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> EmbedReport:
    """Embed the rows of a CSV table and save them as the set `name`, before splitting.

    images: a folder or a zip. table_csv: UTF-8, one pair a row. image_model, text_model,
    dimensions, batch_size: passed to the encoders that have such an option. image_column,
    text_column: None for the usual names, such as file, filepath, text, caption. id_column: the ids
    of the images (default: `image_group` if the table has it, else the file); rows with equal
    pixels get the same id in any case. split_column: copied if the table has it, and encoders are
    fitted on its train rows only; None leaves it aside. skip_bad: skip rows without a usable
    picture or text instead of stopping at the first one. overwrite: replace a set of this name.
    Raises DataError for a table, a picture or an encoder that cannot be used, and for a set that
    is there already.
    """
    table_csv, target = Path(table_csv), Path(target_folder)
    if not overwrite and holds_pairs(target, name):
        raise DataError(
            f"{target} already holds the set {name!r}",
            expected="a folder or a name that is free",
            remedy="Replace it with --overwrite, or choose another --output or --name.",
        )
    read = read_csv(table_csv)
    image_column = _column(read, image_column, IMAGE)
    text_column = _column(read, text_column, TEXT)
    id_column = None if id_column is None else _column(read, id_column, ())
    rows = [dict(zip(read.columns, cells, strict=True)) for cells in read.cells]
    rows = _with_split(rows, split_column, table_csv)
    given = {"dimensions": dimensions, "batch_size": batch_size}
    pictures = _build(PICTURE_ENCODERS, image_encoder, given | {"model": image_model})
    embed_texts = _build(TEXT_ENCODERS, text_encoder, given | {"model": text_model})
    skipped: list[tuple[str, str]] = []
    rows = _with_text(rows, text_column, image_column, table_csv, skip_bad, skipped)
    _train_rows(rows, table_csv)  # fails before encoding, which may take hours
    with PictureSource(images) as source:
        found = source.decode([row[image_column] for row in rows], pictures.prepare)
        good: list[tuple[int, bytes]] = []
        features = pictures.encode(
            _good(found, good, None if not skip_bad else skipped, len(rows), progress)
        )
    used = [rows[number] for number, _ in good]
    fit = _train_rows(used, table_csv)
    notices = []
    if SPLIT_COLUMN not in used[0] and "classical" in (image_encoder, text_encoder):
        notices.append(
            "The table has no split column, so the classical encoders were fitted on all rows "
            "(without labels)."
        )
    texts = [row[text_column] for row in used]
    # Equal pictures, and equal texts, get one vector: an encoder's last bits depend on the batch.
    image_rows = pictures.finish(features, fit)[_first_rows([digest for _, digest in good])]
    text_rows = embed_texts(texts, fit)[_first_rows(number_texts(texts).tolist())]
    column = id_column or (GROUP_COLUMN if GROUP_COLUMN in used[0] else image_column)
    ids = _joined_ids([row[column] for row in used], [digest for _, digest in good])
    metadata = {
        "dataset_name": name,
        "total_pairs": len(used),
        "unique_images": len(set(ids)),
        "image_ids": ids,
        "source": f"{image_model or image_encoder} and {text_model or text_encoder}",
        "texts": texts,
        "image_root": os.path.relpath(images, target),
        "image_files": [row[image_column] for row in used],
    }
    if SPLIT_COLUMN in used[0]:
        metadata["split"] = [row[SPLIT_COLUMN] for row in used]
    save_pairs(target, name, image_rows, text_rows, metadata)
    widths = (image_rows.shape[1], text_rows.shape[1])
    return EmbedReport(len(used), len(set(ids)), widths, tuple(skipped), tuple(notices))


def _build(
    encoders: Registry[Callable[..., T]], name: str, given: Mapping[str, str | int | None]
) -> T:
    """Make an encoder with the options that it has; raise DataError for a model it does not use."""
    build, known = encoders[name], encoders.options(name)
    if given["model"] is not None and "model" not in known:
        with_models = [other for other in encoders if "model" in encoders.options(other)]
        raise DataError(
            f"the model {given['model']!r} for the {encoders.what} {name!r}",
            expected="no model, since this encoder has none to choose",
            remedy=f"Choose an encoder with models: {', '.join(with_models)}.",
        )
    return build(**{key: value for key, value in given.items() if value and key in known})


def _column(table: CsvRows, named: str | None, usual: Sequence[str]) -> str:
    """Return the column that is named, or the first with a usual name; DataError without one."""
    if found := table.one_of(usual if named is None else (named,)):
        return found
    raise DataError(
        f"{table.file} has no column {usual[0] if named is None else named!r}",
        expected=f"one of {', '.join(table.columns)}"
        if named is not None
        else " or ".join(map(repr, usual)),
        remedy=did_you_mean(named or usual[0], table.columns)
        or "Name it with --image-column or --text-column.",
    )


def _with_split(rows: list[Row], column: str | None, path: Path) -> list[Row]:
    """Return the rows with their split under `split`, or without one."""
    others = [{k: v for k, v in row.items() if k != SPLIT_COLUMN} for row in rows]
    if column is None or not rows:
        return others
    if column not in rows[0]:
        if column != SPLIT_COLUMN:
            raise DataError(
                f"{path} has no column {column!r}",
                expected=f"one of {', '.join(rows[0])}",
                remedy=did_you_mean(column, list(rows[0])),
            )
        return others
    found = sorted({row[column] for row in rows})
    if foreign := [value for value in found if value not in SPLITS]:
        raise DataError(
            f"the column {column!r} of {path} holds {', '.join(map(repr, foreign[:5]))}",
            expected=", ".join(SPLITS),
            remedy="Correct the column, or leave it aside and split later: --split-column none.",
        )
    return [{**other, SPLIT_COLUMN: row[column]} for other, row in zip(others, rows, strict=True)]


def _with_text(
    rows: list[Row],
    text_column: str,
    image_column: str,
    path: Path,
    skip_bad: bool,
    skipped: list[tuple[str, str]],
) -> list[Row]:
    empty = [row[image_column] for row in rows if not row[text_column].strip()]
    if empty and not skip_bad:
        raise DataError(
            f"{len(empty):,} rows of {path} have no {text_column} ({', '.join(empty[:5])})",
            expected="a text in every row",
            remedy="Complete the table, or skip such rows with --skip-bad.",
        )
    skipped.extend((file, "no text") for file in empty)
    return [row for row in rows if row[text_column].strip()]


def _train_rows(rows: Sequence[Row], path: Path) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows that encoders are fitted on: train, or all without a split."""
    fit = np.array([row.get(SPLIT_COLUMN, "train") == "train" for row in rows], dtype=np.bool_)
    if rows and not fit.any():
        raise DataError(
            f"the column {SPLIT_COLUMN!r} of {path} has no usable row 'train'",
            expected="train, val and test",
            remedy="Correct the column, or leave it aside and split later: --split-column none.",
        )
    return fit


def _good(
    found: Iterator[DecodedFile[Floats]],
    good: list[tuple[int, bytes]],
    skipped: list[tuple[str, str]] | None,
    total: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Floats]:
    """Yield the values of usable pictures; append their row numbers and pixel digests to `good`.

    Unusable pictures are appended to `skipped`; without that list the first one is raised.
    """
    for number, one in enumerate(found):
        if one.value is not None:
            good.append((number, one.digest))
            yield one.value
        elif one.error is not None and skipped is None:
            raise _with_option(one.error)
        elif one.error is not None and skipped is not None:
            skipped.append((one.name, str(_with_option(one.error))))
        if progress is not None:
            progress(number + 1, total)
    if not good:
        raise DataError("no row of the table has a usable picture", expected="at least one")


def _with_option(error: DataError) -> DataError:
    """Return a picture's error with the option of `pairs embed` in place of a training's key."""
    remedy = error.remedy.replace("data.skip_bad=true", "--skip-bad")
    return DataError(error.came, expected=error.expected, where=error.where, remedy=remedy)


def _first_rows(values: Sequence[Hashable]) -> list[int]:
    """Return, for each row, the first row with the same value: "a b a" gives 0 1 0."""
    first: dict[Hashable, int] = {}
    return [first.setdefault(value, row) for row, value in enumerate(values)]


def _joined_ids(given: Sequence[str], digests: Sequence[bytes]) -> list[str]:
    """Give one id to all rows that are connected by equal ids or equal pixels, in chains too.

    Ids "a b c" with pixels "1 1 2" become "a a c": row 1 shares its pixels with row 0.
    """
    joined: dict[str, str] = {}

    def root(name: str) -> str:
        while name in joined:
            name = joined[name]
        return name

    first: dict[bytes, str] = {}
    for name, digest in zip(given, digests, strict=True):
        here, there = root(name), root(first.setdefault(digest, name))
        if here != there:
            joined[here] = there
    return [root(name) for name in given]
