"""Embed a user's own pictures and texts as a set of pairs."""

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tunewright.errors import DataError
from tunewright.images.sources.decode import DecodedFile, PictureSource
from tunewright.recipes.pairs.data.groups import number_texts
from tunewright.recipes.pairs.data.pair_files import holds_pairs, save_pairs
from tunewright.recipes.pairs.encoders.classical import Floats
from tunewright.recipes.pairs.encoders.image_encoders import PICTURE_ENCODERS, PictureEncoder
from tunewright.recipes.pairs.encoders.pair_table import SPLIT_COLUMN, PairTable, train_rows
from tunewright.recipes.pairs.encoders.text_encoders import TEXT_ENCODERS, TextEncoder
from tunewright.registry import Registry

T = TypeVar("T")


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


@dataclass(frozen=True)
class Encoders:
    """The encoders of both sides by name, and their options.

    image_model, text_model, dimensions, batch_size: passed to the encoders that have such an
    option.
    """

    image: str = "classical"
    text: str = "classical"
    image_model: str | None = None
    text_model: str | None = None
    dimensions: int | None = None
    batch_size: int | None = None

    def build(self) -> tuple[PictureEncoder, TextEncoder]:
        """Make both; raise DataError for a model that an encoder does not use."""
        return (
            self._build(PICTURE_ENCODERS, self.image, self.image_model),
            self._build(TEXT_ENCODERS, self.text, self.text_model),
        )

    def _build(self, encoders: Registry[Callable[..., T]], name: str, model: str | None) -> T:
        build, known = encoders[name], encoders.options(name)
        if model is not None and "model" not in known:
            with_models = [other for other in encoders if "model" in encoders.options(other)]
            raise DataError(
                f"the model {model!r} for the {encoders.what} {name!r}",
                expected="no model, since this encoder has none to choose",
                remedy=f"Choose an encoder with models: {', '.join(with_models)}.",
            )
        given = {"model": model, "dimensions": self.dimensions, "batch_size": self.batch_size}
        return build(**{key: value for key, value in given.items() if value and key in known})


def embed_folder(
    table: PairTable,
    target_folder: Path | str,
    name: str,
    encoders: Encoders | None = None,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> EmbedReport:
    """Embed the rows of a table and save them as the set `name`, before splitting.

    Encoders are fitted on the train rows only, where the table has a split. overwrite: replace a
    set of this name. progress: called with the rows done and to do.
    Raises DataError for a table, a picture or an encoder that cannot be used, and for a set that
    is there already.
    """
    target, encoders = Path(target_folder), encoders or Encoders()
    if not overwrite and holds_pairs(target, name):
        raise DataError(
            f"{target} already holds the set {name!r}",
            expected="a folder or a name that is free",
            remedy="Replace it with --overwrite, or choose another --output or --name.",
        )
    read = table.read()
    pictures, embed_texts = encoders.build()
    rows, skipped = read.with_text()
    train_rows(rows, table.file)  # fails before encoding, which may take hours
    with PictureSource(table.images) as source:
        found = source.decode([row[read.image_column] for row in rows], pictures.prepare)
        good: list[tuple[int, bytes]] = []
        kept = skipped if table.skip_bad else None
        features = pictures.encode(_good(found, good, kept, len(rows), progress))
    used = [rows[number] for number, _ in good]
    fit = train_rows(used, table.file)
    notices = []
    if SPLIT_COLUMN not in used[0] and "classical" in (encoders.image, encoders.text):
        notices.append(
            "The table has no split column, so the classical encoders were fitted on all rows "
            "(without labels)."
        )
    texts = [row[read.text_column] for row in used]
    # Equal pictures, and equal texts, get one vector: an encoder's last bits depend on the batch.
    image_rows = pictures.finish(features, fit)[_first_rows([digest for _, digest in good])]
    text_rows = embed_texts(texts, fit)[_first_rows(number_texts(texts).tolist())]
    ids = _joined_ids(read.ids_of(used), [digest for _, digest in good])
    metadata = {
        "dataset_name": name,
        "total_pairs": len(used),
        "unique_images": len(set(ids)),
        "image_ids": ids,
        "source": f"{encoders.image_model or encoders.image} and "
        f"{encoders.text_model or encoders.text}",
        "texts": texts,
        "image_root": os.path.relpath(table.images, target),
        "image_files": [row[read.image_column] for row in used],
    }
    if SPLIT_COLUMN in used[0]:
        metadata["split"] = [row[SPLIT_COLUMN] for row in used]
    save_pairs(target, name, image_rows, text_rows, metadata)
    widths = (image_rows.shape[1], text_rows.shape[1])
    return EmbedReport(len(used), len(set(ids)), widths, tuple(skipped), tuple(notices))


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
