"""How much compressors cost and how much they keep: comparisons of their curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.api.words import RUNS, path_of

if TYPE_CHECKING:  # imported in the function: SciPy takes a moment
    from tunewright.deliver.bd_rate import BdRate


def bd_rate(
    anchor: Path | str | Mapping[str, Any],
    test: Path | str | Mapping[str, Any],
    *,
    method: str = "akima",
    metric: str = "psnr",
    plot: Path | str | None = None,
    runs_dir: Path | str = RUNS,
) -> "BdRate":
    """How many bits a curve saves over its anchor at equal quality; see `deliver.bd_rate`.

    anchor, test: files of lists, folders or patterns of evaluated runs, published curves, or
    `{"bpp": [...], "psnr": [...]}` itself. plot: an HTML or SVG file to draw both in.
    """
    from tunewright.deliver.bd_rate import bd_rate as compare

    return compare(
        anchor, test, method=method, metric=metric, plot=path_of(plot), runs=Path(runs_dir)
    )
