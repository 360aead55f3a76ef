"""Progress of long work on pictures, on a terminal or in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Self, TextIO

LINE_SECONDS = 5.0
REDRAW_SECONDS = 0.1


class ShowProgress:
    """An `OnProgress` callback that shows how much is done and how long the rest will take.

    On a terminal it redraws one line and clears it at the end; elsewhere it writes a plain line
    every 5 s, and nothing for work that is done sooner.
    """

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = sys.stderr if stream is None else stream
        self._tty = self._stream.isatty()
        self._began = self._shown = time.monotonic()
        self._width = 0
        self._first = self._total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()

    def __call__(self, done: int, total: int) -> None:
        """Show the progress, unless it was shown a moment ago."""
        now = time.monotonic()
        if total != self._total:  # the next piece of work begins
            self._first, self._total, self._began, self._shown = done, total, now, now
        pause = REDRAW_SECONDS if self._tty else LINE_SECONDS
        if now - self._shown < pause and not (self._tty and done == total):
            return
        self._shown = now
        left = (now - self._began) / max(done - self._first, 1) * (total - done)
        text = (
            f"{self._title}: {done:,} of {total:,} ({done / max(total, 1):.0%}), {_time(left)} left"
        )
        if self._tty:
            self._stream.write("\r" + text.ljust(self._width))
            self._width = max(self._width, len(text))
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


@contextmanager
def each_progress(stream: TextIO | None = None) -> Iterator[Callable[[str], ShowProgress]]:
    """Yield a function from a title to its progress, of one piece of work after the other."""
    with ExitStack() as shown:

        def next_work(title: str) -> ShowProgress:
            shown.close()
            return shown.enter_context(ShowProgress(title, stream))

        yield next_work


def _time(seconds: float) -> str:
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    return (
        f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    )
