"""Open and save a set of embedding pairs in a folder, without reading it whole.

A set NAME is three files: `NAME_image_embeddings.*` [N, width], `NAME_text_embeddings.*`
[N, width] and `NAME_metadata.json`. One row is one pair; an image with five captions has five
rows. The metadata say which image each row shows (`image_ids`), and may add one value a row
for `texts`, `image_files`, `text_files` and `split`. A table, `NAME_metadata.csv` or `.tsv` with
a column image_id, may take their place.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.errors import DataError, did_you_mean
from tunewright.recipes.pairs.data.array_files import (
    SUFFIXES,
    ArrayFile,
    content_hash,
    create_rows,
    describe,
)
from tunewright.recipes.pairs.data.metadata_table import SUFFIXES as TABLES
from tunewright.recipes.pairs.data.metadata_table import read_metadata_table
from tunewright.runs.documents import parse_json
from tunewright.runs.regular_files import read_regular
from tunewright.runs.stamp import Stamp, file_stamp

Array = npt.NDArray[Any]
SIDES = ("image", "text")
PER_ROW = ("image_ids", "texts", "image_files", "text_files", "split")
MAX_ID = 4_096
"""Characters of an image id, which may be a path; numpy stores all as long as the longest."""


@dataclass(frozen=True, eq=False)
class PairSet:
    """One opened set: two described matrices, the image id of every row, and the metadata.

    ids: int64 or text, shape [N]. metadata: the whole JSON object. stamps: of the three files,
    as they were opened.
    """

    name: str
    images: ArrayFile
    texts: ArrayFile
    ids: Array
    metadata: Mapping[str, Any]
    stamps: tuple[Stamp | None, ...] = ()

    @property
    def rows(self) -> int:
        """How many pairs there are."""
        return self.images.rows

    @property
    def folder(self) -> Path:
        """Where the set lies; `image_root` and `text_root` are relative to it."""
        return self.images.path.parent


def open_pairs(folder: Path | str, name: str, metadata_name: str | None = None) -> PairSet:
    """Open the set `name` of a data folder: headers and metadata only.

    metadata_name: the metadata file, where it is not `NAME_metadata.json`; a single
    `NAME…_metadata.json` such as val2017_metadata.json for `val` is found by itself.
    Raises DataError when a file is missing, ambiguous or broken, or the rows do not match.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder",
            expected="one with <name>_image_embeddings and <name>_text_embeddings files",
            remedy="Check the path (data.dir of a training), or make one with `tunewright pairs "
            "embed` and `tunewright pairs split`.",
        )
    images, texts = (describe(_find_embeddings(folder, name, side)) for side in SIDES)
    path = folder / metadata_name if metadata_name else _find_metadata(folder, name)
    stamps = tuple(map(file_stamp, (images.path, texts.path, path)))
    metadata = _read_metadata(path)
    ids = _read_ids(path, metadata)
    counts = {images.rows, texts.rows, len(ids)}
    if len(counts) > 1:
        raise DataError(
            f"{name!r} has {images.rows:,} image rows, {texts.rows:,} text rows and "
            f"{len(ids):,} image_ids in {path.name}",
            expected="three equal counts",
            remedy="Files of different sets are mixed, or one was cut: make them again together.",
        )
    for key in PER_ROW:
        if key in metadata and not _is_list(metadata[key], len(ids)):
            raise DataError(f"{key!r} in {path}", expected=f"a list of {len(ids):,} values")
    return PairSet(name, images, texts, ids, metadata, stamps)


def pairs_hash(pairs: PairSet) -> str:
    """Return a hash of a set's embeddings and ids."""
    parts = (content_hash(pairs.images), content_hash(pairs.texts), *map(str, pairs.ids.tolist()))
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def holds_pairs(folder: Path, name: str) -> bool:
    """Return whether a folder has any file of the set `name`."""
    return (folder / f"{name}_metadata.json").exists() or any(
        _candidates(folder, name, side) for side in SIDES
    )


def save_pairs(
    folder: Path | str, name: str, images: Array, texts: Array, metadata: Mapping[str, Any]
) -> None:
    """Save two float16 or float32 matrices [N, width] and their metadata as the set `name`."""
    (n_images, image_width), (n_texts, text_width) = images.shape, texts.shape
    image_rows_as = (images.dtype.name, (n_images, image_width))
    text_rows_as = (texts.dtype.name, (n_texts, text_width))
    with new_pairs(folder, name, metadata, image_rows_as, text_rows_as) as (image_rows, text_rows):
        image_rows[:] = images
        text_rows[:] = texts


