"""Compare names whose letters with accents are written as one character or as two.

macOS writes the file name `cafe\u0301` (decomposed, NFD), most tables `caf\u00e9` (composed,
NFC): both are the same text.
"""

from collections.abc import Iterable
from unicodedata import normalize

from tunewright.errors import quote


def to_nfc(name: str) -> str:
    """Return a name in its composed form, NFC."""
    return name if name.isascii() else normalize("NFC", name)


def by_form(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names by NFC; two names may share one."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(to_nfc(name), []).append(name)
    return found


def form_notices(folders: Iterable[str]) -> list[str]:
    """Return a notice on class folders that are one class, each letter by letter the same text."""
    twice = [name for name, written in by_form(set(folders)).items() if len(written) > 1]
    return [
        f"folders of the class {quote(name)} are written in two Unicode forms, with accents as "
        "part of a letter (NFC) and behind it (NFD): they count as one class"
        for name in sorted(twice)
    ]
