"""The command that sets studies, runs and codecs side by side: compare."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.command import JSON, command
from tunewright.cli.options import RUNS, SEARCH, RunsDir
from tunewright.errors import UsageError

if TYPE_CHECKING:
    from tunewright.analysis.comparison import Comparison
    from tunewright.deliver.compression.compare import CompareReport
    from tunewright.deliver.progress import ProgressCallback

ANCHOR, METHOD, METRIC = "JPEG", "akima", "psnr"
TWO = "two studies or two runs, or --data with folders of pictures"


@command(SEARCH, prints="comparison:print_comparison", switches=[JSON], needs_words=True)
def compare(
    *runs: Annotated[
        Path | str,
        typer.Argument(
            metavar="A B",
            help="Two studies or runs: names, folders, databases (DATABASE#NAME). With --data: any "
            "number of runs, folders or quoted patterns of them; NAME=RUN names the curve.",
        ),
    ],
    output: Annotated[
        Path | str | None,
        typer.Option(
            help="Write a page: FILE.html. With --data: folder for a table and a plot of each set "
            "(default: comparison)."
        ),
    ] = None,
    data: Annotated[
        Sequence[Path | str] | Path | str | None,
        typer.Option(
            help="Compare compressors with classical codecs on this folder of pictures, such as "
            "Kodak's; may be repeated.",
            show_default=False,
        ),
    ] = None,
    anchor: Annotated[
        str, typer.Option(help="The curve that BD-rates refer to: a codec or a NAME.")
    ] = ANCHOR,
    method: Annotated[
        str, typer.Option(help="Interpolation between the points: akima, pchip or cubic.")
    ] = METHOD,
    metric: Annotated[str, typer.Option(help="psnr or ms_ssim (compared in decibels).")] = METRIC,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out and list unreadable pictures.")
    ] = False,
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Comparison | CompareReport":
    """Compare two studies or two runs, or compressors with codecs.

    Shown are what differs in configuration and space, and the differences of the scores with 95 %
    intervals: paired where both were measured on the same seeds, pictures or classes. With --data,
    figures of coded pictures are kept in the cache: after an interruption, the same command goes
    on where it stopped.

    In Python, return the differences, or the points of every curve by set with BD-rates. Raises
    UsageError for two that do not compare and for an unknown anchor, DataError for what is no run.
    See `deliver.comparison.compare_two.compare_two` and `deliver.compression.compare.compare`.
    """
    if data is not None:
        from tunewright.deliver.compression.compare import BdRateOptions
        from tunewright.deliver.compression.compare import compare as compare_compressors

        return compare_compressors(
            runs,
            BdRateOptions(anchor, method, metric),
            data=[data] if isinstance(data, str | Path) else data,
            output="comparison" if output is None else output,
            runs_dir=Path(runs_dir),
            skip_bad=skip_bad,
            on_progress=on_progress,
        )
    typed = {"anchor": anchor != ANCHOR, "method": method != METHOD, "metric": metric != METRIC}
    given = [name for name, changed in {**typed, "skip-bad": skip_bad}.items() if changed]
    if given:
        raise UsageError(f"--{given[0]} without --data", expected=TWO)
    if len(runs) != 2:
        raise UsageError(f"{len(runs)} names", expected=TWO)
    from tunewright.deliver.comparison.compare_two import compare_two

    page = None if output is None else Path(output).expanduser()
    return compare_two(runs[0], runs[1], runs=Path(runs_dir), page=page)
