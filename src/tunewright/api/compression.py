"""Compression with trained models: compress, decompress, bd_rate."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.api.requests import RUNS, path_of

if TYPE_CHECKING:  # imported in the functions: the coordinator has no torch
    from collections.abc import Mapping

    from tunewright.deliver.progress import ProgressCallback


def compress(
    *pictures: Path | str,
    output: Path | str,
    run: Path | str | None = None,
    verify: bool = True,
    force: bool = False,
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Mapping[str, Any]":
    """Compress pictures into `.twc` files; without a run, with the newest one that compresses.

    on_progress: called with the piece of work, how much is done, and how much there is; None shows
    it on standard error. See `deliver.compression.compress.compress`.
    """
    from tunewright.deliver.compression.compress import compress as compress_files
    from tunewright.deliver.progress import progress_or_default

    with progress_or_default(on_progress) as report:
        return compress_files(
            pictures,
            output=output,
            run=run,
            verify=verify,
            force=force,
            runs=Path(runs_dir),
            on_progress=report,
        )


def decompress(
    *files: Path | str,
    output: Path | str,
    run: Path | str | None = None,
    force: bool = False,
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Mapping[str, Any]":
    """Decompress `.twc` files with the run that wrote them.

    See `deliver.compression.compress.decompress`.
    """
    from tunewright.deliver.compression.compress import decompress as decompress_files
    from tunewright.deliver.progress import progress_or_default

    with progress_or_default(on_progress) as report:
        return decompress_files(
            files, output=output, run=run, force=force, runs=Path(runs_dir), on_progress=report
        )


if TYPE_CHECKING:  # imported in the function: SciPy takes a moment
    from tunewright.deliver.compression.bd_rate import BdRate


def bd_rate(
    anchor: Path | str | Mapping[str, Any],
    test: Path | str | Mapping[str, Any],
    *,
    method: str = "akima",
    metric: str = "psnr",
    plot: Path | str | None = None,
    runs_dir: Path | str = RUNS,
) -> "BdRate":
    """Compute how many bits a curve saves over its anchor at equal quality.

    anchor, test: files of lists, folders or patterns of evaluated runs, published curves, or
    `{"bpp": [...], "psnr": [...]}` itself. plot: an HTML or SVG file to draw both in.
    See `deliver.compression.bd_rate.bd_rate`.
    """
    from tunewright.deliver.compression.bd_rate import bd_rate as compare

    return compare(
        anchor, test, method=method, metric=metric, plot=path_of(plot), runs=Path(runs_dir)
    )
