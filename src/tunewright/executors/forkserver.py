"""Processes forked from a server that has torch loaded, which are gone when we are.

Forking such a process takes about 15 ms. The server never touches CUDA, and neither do we.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from types import ModuleType
from typing import Any

from tunewright.errors import RunError

PRELOAD = ["tunewright.job", "tunewright.training.trainer", "torch._dynamo"]
"""What the server imports for all; torch's optimisers import the last one on first use (1.3 s)."""


def start_process(
    target: Callable[..., None], *arguments: Any, name: str, script: bool = False
) -> tuple[ForkServerProcess, Connection]:
    """Start `target(pipe, *arguments)`; returns the process and our end of its pipe.

    `target` begins with `follow(pipe, ...)`. script: the arguments name something in the main
    script, which the process therefore imports. Raises RunError when the server does not answer.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    near, far = context.Pipe()
    # Not a daemon: daemons may not have children, and data loaders are children.
    process = context.Process(target=target, args=(far, *arguments), name=name)
    try:
        _start_server()
        with nullcontext() if script else _no_script():
            process.start()
    except (EOFError, OSError) as error:
        near.close()
        raise RunError(
            f"no worker process could be started ({type(error).__name__}: {error})",
            remedy="The machine may lack memory or processes: fewer --jobs, and the same command "
            "resumes.",
        ) from None
    finally:
        far.close()
    return process, near


def follow(pipe: Connection, take: Callable[[Any], None]) -> None:
    """What a new process does first: hand on what is sent, and die when the other end closes.

    take: called in a thread of its own. Ctrl-C in the terminal is then the other end's business
    alone, and whatever this process starts ends with it.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked in the server

    def listen() -> None:
        while True:
            try:
                take(pipe.recv())
            except (EOFError, OSError):
                end_group()

    threading.Thread(target=listen, daemon=True).start()


def end_group() -> None:
    """Kill this process and all that it started, before it can write anything more."""
    os.killpg(0, signal.SIGKILL)


@contextmanager
def _no_script() -> Iterator[None]:
    """Hide the main script, which `multiprocessing` would import in every process.

    Ours need nothing of it, and one without a main guard would begin its study again.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _start_server() -> None:
    """A Ctrl-C while the server still imports torch must not kill it: it inherits the mask."""
    resource_tracker.ensure_running()  # starting it would unblock SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
