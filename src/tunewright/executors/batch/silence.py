"""How long somebody has been silent, by this process's own clock."""

import time
from collections.abc import Callable


class Silence:
    """Measures how long a number in a file has not changed.

    The clock is this process's monotonic one: a file's time of modification comes from another
    machine, whose clock may be minutes off, and is cached by network file systems.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: object = None
        self._since = clock()

    def hear(self, sign: object) -> None:
        """Receive what the file says now; the same as before is silence, as is None."""
        if sign is not None and sign != self._heard:
            self._heard, self._since = sign, self._clock()

    @property
    def seconds(self) -> float:
        """Seconds since the last change, or since this object was made."""
        return self._clock() - self._since
