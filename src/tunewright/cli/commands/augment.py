"""The command that shows what an augmentation does to training pictures."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.options import (
    DATA,
    FOREIGN,
    ConfigDir,
    ConfigFile,
    ConfigName,
    RunsDir,
    Verbose,
    Words,
    app,
    console,
    verbose_logs,
)


@app.command(context_settings=FOREIGN, rich_help_panel=DATA)
def augment(
    words: Words = None,
    level: Annotated[
        str | None,
        typer.Option(help="none, crop_flip, light, medium, strong, ultra_strong or colour."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The PNG file to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Draw training pictures beside their augmented versions.

    Without --level, every augmentation level is drawn.
    """
    from tunewright import api

    verbose_logs(verbose)
    drawn = api.augment(
        *(words or []),
        level=level,
        output=output,
        config=config,
        config_dir=config_dir,
        config_name=config_name,
        runs_dir=runs_dir,
    )
    if as_json:
        print(json.dumps(drawn, indent=2))
        return
    screen = console()
    for notice in drawn["notices"]:
        screen.print(f"note: {notice}", soft_wrap=True, markup=False)
    screen.print(
        f"{len(drawn['pictures'])} training pictures at {drawn['size']} px, "
        f"{', '.join(drawn['levels'])}: {drawn['file']}",
        soft_wrap=True,
        markup=False,
    )
