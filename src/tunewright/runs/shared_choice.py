"""What the runs of a study choose together: the first one decides, and the others do as it did.

Trials that each chose for themselves would be compared in two precisions, and the winner would be
trained in a third.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder

NAME, LOCK = "chosen.json", "chosen.lock"
DEPTH = 3
"""A seed's run of a trial lies so deep in its study."""


@dataclass
class SharedChoice:
    """What is shared: the epochs of all the runs, and config paths with their values.

    values: empty until a run has decided; why: in its words.
    """

    epochs: int
    values: Mapping[str, str]
    why: str = ""


def begin_sharing(place: Path, epochs: int) -> None:
    """Have the runs below `place` choose together; one that has chosen already still stands."""
    if not (place / NAME).exists():
        write_json(place / NAME, {"epochs": epochs, "values": {}, "why": ""})


def read_shared_choice(place: Path) -> SharedChoice | None:
    """What the runs below `place` have agreed on so far; None where each is by itself."""
    stored = read_json(place / NAME)
    return (
        None if stored is None else SharedChoice(stored["epochs"], stored["values"], stored["why"])
    )


@contextmanager
def share_choice(run: RunFolder) -> Iterator[SharedChoice | None]:
    """What `run` shares with others, stored when the block ends; None where it is by itself.

    While nothing is chosen others wait, so that one decides for all and nobody slows its clock.
    """
    place = next((p for p in run.path.absolute().parents[:DEPTH] if (p / NAME).exists()), None)
    known = None if place is None else read_shared_choice(place)
    if place is None or known is None or known.values:
        yield known
        return
    with (place / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read_shared_choice(place)
        assert known is not None
        before = dict(known.values)
        yield known
        if known.values != before:
            write_json(
                place / NAME, {"epochs": known.epochs, "values": known.values, "why": known.why}
            )
