"""The command line: parse, call, print. Everything heavy is imported inside the commands."""

import sys
from typing import Any

from tunewright.cli import (
    run,
    study,  # before run: `--help` lists the commands in this order
)
from tunewright.cli.options import app
from tunewright.errors import NotWritten, RunError, StorageLost, TunewrightError
from tunewright.recipes.pairs.commands import app as pairs  # imports Typer and no more

__all__ = ["app", "main", "run", "study"]

app.add_typer(pairs, name="pairs", help="Data for the recipe pairs: embed, split.")


def _exit_code(error: TunewrightError) -> int:
    from tunewright.search.interrupt import Interrupted

    if isinstance(error, Interrupted):
        return 130
    return 1 if isinstance(error, RunError | StorageLost | NotWritten) else 2


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed work, 2 wrong usage, 130 interrupted."""
    arguments: list[Any] = sys.argv[1:]
    try:
        app()
    except TunewrightError as error:
        if "--verbose" in arguments:
            raise
        print(f"tunewright: {error}", file=sys.stderr)
        sys.exit(_exit_code(error))
    except KeyboardInterrupt:
        print("tunewright: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
