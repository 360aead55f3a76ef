"""Pictures to small files and back, by trained compressors."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.api.delivery import telling
from tunewright.api.words import RUNS

if TYPE_CHECKING:  # imported in the functions: the coordinator has no torch
    from collections.abc import Mapping

    from tunewright.deliver.saying import Told


def compress(
    *pictures: Path | str,
    output: Path | str,
    run: Path | str | None = None,
    verify: bool = True,
    force: bool = False,
    runs_dir: Path | str = RUNS,
    told: "Told | None" = None,
) -> "Mapping[str, Any]":
    """Code pictures into `.twc` files; without a run, by the newest one that compresses.

    told: called with what is being done, how much is done, how much there is; None shows it on
    standard error. See `deliver.compress.compress`.
    """
    from tunewright.deliver.compress import compress as compress_files

    with telling(told) as tell:
        return compress_files(
            pictures,
            output=output,
            run=run,
            verify=verify,
            force=force,
            runs=Path(runs_dir),
            told=tell,
        )


def decompress(
    *files: Path | str,
    output: Path | str,
    run: Path | str | None = None,
    force: bool = False,
    runs_dir: Path | str = RUNS,
    told: "Told | None" = None,
) -> "Mapping[str, Any]":
    """Decode `.twc` files by the run that wrote them; see `deliver.compress.decompress`."""
    from tunewright.deliver.compress import decompress as decompress_files

    with telling(told) as tell:
        return decompress_files(
            files, output=output, run=run, force=force, runs=Path(runs_dir), told=tell
        )