@contextmanager
def new_pairs(
    folder: Path | str,
    name: str,
    metadata: Mapping[str, Any],
    images: tuple[str, tuple[int, int]],
    texts: tuple[str, tuple[int, int]],
) -> Iterator[tuple[Array, Array]]:
    """Make a set by filling two mapped matrices, given as (dtype, shape); for any size.

    The files take their places when the block ends well, the metadata last, so that metadata
    mean a whole set; after an exception nothing remains. bfloat16 becomes `.safetensors`, the
    rest `.npy`. An older set of the same name and format is replaced; raises DataError for one
    in another format, which would make the set ambiguous.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}_metadata.json"
    formats = [_suffix_for(dtype) for dtype, _ in (images, texts)]
    for side, suffix in zip(SIDES, formats, strict=True):
        for old in _candidates(folder, name, side):
            if old.suffix != suffix:
                raise DataError(
                    f"{old} is in the way of a new {name}_{side}_embeddings{suffix}",
                    remedy="Move or delete it, or choose another folder.",
                )
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as temporary:
        mapped: list[np.memmap[Any, np.dtype[Any]]] = []
        paths = []
        for side, (dtype, (rows, width)) in zip(SIDES, (images, texts), strict=True):
            paths.append(Path(temporary) / f"{name}_{side}_embeddings{_suffix_for(dtype)}")
            mapped.append(create_rows(paths[-1], dtype, (rows, width)))
        yield mapped[0], mapped[1]
        for rows_written in mapped:
            rows_written.flush()
        described = Path(temporary) / target.name
        described.write_text(json.dumps(metadata, allow_nan=False), encoding="utf-8")
        target.unlink(missing_ok=True)
        for path in paths:
            path.replace(folder / path.name)
        described.replace(target)


def set_names(folder: Path) -> list[str]:
    """Return the names of the sets that a folder holds image embeddings for."""
    found = {path.name.partition("_image_embeddings.")[0] for path in _embedding_files(folder)}
    return sorted(found)


def _suffix_for(dtype: str) -> str:
    return ".safetensors" if dtype == "bfloat16" else ".npy"


def _embedding_files(folder: Path) -> list[Path]:
    found = (folder.glob(f"*_image_embeddings{suffix}") for suffix in SUFFIXES)
    return [path for paths in found for path in paths]


def _candidates(folder: Path, name: str, side: str) -> list[Path]:
    paths = [folder / f"{name}_{side}_embeddings{suffix}" for suffix in SUFFIXES]
    return [path for path in paths if path.exists()]


def _find_embeddings(folder: Path, name: str, side: str) -> Path:
    paths = _candidates(folder, name, side)
    if len(paths) > 1:
        raise DataError(
            f"{folder} holds {' and '.join(path.name for path in paths)}",
            expected="one of them",
            remedy="Delete or rename the one that is out of date.",
        )
    if paths:
        return paths[0]
    names = set_names(folder)
    remedy = did_you_mean(name, names)
    if name.endswith("_tuning"):
        remedy = (
            "Make the tuning subset with `tunewright pairs split`, or search on another set: "
            f"stages.explore.data.train={name.removesuffix('_tuning')}."
        )
    raise DataError(
        f"{folder} has no {name}_{side}_embeddings{{{','.join(SUFFIXES)}}}",
        expected=f"one of the sets there: {', '.join(names)}" if names else "embeddings",
        remedy=remedy or "Make them with `tunewright pairs embed`, or correct data.dir.",
    )


def _find_metadata(folder: Path, name: str) -> Path:
    direct = [folder / f"{name}_metadata{end}" for end in (".json", *TABLES)]
    path = direct[0]
    if there := [one for one in direct if one.exists()]:
        return there[0]
    # val2017_metadata.json describes `val`, train_tuning_metadata.json is another set
    pattern = re.compile(re.escape(name) + r"[^_]+_metadata\.(json|csv|tsv)")
    others = sorted(other for other in folder.iterdir() if pattern.fullmatch(other.name))
    if len(others) == 1:
        return others[0]
    came = f"{path} is missing"
    if others:
        came += f" and {', '.join(other.name for other in others)} are there"
    raise DataError(
        came,
        expected="metadata with the image id of every row (image_ids)",
        remedy="Row numbers cannot replace them: captions of one image would count as negatives. "
        "Write image_ids, or name the file with data.train_metadata (valid_, test_).",
    )


def _read_metadata(path: Path) -> Mapping[str, Any]:
    if path.suffix.lower() in TABLES:
        return read_metadata_table(path)
    try:
        metadata = parse_json(read_regular(path).decode())
    except FileNotFoundError:
        raise DataError(f"{path} is missing", expected="the metadata of the set") from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror})", expected="the metadata of the set"
        ) from None
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON ({error})",
            remedy="Copy the file again, or repair it; null stands for no value.",
        ) from None
    if not isinstance(metadata, dict) or "image_ids" not in metadata:
        raise DataError(
            f"{path} lacks image_ids",
            expected="a JSON object with the image id of every row",
            remedy="Add image_ids: without them, captions of one image would count as negatives of "
            "each other.",
        )
    return metadata


def _read_ids(path: Path, metadata: Mapping[str, Any]) -> Array:
    values = metadata["image_ids"]
    kinds = {type(value) for value in values} if isinstance(values, list) else set()
    if len(kinds) != 1 or not kinds <= {int, str}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or "no list of values"
        raise DataError(
            f"image_ids in {path} hold {names}", expected="a list, all integers or all text"
        )
    if kinds == {int} and max(map(abs, values)) >= 1 << 63:
        raise DataError(
            f"image_ids in {path} do not fit into 64 bits", remedy="Write them as text."
        )
    if kinds == {str} and max(map(len, values)) > MAX_ID:
        raise DataError(
            f"an image id in {path} has {max(map(len, values)):,} characters",
            expected=f"at most {MAX_ID}",
        )
    return np.array(values, dtype=np.int64 if kinds == {int} else np.str_)


def _is_list(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length
