"""Tell split folders from class folders, by their names and contents."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tunewright.errors import DataError
from tunewright.images.sources.archive import FileListing
from tunewright.images.sources.build_table import SPLIT_WORDS, some

WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+")
"""`TrainSet`, `train_set` and `train-set2` are the words train and set."""
PLAIN = {"set", "sets", "data", "dataset", "split", "folder", "dir", "files", "samples", "crops"}
PLAIN |= {"image", "images", "img", "imgs", "picture", "pictures", "pics", "photo", "photos"}
"""Words in the name of a split that carry no meaning."""
PART = re.compile(r"(fold|split|part|set|subset|batch|chunk)[\W_]*\d+", re.IGNORECASE)
REMEDY = (
    "Name the splits train, valid and test (links do as well), or list the pictures in an "
    "index.csv (file,label,split)."
)


@dataclass(frozen=True)
class Layout:
    """How the paths of a listing are read.

    splits: folder -> the split that it is; empty if there are none. class_first: CLASS/train
    instead of train/CLASS. doubled: splits whose pictures are all in an inner folder of the same
    name. notices: how ambiguous names were read.
    """

    listing: FileListing
    splits: Mapping[str, str]
    class_first: bool = False
    doubled: Collection[str] = ()
    notices: tuple[str, ...] = ()

    def read(self, folders: Sequence[str]) -> tuple[str, str | None] | None:
        """Return class and split of what is in these folders, outermost first; None if no class."""
        if not self.splits:
            return (folders[0], None) if folders else None
        if len(folders) < 2 or folders[int(self.class_first)] not in self.splits:
            return None
        if self.class_first:
            return folders[0], self.splits[folders[1]]
        inside = folders[2:] if folders[0] in self.doubled else folders[1:]
        return (inside[0], self.splits[folders[0]]) if inside else None


class _Look(NamedTuple):
    """The folders at the top that hold pictures, and where in them the pictures are.

    inside: sub-folders with pictures, by top folder. flat: top folders with pictures directly in
    them. deep: whether any picture is below a sub-folder.
    """

    inside: Mapping[str, Collection[str]]
    flat: Collection[str]
    doubled: Collection[str]
    deep: bool


def layout_of(listing: FileListing) -> Layout:
    """Find out which folders of a listing are splits and which are classes.

    Splits are folders called train, valid (val, dev) and test in any case, or all after one
    pattern, such as training_set and test_set, or seg_train and seg_test. They are at the top, in
    the only folder there, or directly above the pictures of each class. Raises DataError if folders
    look like splits but do not say which.
    """
    look = _look(listing)
    every = dict.fromkeys((*look.inside, *look.flat))
    if len(every) == 1 and (inner := layout_of(listing.below(*every))).splits:
        return inner
    if splits := _at_the_top(listing, look):
        loose = [top for top in splits if top.casefold() not in SPLIT_WORDS]
        said = ", ".join(f"{top} as {splits[top]}" for top in loose)
        notices = (f"folders are read as splits by their names: {said}",) if loose else ()
        return Layout(listing, splits, doubled=look.doubled, notices=notices)
    below = {name for names in look.inside.values() for name in names}
    known = {name: SPLIT_WORDS.get(name.casefold(), "") for name in below}
    kinds = set(known.values())
    whole = "train" in kinds and "" not in kinds and len(kinds) > 1
    if whole and not look.flat and not look.deep:
        return Layout(listing, known, class_first=True)
    return Layout(listing, {}, notices=_doubts(listing, look, list(every)))


def _look(listing: FileListing) -> _Look:
    below: dict[str, set[tuple[str, ...]]] = {}
    for folder in dict.fromkeys(name.rpartition("/")[0] for name in listing.pictures):
        if folder:
            top, *rest = folder.split("/")
            below.setdefault(top, set()).add(tuple(rest))
    doubled = [
        top
        for top, paths in below.items()
        if all(path and path[0].casefold() == top.casefold() for path in paths)
    ]
    below |= {top: {path[1:] for path in below[top]} for top in doubled}
    inside = {top: {path[0] for path in paths if path} for top, paths in below.items()}
    return _Look(
        {top: names for top, names in inside.items() if names},
        [top for top, paths in below.items() if () in paths],
        doubled,
        any(len(path) > 1 for paths in below.values() for path in paths),
    )


def _at_the_top(listing: FileListing, look: _Look) -> dict[str, str]:
    """Return the folders at the top that are splits, if one of them is train."""
    tops = [folder for folder in listing.folders if "/" not in folder]
    splits = {top: SPLIT_WORDS[top.casefold()] for top in tops if top.casefold() in SPLIT_WORDS}
    # A class may be called train, beside bus and car: then its pictures are directly in it.
    if "train" not in {splits.get(top) for top in look.inside}:
        return named_splits(look.inside)
    named = {top: _split_of(top) for top in look.inside if top not in splits}
    for split in set(SPLIT_WORDS.values()) - set(splits.values()):
        meant = [top for top, found in named.items() if found == (split, frozenset())]
        if len(meant) == 1:
            splits[meant[0]] = split
    return splits


def named_splits(folders: Iterable[str]) -> dict[str, str]:
    """Map folders to splits if all are named after one pattern; else empty."""
    found = {folder: _split_of(folder) for folder in folders}
    splits = {folder: named[0] for folder, named in found.items() if named is not None}
    patterns = {named and named[1] for named in found.values()}
    whole = len(patterns) == 1 and len(found) == len(splits) == len(set(splits.values())) > 1
    return splits if whole and "train" in splits.values() else {}


def _split_of(folder: str) -> tuple[str, frozenset[str]] | None:
    """Return the split that a folder's name mentions, and the other words in it."""
    words = [re.sub(r"(?<=.)(set|data|images)$", "", w.casefold()) for w in WORD.findall(folder)]
    named = [word for word in words if word in SPLIT_WORDS]
    if len(named) != 1:
        return None
    return SPLIT_WORDS[named[0]], frozenset(words) - {named[0]} - PLAIN


