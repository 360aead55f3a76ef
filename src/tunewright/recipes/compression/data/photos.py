"""Find, split and describe the photographs of a configuration, without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.errors import DataError
from tunewright.images.dataset.channel_bits import deep_colour_notices
from tunewright.images.dataset.content_hash import content_keys, joined_digest
from tunewright.images.dataset.leaks import copies_of
from tunewright.images.dataset.splits import hold_out, units_of
from tunewright.images.dataset.unreadable import without_broken
from tunewright.images.dataset.value_range import dark_notices
from tunewright.images.image_table import ImageTable
from tunewright.images.sources.archive import list_files
from tunewright.images.sources.build_table import TableRow, some, table_of
from tunewright.images.sources.split_folders import named_splits
from tunewright.recipes.compression.config import PhotosConfig
from tunewright.recipes.compression.data.embedded import embedded_photos
from tunewright.recipes.compression.data.photo_sizes import photo_sizes
from tunewright.runs.cache import cache_folder

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Photos:
    """Photographs to train and to validate on, with notices for the user."""

    train: ImageTable
    valid: ImageTable
    notices: tuple[str, ...]


def open_photos(data: PhotosConfig, progress: Progress | None = None) -> Photos:
    """Find and split the photographs of a configuration; but for a sample, nothing is decoded.

    With `skip_bad` each is decoded once, to leave out those that cannot be. Copies of a
    photograph, byte for byte, stay on one side. progress: called while files are read.
    Raises DataError for a place without photographs, or too few of them.
    """
    notices: list[str] = []
    embedded = embedded_photos(cache_folder()) if data.dir is None else None
    place = Path(str(data.dir)).expanduser() if embedded is None else embedded / "train"
    table = _list_photos(place, data.skip_bad, notices, progress)
    keys = content_keys(table, progress)
    apart = data.valid_dir if embedded is None else data.valid_dir or str(embedded / "valid")
    if apart is not None:
        valid = _list_photos(Path(apart).expanduser(), data.skip_bad, notices, progress)
        theirs = set(content_keys(valid, progress))
        mask = np.array([key not in theirs for key in keys])
        if not mask.all():
            notices.append(
                f"{np.count_nonzero(~mask):,} photographs of {place} are in {apart} too, byte for "
                f"byte ({some(np.array(table.ids)[~mask])}): they are used for validation only"
            )
    else:
        tops = sorted({name.partition("/")[0] for name in table.ids if "/" in name})
        if splits := named_splits(tops):
            notices.append(
                f"{some(f'{folder}/' for folder in splits)} in {place} look like splits, and are "
                "used as one set of photographs: set data.dir and data.valid_dir to separate them"
            )
        notices += copies_of(table, keys)
        no_labels = np.zeros(len(table), dtype=np.int64)
        mask = ~hold_out(no_labels, units_of(keys), data.val_split, data.split_seed)
        valid = table.take(~mask)
    train = table.take(mask)
    if not len(train) or not len(valid):
        raise DataError(
            f"{place} leaves {len(train):,} photographs to train on and {len(valid):,} to "
            "validate on",
            expected="one of each at least",
            remedy="Add photographs, or name others to validate on: data.valid_dir=FOLDER.",
        )
    if data.dir is None:
        notices.append(
            "data.dir is not set: crops of the two photographs that scikit-learn ships are used; "
            "a model of use needs thousands"
        )
    return Photos(train, valid, tuple(notices))


def facts(data: PhotosConfig) -> Mapping[str, float]:
    """Return the numbers that spaces may refer to: rows (crops an epoch), photos and so on.

    side: the median of the shorter sides of training photographs, in pixels.
    """
    photos = open_photos(data)
    sides = photo_sizes(photos.train).min(axis=1)
    return {
        "rows": len(photos.train) * data.crops_per_photo,
        "photos": len(photos.train),
        "valid_photos": len(photos.valid),
        "side": float(np.median(sides)),
    }


def fingerprints(data: PhotosConfig) -> Mapping[str, str]:
    """Return a content hash of train and valid, by name."""
    photos = open_photos(data)
    parts = {"train": photos.train, "valid": photos.valid}
    return {name: joined_digest(content_keys(part))[:16] for name, part in parts.items()}


def size_notices(data: PhotosConfig, photos: Photos) -> list[str]:
    """Return notices about photographs smaller than a crop."""
    notices = []
    for name, part in (("train", photos.train), ("valid", photos.valid)):
        sides = photo_sizes(part).min(axis=1)
        small = np.flatnonzero((sides > 0) & (sides < data.crop))
        if small.size:
            notices.append(
                f"{small.size:,} of {len(part):,} photographs of {name} are smaller than the crop "
                f"of {data.crop} pixels ({some(part.ids[row] for row in small)}): they are "
                "mirrored at their edges"
            )
    return notices


def _list_photos(
    place: Path, skip_bad: bool, notices: list[str], progress: Progress | None
) -> ImageTable:
    """Every picture in a folder or zip, in natural order."""
    shelf = list_files(place.absolute())
    rows = [TableRow(name, shelf.at(name)) for name in shelf.pictures]
    if not rows:
        raise DataError(
            f"{place} holds no photographs",
            expected="files such as .jpg or .png, in it or in the folders inside it",
            remedy="Check the path.",
        )
    table = table_of(place.absolute(), rows, labelled=False)
    if skip_bad:
        table, skipped = without_broken(table, progress)
        notices += skipped
    notices += deep_colour_notices(table, place) + dark_notices(table, place)
    return table
