"""The command line: parse, call, print. Everything heavy is imported inside the commands."""

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from tunewright.cli.surroundings import explain, prepare_streams, silence
from tunewright.errors import printable

if TYPE_CHECKING:
    from tunewright.cli.application import app

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    """Return the application, imported late so that `main` handles Ctrl-C from the start."""
    if name != "app":
        raise AttributeError(f"module 'tunewright.cli' has no attribute {name!r}")
    from tunewright.cli.application import app

    return app


def main() -> None:
    """Run the console script; exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    prepare_streams()
    try:
        try:
            code = _code_of_a_command()
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()  # here, where an error can be told, not when the interpreter ends
        sys.exit(code)
    except KeyboardInterrupt:
        print("tunewright: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader closed the pipe; the final flush must not raise
        silence([sys.stdout])
        sys.exit(0)
    except (OSError, RuntimeError) as error:
        sentence = explain(error)
        if sentence is None or "--verbose" in sys.argv[1:]:
            raise
        with contextlib.suppress(OSError):
            print(f"tunewright: {printable(sentence)}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            silence([sys.stdout])
        sys.exit(1)


def _code_of_a_command() -> int | str | None:
    from tunewright.cli.application import app
    from tunewright.cli.options import Passing
    from tunewright.errors import LeaseLost, NotWritten, RunError, StorageLost, TunewrightError

    try:
        app()
    except Passing as passing:
        raise passing.error from None
    except (Exception, SystemExit) as error:
        from tunewright.search.signals import Interrupted

        if not isinstance(error, Interrupted) and _hides_ctrl_c(error):
            raise KeyboardInterrupt from None
        if not isinstance(error, TunewrightError):
            raise
        if "--verbose" in sys.argv[1:] and not isinstance(error, Interrupted):
            import traceback

            traceback.print_exc()
        else:
            print(f"tunewright: {error}", file=sys.stderr)
        if isinstance(error, Interrupted):
            return 130
        return 1 if isinstance(error, RunError | StorageLost | LeaseLost | NotWritten) else 2
    return 0


def _hides_ctrl_c(error: BaseException | None) -> bool:
    """Return whether a library raised this error in place of a KeyboardInterrupt."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, KeyboardInterrupt):
            return True
        # While pydantic builds a schema, only the text of its error names the interrupt.
        if type(error).__name__ == "SchemaError" and "KeyboardInterrupt" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