def _doubts(listing: FileListing, look: _Look, tops: Sequence[str]) -> tuple[str, ...]:
    """Check for splits that would be read as classes, and return notices on doubtful cases."""
    named = some(f"{top}/" for top in tops)
    if not look.inside and named_splits(tops):
        raise DataError(
            f"{named} in {listing.place} are splits, and hold pictures without class folders",
            expected="train/CLASS/*.jpg",
            remedy="Sort the pictures into class folders, or list them in an index.csv "
            "(file,label,split).",
        )
    if own := [top for top, names in look.inside.items() if named_splits(names)]:
        raise DataError(
            f"{listing.place} holds splits inside {some(f'{top}/' for top in own)}",
            expected="one set of pictures",
            remedy="Unpack it, and name one of these folders."
            if listing.archive
            else f"Name one of them: data.dir={listing.at(own[0]).file}.",
        )
    alike = set.intersection(*map(set, look.inside.values())) if look.inside else set()
    same = len(alike) > 1 and len(look.inside) == len(tops) and not look.flat
    hints = set(filter(None, map(_split_of, look.inside)))
    several = any(split != "train" and ("train", beside) in hints for split, beside in hints)
    if several or (same and (hints or all(PART.fullmatch(top) for top in tops))):
        raise DataError(
            f"{named} in {listing.place} look like splits or parts of one set"
            + (f": all hold {some(sorted(alike))}" if same else ""),
            expected="names that say which one is for training",
            remedy=REMEDY,
        )
    if not same:
        return ()
    return (
        f"all top folders ({some(tops)}) hold the same sub-folders ({some(sorted(alike))}): the "
        "top folders are read as the classes; if they are splits, or parts of one set, "
        "name the splits train, valid and test, or list the pictures in an index.csv",
    )
