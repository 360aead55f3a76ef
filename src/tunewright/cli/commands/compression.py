"""The commands about compression: compress, decompress, bd-rate."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.command import JSON, command
from tunewright.cli.options import COMPRESSION, RUNS, RunsDir

if TYPE_CHECKING:
    from tunewright.deliver.compression.bd_rate import BdRate
    from tunewright.deliver.compression.compress import CompressReport, DecompressReport
    from tunewright.deliver.progress import ProgressCallback

Run = Annotated[
    Path | str | None,
    typer.Option(
        help="A run or study folder, or its name in --runs-dir (default: the newest compressor)."
    ),
]
RunOfFiles = Annotated[
    Path | str | None,
    typer.Option(
        help="A run or study folder, or its name in --runs-dir (default: the one that wrote each "
        "file)."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
Curve = str | Path | Mapping[str, Any]
CURVE = (
    'A JSON file {"bpp": [...], "psnr": [...]}; a folder or a quoted pattern of evaluated runs, '
    "one point per run; RUN/evaluation.json:jpeg; published:hpcm-base@kodak."
)


@command(
    COMPRESSION,
    prints="compression:print_compressed",
    switches=[JSON],
    needs_words=True,
    fails=lambda report: bool(report.failed),
)
def compress(
    *pictures: Annotated[
        Path | str, typer.Argument(metavar="IMG...", help="Pictures, or folders of them.")
    ],
    output: Annotated[
        Path | str,
        typer.Option(help="A .twc file for one picture, else a folder.", show_default=False),
    ],
    run: Run = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Decode each file again and compare every value."
        ),
    ] = True,
    force: Force = False,
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "CompressReport":
    """Compress pictures into .twc files with a trained run.

    The exit code is 1 when some pictures could not be compressed.

    In Python, return bytes, bits and seconds of each file, and why files `failed`. on_progress:
    called with the piece of work, how much is done, and how much there is; None shows it on
    standard error. See `deliver.compression.compress.compress`.
    """
    from tunewright.deliver.compression.compress import compress as compress_files

    return compress_files(
        pictures,
        output=output,
        run=run,
        verify=verify,
        force=force,
        runs=Path(runs_dir),
        on_progress=on_progress,
    )


@command(
    COMPRESSION,
    prints="compression:print_decompressed",
    switches=[JSON],
    needs_words=True,
    fails=lambda report: bool(report.failed),
)
def decompress(
    *files: Annotated[
        Path | str, typer.Argument(metavar="FILE.twc...", help="Files, or folders of them.")
    ],
    output: Annotated[
        Path | str,
        typer.Option(
            help="A .png (.bmp, .ppm, .tif, .webp) for one file, else a folder.",
            show_default=False,
        ),
    ],
    run: RunOfFiles = None,
    force: Force = False,
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "DecompressReport":
    """Decompress .twc files with the run that wrote them.

    The exit code is 1 when some files could not be decompressed.

    In Python, return seconds of each file and why files `failed`. Raises DataError for a file of
    another run. See `deliver.compression.compress.decompress`.
    """
    from tunewright.deliver.compression.compress import decompress as decompress_files

    runs = Path(runs_dir)
    return decompress_files(
        files, output=output, run=run, force=force, runs=runs, on_progress=on_progress
    )


@command(
    COMPRESSION,
    prints="compression:print_bd_rate",
    switches=[JSON],
    fails=lambda found: found.overlap is None,
)
def bd_rate(
    anchor: Annotated[Curve, typer.Argument(help="The curve to compare with. " + CURVE)],
    test: Annotated[Curve, typer.Argument(help="The curve to compare, given in the same way.")],
    *,
    method: Annotated[
        str, typer.Option(help="Interpolation between the points: akima, pchip or cubic.")
    ] = "akima",
    metric: Annotated[str, typer.Option(help="psnr or ms_ssim (compared in decibels).")] = "psnr",
    plot: Annotated[
        Path | str | None,
        typer.Option(help="Plot both curves and the reference codecs: .html or .svg."),
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> "BdRate":
    """Compute BD-rate and BD-PSNR of two rate-distortion curves.

    The exit code is 1 when the curves have no range of quality in common.

    In Python, a curve may also be `{"bpp": [...], "psnr": [...]}` itself. Raises DataError for what
    is no curve. See `deliver.compression.bd_rate.bd_rate`.
    """
    from tunewright.deliver.compression.bd_rate import bd_rate as compare

    file = None if plot is None else Path(plot)
    return compare(anchor, test, method=method, metric=metric, plot=file, runs=Path(runs_dir))
