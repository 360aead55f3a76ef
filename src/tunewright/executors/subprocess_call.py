"""One function call in a process of its own, for torch work of a torch-free coordinator."""

import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tunewright.errors import RunError, TunewrightError
from tunewright.executors.forkserver import follow, start_process
from tunewright.executors.thread_waits import ThreadWaits

ON_ITS_WAY = "on its way"
"""Marks what is said before the answer, which is marked with None or with its error."""


def call(
    function: Callable[..., Any],
    *arguments: Any,
    threads: int | None = None,
    seconds: float | None = None,
    told: Callable[[Any], None] | None = None,
) -> Any:
    """What `function(*arguments)` returns; both must be importable and plain enough to send.

    seconds: after which the process is ended. told: called here with what the function says on
    its way; the function then takes one more argument, with which it says it. Raises RunError
    when the process dies or takes longer, and the function's own TunewrightError, of its own kind.
    """
    until = None if seconds is None else time.monotonic() + seconds
    process, pipe = start_process(
        _answer, function, arguments, threads, told is not None, name="tunewright-call"
    )
    try:
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not pipe.poll(left):
                raise RunError(f"it took longer than {seconds:g} s")
            kind, value = pipe.recv()
            if kind != ON_ITS_WAY:
                break
            if told is not None:
                told(value)
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
    pipe: Connection,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    threads: int | None,
    tells: bool,
) -> None:
    follow(pipe, _nothing)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if tells:
        arguments = (*arguments, lambda message: pipe.send((ON_ITS_WAY, message)))
    try:
        with ThreadWaits(os.environ).watch(None):  # a codec has the threads that its file names
            answer = function(*arguments)
        pipe.send((None, answer))
    except TunewrightError as error:
        pipe.send((type(error), str(error)))


def _nothing(_message: object) -> None:
    """A call is sent nothing; its pipe is only watched for its end."""
