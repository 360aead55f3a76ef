"""The commands that make pictures small, and pictures again."""

from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.options import RunsDir, Verbose, app, console

Run = Annotated[
    Path | None,
    typer.Option(
        help="A run or study folder, or its name in --runs-dir; none: the newest that compresses."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Write over files that are there.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
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
            "--verify/--no-verify", help="Decode what was coded, and compare every value."
        ),
    ] = True,
    force: Force = False,
    as_json: Json = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Code pictures into .twc files by a trained run; exit code 1 when some cannot be used."""
    from tunewright import api
    from tunewright.cli.compressed import print_compressed

    found = api.compress(
        *pictures, output=output, run=run, verify=verify, force=force, runs_dir=runs_dir
    )
    print_compressed(console(), found, as_json=as_json)
    if found["failed"]:
        raise typer.Exit(1)


@app.command()
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
    """Decode .twc files by the run that wrote them; exit code 1 when some cannot be used."""
    from tunewright import api
    from tunewright.cli.compressed import print_decompressed

    found = api.decompress(*files, output=output, run=run, force=force, runs_dir=runs_dir)
    print_decompressed(console(), found, as_json=as_json)
    if found["failed"]:
        raise typer.Exit(1)
