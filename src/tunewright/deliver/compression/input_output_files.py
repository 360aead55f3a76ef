"""Pairs of input and output files, for files and whole folders."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from tunewright.deliver.find_run import output_file
from tunewright.errors import DataError, UsageError
from tunewright.images.sources.archive import PICTURES, list_files, suffix_of
from tunewright.recipes.compression.codec.container import SUFFIX
from tunewright.runs.regular_files import exists, is_file

FILES = frozenset({*PICTURES, SUFFIX, ".heic", ".jxl"})
"""Suffixes that name a file: a folder called z.jpg is never meant."""


class Pair(NamedTuple):
    """An existing file, and the one that is made from it."""

    source: Path
    target: Path


def file_pairs(
    given: Iterable[Path | str],
    output: Path | str,
    *,
    taken: Collection[str],
    made: str,
    single: Collection[str],
    force: bool,
) -> list[Pair]:
    """Pair each input file with its output file; all paths are absolute.

    given: files, and folders, of which all files with an end in `taken` count, those in folders
    inside them and in linked ones too, as a training lists them. output: a file, with an end in
    `single`, of one file; else a folder, in which names stay as they are but for their end,
    `made`. Raises DataError where there is nothing, UsageError where two would become one, a file
    stands where a folder must, a name ends as a file that is not made here, or a file is there
    already and `force` is not given.
    """
    sources = [entry for one in given for entry in _files(Path(one).expanduser(), taken)]
    place = Path(output).expanduser().absolute()
    if not sources:
        raise UsageError("no file was named", expected="files or folders of them")
    if place.suffix.lower() in single and not place.is_dir():
        if len(sources) > 1:
            raise UsageError(
                f"--output {output} for {len(sources)} files", expected="a folder for several"
            )
        pairs = [Pair(sources[0][0], place)]
    elif place.suffix.lower() in FILES and not place.is_dir():
        raise UsageError(
            f"--output {output}", expected=f"a folder, or a name ending in {', '.join(single)}"
        )
    elif place.is_file():
        ends = " or ".join(single)
        raise UsageError(
            f"--output {output} is a file", expected=f"a folder, or a name ending in {ends}"
        )
    else:
        pairs = [Pair(file, place / name.with_suffix(made)) for file, name in sources]
    _check(pairs, force)
    return pairs


def _files(given: Path, taken: Collection[str]) -> list[tuple[Path, Path]]:
    """Return files, each with its relative name below the output folder."""
    path = given.absolute()
    if is_file(path):
        return [(path, Path(path.name))]
    if not path.is_dir():
        there = exists(path)
        came = "is neither a file nor a folder" if there else "does not exist"
        raise DataError(f"{given} {came}", remedy="Check the path.")
    found = sorted(name for name in list_files(path).names if suffix_of(name) in taken)
    if not found:
        raise DataError(f"no file in {given}", expected=f"names ending in {', '.join(taken)}")
    return [(path / name, Path(name)) for name in found]


def _check(pairs: list[Pair], force: bool) -> None:
    seen: dict[Path, Path] = {}
    for source, target in pairs:
        if target in seen:
            raise UsageError(
                f"{seen[target]} and {source} would both become {target}",
                remedy="Name them in two calls, with two folders.",
            )
        seen[target] = source
        if target == source:
            raise UsageError(f"{source} would be written over itself", expected="another --output")
        output_file(target)
    there = [target for _, target in pairs if target.exists()]
    if there and not force:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise UsageError(
            f"{there[0]}{more} exists already",
            expected="a new file",
            remedy="Name another --output, or write over it with --force.",
        )
