"""What `repair` prints: what was wrong, what was done, and what nobody knows any more."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` starts without the engine
    from tunewright.search.repair import Repaired


def print_repaired(found: "Repaired", *, as_json: bool) -> None:
    """A line a fact, or the JSON."""
    if as_json:
        from tunewright.search.repair import as_json as plain

        print(json.dumps(plain(found), indent=2))
        return
    if found.rebuilt:
        print(f"the database was made anew from the run folders: {found.rebuilt}")
    else:
        print("the database is whole; it was compared with the run folders")
    if found.kept is not None:
        print(f"the old file is {found.kept}")
    if found.added and not found.rebuilt:
        print(f"added: trial {', '.join(map(str, found.added))}")
    for title, lines in (
        ("filled in", found.filled),
        ("differs, and was left alone", found.differing),
        ("could not be rebuilt", found.lost),
    ):
        for line in lines:
            print(f"{title}: {line}")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(found.by_state.items()))
    print(f"{sum(found.by_state.values())} trials: {counts or 'none'}")
    print("next: the same tune command resumes")
