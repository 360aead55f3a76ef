"""What the commands share: the application, its panels, common options, the console."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from tunewright.cli.output.safe_console import SafeConsole


class Passing(BaseException):
    """Carries an exception past Typer, which would handle it in its own way."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


SEARCH, TRAIN, DELIVER = "Search", "Train", "Deliver"
COMPRESSION, DATA = "Compression", "Data"
"""Panels of `--help`."""


class _Group(TyperGroup):
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in their panels, without Rich, which `--help` would wait for."""
        shown = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        width = max(len(name) for name, _ in shown)
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in shown:
            if command is not None and not command.hidden:
                summary = command.get_short_help_str(formatter.width - width - 4)
                panel = getattr(command, "rich_help_panel", None)
                rows = panels.setdefault(panel if isinstance(panel, str) else "Commands", [])
                rows.append((f"{name:<{width}}", summary))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise Passing(error) from error


app = typer.Typer(
    name="tunewright",
    cls=_Group,
    help="Tune and fine-tune PyTorch models: a search space in, the best model out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tunewright import __version__

        print(f"tunewright {__version__}")
        raise typer.Exit


@app.callback()
def _options_of_all(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


FOREIGN = {"ignore_unknown_options": True, "allow_interspersed_args": True}
"""Unknown options are passed on: the recipe declares which flags of the guides it knows."""

Word = Annotated[
    str | Path | Mapping[str, Any] | Callable[..., Any],
    typer.Argument(metavar="RECIPE|FILE [FILE] [KEY=VALUE]...", show_default=False),
]
"""A recipe, a file or an override; for `tune` and `plan` also a function and its space."""
RunsDir = Annotated[Path | str, typer.Option("--runs-dir", help="Folder of all runs and studies.")]
ConfigFile = Annotated[
    Path | str | None, typer.Option("--config", help="A configuration or study file.")
]
ConfigDir = Annotated[
    Path | str | None,
    typer.Option("--config-dir", help="Folder with your own configuration groups."),
]
ConfigName = Annotated[
    str | None,
    typer.Option(
        "--config-name", help="A top-level configuration file to use instead of the recipe's."
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Run the command that a study's folder holds, without asking.")
]
RUNS = Path("runs")
Verbose = Annotated[bool, typer.Option("--verbose", help="Print more, and tracebacks of errors.")]
Wide = Annotated[bool, typer.Option("--wide", help="Print tables whole, in lines of any length.")]


def console(*, to_stderr: bool = False, wide: bool | None = None) -> "SafeConsole":
    """Return the console for tables and progress: as wide as the terminal, 120 columns in a pipe.

    wide: tables take the width that they need; None for a command without `--wide`.

    Text is printed without markup, since a folder may be called `[red]` or `:smile:`; coloured
    text is a `rich.text.Text`.
    """
    from tunewright.cli.output.safe_console import SafeConsole

    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else 120
    return SafeConsole(
        wide, width=width, highlight=False, markup=False, emoji=False, stderr=to_stderr
    )


def verbose_logs(verbose: bool) -> None:
    """Set the log level of libraries: DEBUG with --verbose, else WARNING."""
    import logging

    class StderrHandler(logging.Handler):
        """Writes to the current standard error, which a live display may have redirected."""

        def emit(self, record: logging.LogRecord) -> None:
            print(self.format(record), file=sys.stderr)

    shown = StderrHandler()
    shown.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, handlers=[shown])
