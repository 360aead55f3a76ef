"""Compare names whose letters with accents are written as one character or as two.

macOS writes the file name `cafe\u0301` (decomposed, NFD), most tables `caf\u00e9` (composed,
NFC): both are the same text.
"""

from collections.abc import Iterable
from unicodedata import normalize


def to_nfc(name: str) -> str:
    """Return a name in its composed form, NFC."""
    return name if name.isascii() else normalize("NFC", name)


def by_form(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names by NFC; two names may share one."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(to_nfc(name), []).append(name)
    return found
