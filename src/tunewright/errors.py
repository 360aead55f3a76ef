"""Every error that Tunewright raises on purpose, and how near misses are suggested.

::

    TunewrightError            what came, what was expected, where it was set, what to do
    ├── UsageError             the command line itself is wrong
    ├── ConfigError            a configuration key or value
    ├── SpaceError             a search space
    ├── DataError              files, rows, columns, values
    │   └── NotWritten         a file that the disk or the system refused
    ├── StudyError             storage, locks, names of studies
    │   └── StorageLost        a storage that failed in the middle of a study
    └── RunError               a training that cannot go on
        ├── Diverged           the loss is no longer a finite number
        └── OutOfMemory        the device or the machine has no room
"""

import difflib
from collections.abc import Iterable


class TunewrightError(Exception):
    """Base of all: `came: expected ... (set in where). remedy`.

    came: what was found, in the user's words (`optim.lr = "fast"`).
    expected: what would have been right. where: file and line, override, or command.
    remedy: what to type or change.
    """

    def __init__(self, came: str, *, expected: str = "", where: str = "", remedy: str = "") -> None:
        self.came, self.expected, self.where, self.remedy = came, expected, where, remedy
        head = came + (f" (set in {where})" if where else "")
        text = f"{head}: expected {expected}." if expected else _sentence(head)
        super().__init__(f"{text} {remedy}".strip())


class UsageError(TunewrightError):
    """The command line itself is wrong; exit code 2."""


class ConfigError(TunewrightError):
    """A configuration key or value cannot be used; exit code 2."""


class SpaceError(TunewrightError):
    """A search space cannot be searched; exit code 2."""


class DataError(TunewrightError):
    """Data that is missing, broken or does not fit together; exit code 2."""


class NotWritten(DataError):
    """A file that the disk or the system refused to take; exit code 1."""


class StudyError(TunewrightError):
    """A study cannot be opened, locked or continued; exit code 2."""


class StorageLost(StudyError):
    """The storage of a study failed while it ran; nothing is lost; exit code 1."""


class RunError(TunewrightError):
    """A training cannot go on; the trial ends with this reason, the study does not."""


class Diverged(RunError):
    """The loss, or a similarity, is no longer a finite number."""


class OutOfMemory(RunError):
    """The device or the machine has no room for this configuration."""


def did_you_mean(name: str, known: Iterable[str], *, stem: str = "") -> str:
    """Return `Did you mean 'x'?` for the nearest of `known`, or an empty string.

    `name` itself is never suggested: it was typed and did not work. stem: the correct part
    before the name, such as `optim.`.
    """
    others = [other for other in known if other != name]
    near = difflib.get_close_matches(name, others, n=1, cutoff=0.6)
    return f"Did you mean {stem + near[0]!r}?" if near else ""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
