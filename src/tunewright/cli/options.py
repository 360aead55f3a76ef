"""What the commands share: the application, the options that several of them take, the console."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="tunewright",
    help="Tune and fine-tune PyTorch models: a search space in, the best model out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

FOREIGN = {"ignore_unknown_options": True, "allow_interspersed_args": True}
"""Unknown options pass through: the guides' flags are data, looked up by recipe."""

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="RECIPE|FILE [FILE] [KEY=VALUE]...", show_default=False),
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Where run folders go.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A configuration or study file.")]
ConfigDir = Annotated[Path | None, typer.Option("--config-dir", help="Your folder of YAML groups.")]
ConfigName = Annotated[
    str | None, typer.Option("--config-name", help="A top-level file in place of the recipe's.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say more; tracebacks of errors.")]


def console() -> "Console":
    """Where tables and progress are drawn: as wide as the terminal, 120 columns in a pipe."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120
    return Console(width=width, highlight=False)


def verbose_logs(verbose: bool) -> None:
    """Let libraries say more with --verbose."""
    import logging

    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING)
