"""One function call in a process of its own, for torch work of a torch-free coordinator."""

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tunewright.errors import RunError, TunewrightError
from tunewright.executors.process import follow, start_process


def call(
    function: Callable[..., Any],
    *arguments: Any,
    threads: int | None = None,
    seconds: float | None = None,
) -> Any:
    """What `function(*arguments)` returns; both must be importable and plain enough to send.

    seconds: after which the process is ended. Raises RunError when it dies or takes longer, and
    the function's own TunewrightError, of its own kind.
    """
    process, pipe = start_process(_answer, function, arguments, threads, name="tunewright-call")
    try:
        if not pipe.poll(seconds):
            raise RunError(f"it took longer than {seconds:g} s")
        kind, value = pipe.recv()
    except EOFError:
        process.join()
        raise RunError(f"the process ended with code {process.exitcode}") from None
    finally:
        pipe.close()  # ends the process, also one that an interrupted caller leaves behind
        process.join()
    if kind is not None:
        raise kind(value)
    return value


def _answer(
    pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], threads: int | None
) -> None:
    follow(pipe, _nothing)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    try:
        pipe.send((None, function(*arguments)))
    except TunewrightError as error:
        pipe.send((type(error), str(error)))


def _nothing(_message: object) -> None:
    """A call is sent nothing; its pipe is only watched for its end."""
