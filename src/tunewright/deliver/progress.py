"""Where long work on runs stands, on standard error; a piece of work after the other."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from tunewright.images.progress import ShowProgress

Told = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


class Saying:
    """Called with what is being done, how much is done and how much there is."""

    def __init__(self) -> None:
        self._what = ""
        self._shown: ShowProgress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown is not None:
            self._shown.__exit__(kind, error, trace)
            self._shown = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show it; what was shown of another piece of work goes."""
        if self._shown is None or what != self._what:
            self.__exit__(None, None, None)
            self._what, self._shown = what, ShowProgress(what)
        self._shown(done, total)


def silent(_what: str, _done: int, _total: int) -> None:
    """Nobody listens."""
