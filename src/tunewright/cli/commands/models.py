"""The command that lists models."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.options import TRAIN, Verbose, app, console

if TYPE_CHECKING:
    from rich.table import Table

MB, MIB = 10**6, 2**20


@app.command(rich_help_panel=TRAIN)
def models(
    wanted: Annotated[
        str, typer.Argument(metavar="[FILTER]", help="Part of a name, or a pattern with *.")
    ] = "",
    classes: Annotated[int, typer.Option(help="Number of classes of the head.")] = 100,
    limit: Annotated[int, typer.Option(help="Maximum number of rows.")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """List image models with parameters, sizes and licences.

    'no head' are the parameters without the last layer (and the fusion). Sizes are those of the
    exported file; licences are those of the pretrained weights.
    """
    from tunewright import api

    found = api.models(wanted, classes=classes, limit=limit)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    screen = console()
    screen.print(models_table(found))
    for notice in found["notices"]:
        screen.print(f"note: {notice}", soft_wrap=True, markup=False)


def models_table(found: Mapping[str, Any]) -> "Table":
    """Return a table with one row per model."""
    from rich.table import Table

    table = Table(title=f"image models, {found['classes']} classes")
    table.add_column("name", overflow="fold")
    for name in ("parameters", "no head", "fp32 MB", "MiB", "fp16 MB", "MiB", "input"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("licence of weights")
    for row in found["rows"]:
        sizes = [row["bytes_fp32"], row["bytes_fp16"]]
        table.add_row(
            row["name"],
            f"{row['parameters']:,}",
            f"{row['backbone_parameters']:,}",
            *(f"{size / unit:.1f}" for size in sizes for unit in (MB, MIB)),
            f"{row['input_size']}" + (" only" if row["fixed"] else ""),
            row["licence"],
        )
    return table
