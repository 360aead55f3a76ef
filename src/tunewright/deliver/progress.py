"""Progress of long work on runs, on standard error: one piece of work after the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from tunewright.images.progress import ShowProgress

ProgressCallback = Callable[[str, int, int], None]
"""`on_progress(what, done, total)`: the piece of work, how much is done, how much there is."""


class ProgressBar:
    """Shows each piece of work on standard error; a `ProgressCallback`."""

    def __init__(self) -> None:
        self._what = ""
        self._shown: ShowProgress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown.__exit__()
            self._shown = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show the progress; a new piece of work replaces the one shown before."""
        if self._shown is None or what != self._what:
            self.__exit__()
            self._what, self._shown = what, ShowProgress(what)
        self._shown(done, total)


@contextmanager
def progress_or_default(on_progress: ProgressCallback | None) -> Iterator[ProgressCallback]:
    """Yield `on_progress`, or a `ProgressBar` that is removed at the end where it is None."""
    if on_progress is not None:
        yield on_progress
        return
    with ProgressBar() as bar:
        yield bar
