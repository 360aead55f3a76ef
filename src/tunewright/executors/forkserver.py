"""Start processes from a fork server that has torch loaded; they end when this process ends.

Forking such a process takes about 15 ms. Neither the server nor this process touches CUDA.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from types import FrameType, ModuleType
from typing import Any

from tunewright.errors import RunError
from tunewright.runs.machine.temporary_folders import place_sockets

PRELOAD = ["tunewright.job", "tunewright.training.trainer", "torch._dynamo"]
"""Modules that the server imports once; torch's optimisers import the last on first use (1.3 s)."""

FOR_PARENT = frozenset(
    {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
)
"""Signals that end a session gracefully, and that only its coordinator reacts to."""
ATTEMPTS, PAUSE_SECONDS = 3, 0.5
"""How often a process is tried to be started, and the pause before the next time."""


def start_process(
    target: Callable[..., None], *arguments: Any, name: str, script: bool = False
) -> tuple[ForkServerProcess, Connection]:
    """Start `target(pipe, *arguments)`; return the process and this end of its pipe.

    `target` must begin with `follow(pipe, ...)`. script: the arguments refer to the main script,
    so the process imports it. A server that died is replaced. Raises RunError when the process
    cannot be started.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _start(target, arguments, name, script)
        except (EOFError, OSError) as error:  # the server, or the new process, died just now
            if "path too long" in str(error):
                raise RunError(
                    f"the path of the temporary folder {tempfile.gettempdir()} is too long for the "
                    "socket of the worker processes",
                    remedy="Set TMPDIR to a shorter one, such as /tmp.",
                ) from None
            if attempt == ATTEMPTS:
                raise RunError(
                    f"no worker process could be started ({type(error).__name__}: {error})",
                    remedy="The machine may be out of memory or processes. Use fewer --jobs; the "
                    "same command resumes.",
                ) from None
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("the last attempt returns or raises")


def _start(
    target: Callable[..., None], arguments: Sequence[Any], name: str, script: bool
) -> tuple[ForkServerProcess, Connection]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    near, far = context.Pipe()
    # Not a daemon: daemons may not have children, and data loaders are children.
    process = context.Process(target=target, args=(far, *arguments), name=name)
    try:
        _start_server()
        with nullcontext() if script else _no_script():
            process.start()
    except (EOFError, OSError):
        near.close()
        raise
    finally:
        far.close()
    return process, near


def follow(pipe: Connection, handle: Callable[[Any], None]) -> None:
    """Set up a new process: pass each received message to `handle`, and die when the pipe closes.

    handle: called in a thread of its own. Only the parent reacts to Ctrl-C in the terminal and to
    signals that a scheduler sends to all processes, and processes that this one starts end with it.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own = os.getpid()

    def leave_to_parent(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != own:  # a child, which whoever started it may end
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for number in FOR_PARENT - {signal.SIGINT}:
        signal.signal(number, leave_to_parent)  # not SIG_IGN, which programs it runs would inherit
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_PARENT)  # blocked in the server

    def listen() -> None:
        while True:
            try:
                handle(pipe.recv())
            except (EOFError, OSError):
                end_group()

    threading.Thread(target=listen, daemon=True).start()


def end_group() -> None:
    """Kill this process and every process it started, before they can write anything more."""
    os.killpg(0, signal.SIGKILL)


@contextmanager
def _no_script() -> Iterator[None]:
    """Hide the main script from `multiprocessing`, which would import it in every process.

    Workers do not need it, and a script without a main guard would start its study again.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _start_server() -> None:
    """Start the server with signals blocked: Ctrl-C while it imports torch must not kill it."""
    place_sockets()
    resource_tracker.ensure_running()  # starting it would unblock SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_PARENT)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
