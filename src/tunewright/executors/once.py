"""One function call in a process of its own, for torch work of a torch-free coordinator."""

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tunewright.errors import RunError, TunewrightError
from tunewright.executors.process import follow, start_process


def call(function: Callable[..., Any], *arguments: Any, threads: int | None = None) -> Any:
    """What `function(*arguments)` returns; both must be importable and plain enough to send.

    Raises RunError when the process dies, and for the function's own TunewrightError.
    """
    process, pipe = start_process(_answer, function, arguments, threads, name="tunewright-call")
    try:
        kind, value = pipe.recv()
    except EOFError:
        process.join()
        raise RunError(f"the process ended with code {process.exitcode}") from None
    finally:
        pipe.close()  # ends the process, also one that an interrupted caller leaves behind
        process.join()
    if kind == "raised":
        raise RunError(value)
    return value


def _answer(
    pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], threads: int | None
) -> None:
    follow(pipe, _nothing)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    try:
        pipe.send(("returned", function(*arguments)))
    except TunewrightError as error:
        pipe.send(("raised", str(error)))


def _nothing(_message: object) -> None:
    """A call is sent nothing; its pipe is only watched for its end."""
