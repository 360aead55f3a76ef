"""Journal files of Optuna, read without a lock: each line is one change of a storage.

A journal may be written to while it is read: it is read once, up to its last whole line.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from tunewright.errors import StudyError
from tunewright.runs.documents import parse_json

SCHEME = "journal:"
"""What is written before the path of a journal in place of a database URL."""
OPERATION = "op_code"
"""Key of every line."""


def is_journal(file: Path) -> bool:
    """Return whether a file begins as a journal does."""
    try:
        with file.open("rb") as stream:
            first = stream.readline(1 << 20)
        return OPERATION in parse_json(first.decode(), finite=False)
    except (OSError, ValueError, TypeError):
        return False


def journal_url(file: Path) -> str:
    """Return the URL of a journal file, which only this module understands."""
    return f"{SCHEME}//{file}"


def journal_file(url: str) -> Path | None:
    """Return the file of `journal:PATH` or `journal://PATH`; None for another storage."""
    if not url.startswith(SCHEME):
        return None
    path = url.removeprefix(SCHEME)
    return Path(path.removeprefix("//")).expanduser()


def open_journal(file: Path) -> JournalStorage:
    """Return the storage of a journal as it stands now; nothing is written, not even a lock.

    A last line that is not whole is left out: it is being written, or a kill cut it off. Raises
    StudyError for a file that cannot be read, or that is damaged before its end.
    """
    changes = _read_lines(file)
    try:
        return JournalStorage(_Snapshot(changes))
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise StudyError(
            f"{file} cannot be replayed ({type(error).__name__}: {error})",
            expected="a journal that Optuna wrote from its beginning on",
        ) from None


def _read_lines(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise StudyError(
            f"{file} cannot be read ({error.strerror})", expected="a journal of Optuna"
        ) from None
    *whole, _unfinished = lines
    found: list[dict[str, Any]] = []
    for number, line in enumerate(whole, start=1):
        try:
            change = parse_json(line.decode(), finite=False)
            if OPERATION not in change:
                raise ValueError
        except (ValueError, TypeError):
            if number == len(whole):
                break
            raise StudyError(
                f"line {number} of {file} is damaged",
                expected="a journal of Optuna, one JSON object a line",
                remedy=f"A copy of its first {number - 1} lines can be read: "
                f"head -n {number - 1} FILE > COPY.",
            ) from None
        found.append(change)
    return found


class _Snapshot(BaseJournalBackend):
    """The changes that a journal held when it was read."""

    def __init__(self, changes: Sequence[dict[str, Any]]) -> None:
        self._changes = changes

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the changes from a number on."""
        return self._changes[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refuse to write."""
        raise StudyError(
            "a journal file is only read here",
            expected="a database, such as sqlite:///study.db, for what is written",
        )
