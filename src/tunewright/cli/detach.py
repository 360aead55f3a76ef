"""`--detach`: a search goes on in the background once it has passed its checks.

The process forks before anything heavy is imported. The child does the checks; until they are done
it belongs to the terminal, so that questions, errors and Ctrl-C are as without the option.
"""

import contextlib
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from tunewright.cli.options import console
from tunewright.cli.output.formatting import from_here, quote
from tunewright.cli.output.screen import ScreenCallback
from tunewright.errors import NotWritten
from tunewright.runs.atomic import IN_RUNS
from tunewright.runs.folder import StudyFolder

LOG = "coordinator.log"
"""The output of a coordinator in the background, in the folder of its study."""


class DetachedScreen(ScreenCallback):
    """Prints plain lines, which go to the study's log from its begin on.

    told: a descriptor to which the folder is written then.
    """

    def __init__(self, told: int) -> None:
        super().__init__(console())
        self._told: int | None = told

    def on_begin(self, folder: StudyFolder) -> None:
        """Leave the terminal; of several studies in one call, the first one has the log."""
        if self._told is None:
            return
        self.log = (folder.path / LOG).absolute()
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise NotWritten(
                f"{self.log} cannot be written: {error.strerror}", remedy=IN_RUNS
            ) from None
        nothing = os.open(os.devnull, os.O_RDONLY)
        _flush()
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(nothing)
        os.close(log)
        os.setsid()
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts what it forgets
            signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(self._told, f"{os.getpid()} {folder.path}".encode(errors="surrogateescape"))
        os.close(self._told)
        self._told = None


def detach() -> DetachedScreen:
    """Fork; return in the child, with what it is watched with. The parent prints and exits.

    Its exit code is that of the checks, 0 when the search has begun.
    """
    _flush()
    said, says = os.pipe()
    told, tells = os.pipe()
    if pid := os.fork():
        os.close(says)
        os.close(tells)
        _wait(pid, said, told)
    os.close(said)
    os.close(told)
    for number in (1, 2):
        os.dup2(says, number)
    os.close(says)
    return DetachedScreen(tells)


def _wait(child: int, said: int, told: int) -> NoReturn:
    """Pass on what the child says until its search has begun, or it has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child has it too, and says what it does
    open_ends, begun = {said, told}, b""
    while told in open_ends:
        ready, _, _ = select.select(sorted(open_ends), [], [])
        for descriptor in ready:
            data = os.read(descriptor, 65536)
            if descriptor == told and data:
                begun += data
            elif data:
                _pass_on(data)
            else:
                open_ends.discard(descriptor)
    while select.select([said], [], [], 0)[0] and (data := os.read(said, 65536)):
        _pass_on(data)
    if not begun:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.exit(code if code >= 0 else 128 - code)
    pid, _, folder = begun.decode(errors="surrogateescape").partition(" ")
    print(describe(int(pid), Path(folder)))
    sys.exit(0)


def describe(pid: int, folder: Path) -> str:
    """Return where a search in the background is, and how to look, stop and go on."""
    folder = from_here(folder)
    named, log = quote(folder), quote(folder / LOG)
    return (
        f"{folder} goes on in the background: process {pid} on {socket.gethostname()}\n"
        f"look:   tunewright status {named}, or tail -f {log}\n"
        f"stop:   kill -INT {pid}   (as Ctrl-C: running trials save themselves)\n"
        f"go on:  tunewright tune {named}, or the same command"
    )


def _pass_on(data: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(2, data)


def _flush() -> None:
    streams: list[Any] = [sys.stdout, sys.stderr]
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
