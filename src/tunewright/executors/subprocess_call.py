"""Call one function in a process of its own: the coordinator itself never imports torch."""

import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tunewright.errors import RunError, TunewrightError
from tunewright.executors.forkserver import follow, start_process
from tunewright.executors.thread_waits import ThreadWaits

MESSAGE = "message"
"""Marks an intermediate message; the answer is marked with None, or with its error's class."""


def call(
    function: Callable[..., Any],
    *arguments: Any,
    threads: int | None = None,
    seconds: float | None = None,
    on_message: Callable[[Any], None] | None = None,
) -> Any:
    """Return `function(*arguments)`, called in a new process; function and arguments are pickled.

    seconds: the process is ended after this time. on_message: called here with each intermediate
    message; the function then gets one more argument, a callable that sends one. Raises RunError
    when the process dies or takes too long; a TunewrightError of the function is raised again here.
    """
    until = None if seconds is None else time.monotonic() + seconds
    process, pipe = start_process(
        _answer, function, arguments, threads, on_message is not None, name="tunewright-call"
    )
    try:
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not pipe.poll(left):
                raise RunError(f"it took longer than {seconds:g} s")
            kind, value = pipe.recv()
            if kind != MESSAGE:
                break
            if on_message is not None:
                on_message(value)
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
    sends_messages: bool,
) -> None:
    follow(pipe, _nothing)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if sends_messages:
        arguments = (*arguments, lambda message: pipe.send((MESSAGE, message)))
    try:
        with ThreadWaits(os.environ).watch(None):  # a codec has the threads that its file names
            answer = function(*arguments)
        pipe.send((None, answer))
    except TunewrightError as error:
        pipe.send((type(error), str(error)))


def _nothing(_message: object) -> None:
    """Ignore a message: a call receives none, its pipe is only watched for its end."""
