"""The callbacks that long work takes, so that a caller can show progress and notices."""

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called with how many items are done and how many there are."""

OnNotice = Callable[[str], None]
"""Called with a sentence that the user should read."""
