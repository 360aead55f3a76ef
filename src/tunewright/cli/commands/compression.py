"""The commands about compression: compress, decompress, bd-rate."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.options import COMPRESSION, RunsDir, Verbose, app, console

Run = Annotated[
    Path | None,
    typer.Option(
        help="A run or study folder, or its name in --runs-dir (default: the newest compressor)."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(rich_help_panel=COMPRESSION)
def compress(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="IMG...", help="Pictures, or folders of them.")
    ],
    output: Annotated[
        Path, typer.Option(help="A .twc file for one picture, else a folder.", show_default=False)
    ],
    run: Run = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Decode each file again and compare every value."
        ),
    ] = True,
    force: Force = False,
    as_json: Json = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Compress pictures into .twc files with a trained run.

    The exit code is 1 when some pictures could not be compressed.
    """
    from tunewright import api
    from tunewright.cli.output.compression import print_compressed

    found = api.compress(
        *pictures, output=output, run=run, verify=verify, force=force, runs_dir=runs_dir
    )
    print_compressed(console(), found, as_json=as_json)
    if found["failed"]:
        raise typer.Exit(1)


@app.command(rich_help_panel=COMPRESSION)
def decompress(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE.twc...", help="Files, or folders of them.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="A .png (.bmp, .ppm, .tif, .webp) for one file, else a folder.",
            show_default=False,
        ),
    ],
    run: Run = None,
    force: Force = False,
    as_json: Json = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Decompress .twc files with the run that wrote them.

    The exit code is 1 when some files could not be decompressed.
    """
    from tunewright import api
    from tunewright.cli.output.compression import print_decompressed

    found = api.decompress(*files, output=output, run=run, force=force, runs_dir=runs_dir)
    print_decompressed(console(), found, as_json=as_json)
    if found["failed"]:
        raise typer.Exit(1)


if TYPE_CHECKING:
    from tunewright.deliver.compression.bd_rate import BdRate

CURVE = (
    'A JSON file {"bpp": [...], "psnr": [...]}; a folder or a quoted pattern of evaluated runs, '
    "one point per run; RUN/evaluation.json:jpeg; published:hpcm-base@kodak."
)


@app.command("bd-rate", rich_help_panel=COMPRESSION)
def bd_rate(
    anchor: Annotated[str, typer.Argument(help="The curve to compare with. " + CURVE)],
    test: Annotated[str, typer.Argument(help="The curve to compare, given in the same way.")],
    method: Annotated[
        str, typer.Option(help="Interpolation between the points: akima, pchip or cubic.")
    ] = "akima",
    metric: Annotated[str, typer.Option(help="psnr or ms_ssim (compared in decibels).")] = "psnr",
    plot: Annotated[
        Path | None, typer.Option(help="Plot both curves and the reference codecs: .html or .svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Compute BD-rate and BD-PSNR of two rate-distortion curves.

    The exit code is 1 when the curves have no range of quality in common.
    """
    from tunewright import api

    found = api.bd_rate(anchor, test, method=method, metric=metric, plot=plot, runs_dir=runs_dir)
    if as_json:
        print(json.dumps(_plain(found), indent=2))
    else:
        screen = console()
        for line in _lines(found):
            screen.print(line, soft_wrap=True, markup=False)
        if plot is not None:
            screen.print(f"  {plot}", soft_wrap=True, markup=False)
    if found.overlap is None:
        raise typer.Exit(1)


def _lines(found: "BdRate") -> list[str]:
    """Return the lines to print: both numbers, the range they cover, and the notices."""
    name = "PSNR" if found.metric == "psnr" else "MS-SSIM"
    sides = {"anchor": found.anchor, "test": found.test}
    lines = [f"{side:<8} {named.name}, {_points(named.curve)}" for side, named in sides.items()]
    if math.isfinite(found.bd_rate):
        verdict = "fewer" if found.bd_rate < 0 else "more"
        lines.append(
            f"BD-rate  {found.bd_rate:+.3f} % (the test needs {abs(found.bd_rate):.3f} % {verdict} "
            f"bits at equal {name})"
        )
    if math.isfinite(found.bd_psnr):
        lines.append(f"BD-{name:<5} {found.bd_psnr:+.4f} dB at equal rate")
    if found.overlap is not None:
        shared = found.overlap
        lines.append(
            f"method   {found.method}, over {shared.low:.2f} to {shared.high:.2f} dB "
            f"({shared.share:.0%} of what either reaches)"
        )
    return lines + [f"note: {notice}" for notice in found.notices]


def _points(curve: Any) -> str:
    rates = f"{curve.bpp[0]:.4g} to {curve.bpp[-1]:.4g} bpp"
    return f"{len(curve.bpp)} points, {rates}, " + (
        f"{min(curve.quality):.2f} to {max(curve.quality):.2f} dB"
    )


def _plain(found: "BdRate") -> dict[str, Any]:
    """Return plain values for JSON; None for a number that is not known."""
    from dataclasses import asdict

    def side(named: Any) -> dict[str, Any]:
        return {"name": named.name, **asdict(named.curve)}

    return {
        "bd_rate": found.bd_rate if math.isfinite(found.bd_rate) else None,
        "bd_psnr": found.bd_psnr if math.isfinite(found.bd_psnr) else None,
        "method": found.method,
        "metric": found.metric,
        "overlap": None if found.overlap is None else asdict(found.overlap),
        "notices": list(found.notices),
        "anchor": side(found.anchor),
        "test": side(found.test),
    }
