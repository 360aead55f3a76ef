"""Start a script as a process group of its own, read its output, end it with all its children."""

import atexit
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tunewright.errors import RunError
from tunewright.recipes.command import process_guard
from tunewright.recipes.command.process_guard import MARKER, end_processes

CHUNK = 1 << 16
LEFTOVER_SECONDS = 2.0
"""How long children that outlive their script may take to end after SIGTERM."""
REST_SECONDS = 2.0
"""How long the rest of the output is read, after the script has ended."""
LONGEST_LINE = 1 << 20
"""Bytes after which a line without an end is dropped; such is no line of metrics."""


@dataclass(frozen=True)
class ScriptStart:
    """How a script is started. mark: names its processes. grace_seconds: when its worker dies."""

    words: Sequence[str]
    directory: Path | None
    environment: Mapping[str, str]
    mark: str
    grace_seconds: float


class Script:
    """A running script. code: its exit code, negative for a signal; None while it runs."""

    def __init__(self, start: ScriptStart, on_output: Callable[[bytes], None]) -> None:
        """Start it; raises RunError where it cannot be."""
        self._start, self._on_output = start, on_output
        self._guard = _Guard.current()
        self._guard.begin(start.mark, start.grace_seconds)
        try:
            with _default_interrupt():
                self._process = subprocess.Popen(
                    start.words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=start.directory,
                    env={**start.environment, MARKER: start.mark},
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            self._guard.end(start.mark)
            raise RunError(f"{start.words[0]} cannot be started: {error}") from None
        self._group = self._process.pid
        self._guard.group(start.mark, self._group)
        self._selector = selectors.DefaultSelector()
        self._lines: dict[int, _LineBuffer] = {}
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._lines[stream.fileno()] = _LineBuffer()
            self._selector.register(stream.fileno(), selectors.EVENT_READ)
        self._closed, self._death = False, -1
        with suppress(AttributeError, OSError):  # Linux; elsewhere the process is polled
            self._death = os.pidfd_open(self._group)
            self._selector.register(self._death, selectors.EVENT_READ)

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while the script runs."""
        return self._process.poll()

    def read(self, seconds: float) -> Iterator[str]:
        """Wait for output or the end, at most `seconds`; yield the lines that were completed."""
        if not self._lines and self._death < 0:
            time.sleep(min(seconds, 0.01))
        for key, _ in self._selector.select(seconds):
            if key.fd == self._death:
                self._selector.unregister(self._death)
                os.close(self._death)
                self._death = -1
            else:
                yield from self._read_stream(key.fd)

    def read_rest(self) -> Iterator[str]:
        """Yield the lines that are left when the script has ended, whole or not.

        Its children may print on, so there is a limit.
        """
        deadline = time.monotonic() + REST_SECONDS
        for descriptor in list(self._lines):
            while descriptor in self._lines and time.monotonic() < deadline:
                if not (yield from self._read_stream(descriptor)):
                    break
        for descriptor in list(self._lines):
            yield from self._end_stream(descriptor)

    def signal(self, number: int) -> None:
        """Send a signal to the script and all processes that it started."""
        process_guard.send_signal(self._group, self._start.mark, number)

    def close(self) -> bool:
        """End every process that is left; return whether the script left any behind."""
        if self._closed:
            return False
        self._closed = True
        running = self._process.poll() is None
        grace = self._start.grace_seconds if running else LEFTOVER_SECONDS
        left = end_processes(self._group, self._start.mark, grace)
        self._process.wait()
        self._guard.end(self._start.mark)
        for descriptor in list(self._lines):
            list(self._end_stream(descriptor))
        if self._death >= 0:
            os.close(self._death)
        self._selector.close()
        return left and not running

    def _read_stream(self, descriptor: int) -> Generator[str, None, bool]:
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            yield from self._end_stream(descriptor)
            return False
        self._on_output(data)
        yield from self._lines[descriptor].add(data)
        return True

    def _end_stream(self, descriptor: int) -> Iterator[str]:
        yield from self._lines.pop(descriptor).rest()
        self._selector.unregister(descriptor)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None and not stream.closed and stream.fileno() == descriptor:
                stream.close()


class _LineBuffer:
    """Splits output into lines; holds the one that has no end yet."""

    def __init__(self) -> None:
        self._half = b""

    def add(self, data: bytes) -> Iterator[str]:
        *whole, self._half = (self._half + data).split(b"\n")
        if len(self._half) > LONGEST_LINE:
            self._half = b""
        for line in whole:
            yield line.decode(errors="replace")

    def rest(self) -> Iterator[str]:
        if self._half:
            yield self._half.decode(errors="replace")
            self._half = b""


class _Guard:
    """The process that ends the scripts of this one when it dies; one for its whole life."""

    _known: "tuple[int, _Guard] | None" = None

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", process_guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that it outlives the group of this process
        )
        atexit.register(self._close)

    @classmethod
    def current(cls) -> "_Guard":
        """Return the guard of this process; a new one where the last has died."""
        known = cls._known
        if known is None or known[0] != os.getpid() or known[1]._process.poll() is not None:
            cls._known = known = os.getpid(), cls()
        return known[1]

    def begin(self, mark: str, grace_seconds: float) -> None:
        self._tell(f"begin\t{mark}\t{grace_seconds}")

    def group(self, mark: str, group: int) -> None:
        self._tell(f"group\t{mark}\t{group}")

    def end(self, mark: str) -> None:
        self._tell(f"end\t{mark}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(os.fsencode(line + "\n"))
            self._process.stdin.flush()

    def _close(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)


@contextmanager
def _default_interrupt() -> Iterator[None]:
    """Let a script react to SIGINT as usual, where this process ignores it."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: None)  # a handler is not inherited, as SIG_IGN is
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
