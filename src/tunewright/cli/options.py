"""What the commands share: the application, the options that several of them take, the console."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from rich.console import Console


class Passing(BaseException):
    """Carries an exception past Typer, which would end the program in its own way."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Group(TyperGroup):
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
Budget = Annotated[
    str | None,
    typer.Option(help="Time for all of it, final training included: 45m, 8h, 1h30m, 90 (seconds)."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say more; tracebacks of errors.")]


def console(*, to_stderr: bool = False) -> "Console":
    """Where tables and progress are drawn: as wide as the terminal, 120 columns in a pipe.

    A text is printed as it is: a folder may be called `[red]` or `:smile:`. What is coloured is
    a `rich.text.Text`.
    """
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else 120
    return Console(width=width, highlight=False, markup=False, emoji=False, stderr=to_stderr)


def verbose_logs(verbose: bool) -> None:
    """Let libraries say more with --verbose."""
    import logging

    class StderrHandler(logging.Handler):
        """Writes to whatever standard error is by then: above a live region, if there is one."""

        def emit(self, record: logging.LogRecord) -> None:
            print(self.format(record), file=sys.stderr)

    shown = StderrHandler()
    shown.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, handlers=[shown])
