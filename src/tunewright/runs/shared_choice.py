"""A choice that the runs of a study share: the first one decides, and the others follow.

If each trial chose for itself, trials in two precisions would be compared, and the winner would be
trained in a third.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.lease.lease import ContentLease

NAME, TURN = "chosen.json", "choosing"
DEPTH = 3
"""Largest depth of a run below its study: a seed's run of a trial."""


@dataclass
class SharedChoice:
    """The shared choice: the epochs of all the runs, and config paths with their values.

    values: empty until a run has decided. why: its reason, in words.
    """

    epochs: int
    values: Mapping[str, str]
    why: str = ""


def begin_sharing(place: Path, epochs: int) -> None:
    """Let the runs below `place` share a choice; an existing choice stays."""
    if not (place / NAME).exists():
        write_json(place / NAME, {"epochs": epochs, "values": {}, "why": ""})


def read_shared_choice(place: Path) -> SharedChoice | None:
    """Return the choice that the runs below `place` share so far; None where they share none."""
    stored = read_json(place / NAME)
    return (
        None if stored is None else SharedChoice(stored["epochs"], stored["values"], stored["why"])
    )


@contextmanager
def share_choice(run: RunFolder) -> Iterator[SharedChoice | None]:
    """Yield the choice that `run` shares, stored when the block ends; None where it shares none.

    Until a choice is made other runs wait, so that one decides for all and its benchmark is
    undisturbed.
    """
    place = next((p for p in run.path.absolute().parents[:DEPTH] if (p / NAME).exists()), None)
    known = None if place is None else read_shared_choice(place)
    if place is None or known is None or known.values:
        yield known
        return
    turn = ContentLease(place / TURN, f"the choice of {place}", waits=True)
    try:
        known = read_shared_choice(place)
        assert known is not None
        before = dict(known.values)
        yield known
        if known.values != before:
            write_json(
                place / NAME, {"epochs": known.epochs, "values": known.values, "why": known.why}
            )
    finally:
        turn.release()
