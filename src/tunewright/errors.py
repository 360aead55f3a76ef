"""The errors that Tunewright raises on purpose, and suggestions for misspelt names.

::

    TunewrightError            what came, what was expected, where it was set, what to do
    ├── UsageError             the command line itself is wrong
    ├── ConfigError            a configuration key or value
    ├── SpaceError             a search space
    ├── DataError              files, rows, columns, values
    │   └── NotWritten         a file that could not be written
    ├── StudyError             storage, locks, names of studies
    │   ├── StorageLost        a storage that failed in the middle of a study
    │   ├── LeaseHeld          a folder or a study that another process uses
    │   └── LeaseLost          a study that another coordinator has taken over
    └── RunError               a training that cannot continue
        ├── Diverged           the loss is no longer a finite number
        ├── TaskWeightsCollapsed  one task has all of the weight
        └── OutOfMemory        the device or the machine is out of memory
"""

import difflib
import re
from collections.abc import Iterable

QUOTED = 200
"""Characters of a wrong value that a message quotes at most."""
SWITCH_WORDS = ("on", "off", "yes", "no", "true", "false")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that steer a terminal or turn the direction of text, and halves of characters."""


class TunewrightError(Exception):
    """Base class; the message reads `came (set in where): expected ... . remedy`.

    came: what was found, as the user wrote it (`optim.lr = "fast"`).
    expected: what would be valid. where: the file and line, override or command that set it.
    remedy: what to type or change.
    """

    def __init__(self, came: str, *, expected: str = "", where: str = "", remedy: str = "") -> None:
        self.came, self.expected, self.where, self.remedy = came, expected, where, remedy
        head = came + (f" (set in {where})" if where else "")
        text = f"{head}: expected {expected}." if expected else _sentence(head)
        super().__init__(printable(f"{text} {remedy}".strip()))


class UsageError(TunewrightError):
    """The command line itself is wrong; exit code 2."""


class ConfigError(TunewrightError):
    """A configuration key or value cannot be used; exit code 2."""


class SpaceError(TunewrightError):
    """A search space cannot be searched; exit code 2."""


class DataError(TunewrightError):
    """Data is missing, broken or inconsistent; exit code 2."""


class NotWritten(DataError):
    """A file could not be written, because of the disk or permissions; exit code 1."""


class StudyError(TunewrightError):
    """A study cannot be opened, locked or continued; exit code 2."""


class StorageLost(StudyError):
    """The storage of a study failed while the study ran; nothing is lost; exit code 1."""


class LeaseHeld(StudyError):
    """A folder or a study is in use by another process; exit code 2."""


class LeaseLost(StudyError):
    """Another coordinator took over while this one was silent; exit code 1."""


class RunError(TunewrightError):
    """A training cannot continue; its trial fails with this reason, the study continues."""


class Diverged(RunError):
    """The loss, or a similarity, is no longer a finite number."""


class TaskWeightsCollapsed(RunError):
    """One of the tasks that are trained together has all of the weight."""


class OutOfMemory(RunError):
    """The device or the machine has not enough memory for this configuration."""


def printable(text: str) -> str:
    """Return a text for the terminal: control characters are escaped, except line ends and tabs.

    Names and stored reasons come from strangers' files, and could clear the screen or hide a line.
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def quote(value: object) -> str:
    """Return a wrong value as a message quotes it: its `repr`, cut to 200 characters."""
    return shorten(repr(value))


def shorten(text: str, most: int = QUOTED) -> str:
    """Return a text cut to `most` characters, with an ellipsis where something is left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def did_you_mean(name: str, known: Iterable[str], *, stem: str = "") -> str:
    """Return `Did you mean 'x'?` for the nearest of `known`, or an empty string.

    `name` itself is never suggested: it was typed and did not work. stem: the correct part
    before the name, such as `optim.`.
    """
    near = nearest_name(name, known)
    return f"Did you mean {stem + near!r}?" if near else ""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the nearest of `known` but `name` itself; empty where none is near.

    A word that switches is no misspelling: `on` must not lead to `none`.
    """
    others = [other for other in known if other != name]
    if name.lower() in SWITCH_WORDS:
        return ""
    return next(iter(difflib.get_close_matches(name, others, n=1, cutoff=0.6)), "")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
