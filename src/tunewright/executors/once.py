"""One function call in a process of its own, for torch work of a torch-free coordinator."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tunewright.errors import RunError, TunewrightError
from tunewright.executors.local import PRELOAD


def call(function: Callable[..., Any], *arguments: Any, threads: int | None = None) -> Any:
    """What `function(*arguments)` returns; both must be importable and plain enough to send.

    Raises RunError when the process dies, and the function's own TunewrightError otherwise.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    near, far = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(far, function, arguments, threads))
    process.start()
    far.close()
    try:
        kind, value = near.recv()
    except EOFError:
        process.join()
        raise RunError(f"the process ended with code {process.exitcode}") from None
    finally:
        near.close()
    process.join()
    if kind == "raised":
        raise RunError(value)
    return value


def _answer(
    pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], threads: int | None
) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    try:
        pipe.send(("returned", function(*arguments)))
    except TunewrightError as error:
        pipe.send(("raised", str(error)))
