"""Find, check and describe the three sets of a configuration, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tunewright.errors import DataError
from tunewright.recipes.pairs.config import PairsDataConfig
from tunewright.recipes.pairs.data.pair_checks import check_leaks, check_pairs
from tunewright.recipes.pairs.data.pair_files import (
    PairSet,
    open_pairs,
    pairs_hash,
    set_names,
)
from tunewright.runs.cache import cache_folder


@dataclass(frozen=True)
class PairSets:
    """Train, validation and, where there is one, test."""

    train: PairSet
    valid: PairSet
    test: PairSet | None

    def all(self) -> list[PairSet]:
        """Those that exist."""
        return [s for s in (self.train, self.valid, self.test) if s is not None]


def data_folder(data: PairsDataConfig) -> Path:
    """Return the folder of the embeddings; without data.dir, make the embedded digits."""
    if data.dir is not None:
        return Path(data.dir).expanduser()
    from tunewright.recipes.pairs.data.digits import embedded_digits  # scikit-learn and Pillow

    return embedded_digits(cache_folder())


def open_sets(data: PairsDataConfig) -> PairSets:
    """Find the files and read their headers; DataError when something is missing or odd.

    A test set that does not exist is left out.
    """
    folder = data_folder(data)
    has_test = data.test is not None and data.test in set_names(folder)
    sets = PairSets(
        open_pairs(folder, data.train, data.train_metadata),
        open_pairs(folder, data.valid, data.valid_metadata),
        open_pairs(folder, str(data.test), data.test_metadata) if has_test else None,
    )
    for other in sets.all()[1:]:
        widths = (other.images.width, other.texts.width)
        expected = (sets.train.images.width, sets.train.texts.width)
        if widths != expected:
            raise DataError(
                f"{other.name} has {widths[0]}-wide images and {widths[1]}-wide texts",
                expected=f"{expected[0]} and {expected[1]}, as {sets.train.name} has",
                where=str(folder),
                remedy="Embed all sets with the same encoders.",
            )
    return sets


def pairs_facts(data: PairsDataConfig) -> Mapping[str, float]:
    """Return the numbers that spaces may refer to: rows of the sets, widths of the embeddings."""
    sets = open_sets(data)
    return {
        "rows": sets.train.rows,
        "valid_rows": sets.valid.rows,
        "image_width": sets.train.images.width,
        "text_width": sets.train.texts.width,
    }


def fingerprints(data: PairsDataConfig) -> Mapping[str, str]:
    """Return a content hash of the train and the validation set, by name."""
    sets = open_sets(data)
    return {pairs.name: pairs_hash(pairs) for pairs in (sets.train, sets.valid)}


def check_sets(data: PairsDataConfig) -> list[str]:
    """Read every row once; raise DataError for broken values and leaks, and return notices."""
    sets = open_sets(data)
    for pairs in sets.all():
        check_pairs(pairs)
    check_leaks(sets.train, sets.all()[1:])
    notices = []
    if data.dir is None:
        notices.append(
            f"data.dir is not set: the embedded digits are used (left half of an image against "
            f"its right half, {sets.train.rows:,} pairs to train on)"
        )
    if sets.test is None:
        notices.append(f"no test set in {data_folder(data)}: results are those of {data.valid}")
    return notices
