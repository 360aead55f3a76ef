"""What is tried when a run had no room: smaller micro-batches, then no neighbours, then nothing.

The next rung is a function of the attempts that had no room, which lie in `memory.json` of the
run folder; `config.yaml` there has the micro-batches that are trained with, so that it repeats
the run. A resume goes on where the ladder stood, and from the last checkpoint.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunewright.config.tree import Tree, get, set_leaf
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome

ACCUMULATE = "training.accumulate"
MIN_ROWS = 8
"""Micro-batches are not made smaller than this; below it a step is all overhead."""
MOST_PARTS = 64
"""Nor are there more of them than this for each that was asked for."""


@dataclass(frozen=True)
class OomAttempt:
    """An attempt that ended for lack of memory. alone: nothing else was allowed beside it."""

    attempt: int
    accumulate: int
    alone: bool


@dataclass(frozen=True)
class RetryLevel:
    """How a run is taken up again. asked: the micro-batches of its configuration at first."""

    asked: int
    accumulate: int
    alone: bool

    @property
    def parts(self) -> float:
        """How many micro-batches stand for each that was asked for."""
        return self.accumulate / self.asked


def next_rung(
    asked: int, lacks: Sequence[OomAttempt], batch_size: int, *, splits: bool
) -> RetryLevel | None:
    """What is tried after these attempts, the last one last; None when nothing is left.

    Micro-batches are doubled, or more than doubled until they divide the batch evenly. splits:
    whether the run trains in micro-batches at all.
    """
    last = lacks[-1]
    most = min(batch_size // MIN_ROWS, asked * MOST_PARTS)
    finer = range(2 * last.accumulate, most + 1) if splits else range(0)
    for accumulate in finer:
        if batch_size % accumulate == 0:
            return RetryLevel(asked, accumulate, last.alone)
    return None if last.alone else RetryLevel(asked, last.accumulate, alone=True)


def rung_of(folder: RunFolder) -> RetryLevel | None:
    """The lowest rung that a run was tried on; None when it never lacked memory."""
    stored = _read_attempts(folder)
    return RetryLevel(**stored["rung"]) if stored and stored["rung"] else None


def next_retry(folder: RunFolder, outcome: Outcome, *, alone: bool) -> RetryLevel | None:
    """Prepare another attempt for a run that had no room; None when nothing is left to try.

    Called again for the same attempt, after a kill, it comes to the same. alone: whether that
    attempt had the machine for itself.
    """
    tree = folder.read_config()
    stored = _read_attempts(folder)
    accumulate = int(get(tree, ACCUMULATE))
    asked = int(stored["asked"]) if stored else accumulate
    lacks = [OomAttempt(**lack) for lack in stored["lacks"]] if stored else []
    if all(lack.attempt != outcome.attempt for lack in lacks):
        lacks.append(OomAttempt(outcome.attempt, accumulate, alone))
    batch_size = int(get(tree, "training.batch_size"))
    rung = next_rung(asked, lacks, batch_size, splits=_splits(tree))
    last = asdict(rung) if rung else stored and stored["rung"]
    write_json(
        folder.path / "memory.json",
        {"asked": asked, "lacks": [asdict(lack) for lack in lacks], "rung": last},
    )
    if rung is not None and rung.accumulate != accumulate:
        set_leaf(tree, ACCUMULATE, rung.accumulate)
        folder.write_config(tree, header=_header(rung, batch_size, len(lacks)))
    if rung is not None:
        folder.outcome.unlink(missing_ok=True)  # it has not ended, for whoever looks meanwhile
    return rung


def has_ended(folder: RunFolder, outcome: Outcome) -> bool:
    """Whether an outcome is the end of a run, and not a lack of memory that nobody has answered."""
    if outcome.cause != "out of memory":
        return True
    stored = _read_attempts(folder)
    return stored is not None and any(
        lack["attempt"] == outcome.attempt for lack in stored["lacks"]
    )


def as_asked(folder: RunFolder) -> Tree:
    """The configuration of a run before it lacked memory."""
    tree = folder.read_config()
    stored = _read_attempts(folder)
    if stored:
        set_leaf(tree, ACCUMULATE, stored["asked"])
    return tree


def in_words(rung: RetryLevel, before: RetryLevel | None, batch_size: int) -> str:
    """How it is taken up again, for people. before: the rung that it comes from."""
    if rung.accumulate == (before.accumulate if before else rung.asked):
        return "taken up again, alone"
    rows = batch_size // rung.accumulate
    return (
        f"taken up again in {rung.accumulate} micro-batches of {rows:,} rows, "
        f"which make the same batch of {batch_size:,}"
    )


def _read_attempts(folder: RunFolder) -> dict[str, Any] | None:
    try:
        return read_json(folder.path / "memory.json")
    except OSError:  # to be told of when something is written there
        return None


def _splits(tree: Tree) -> bool:
    """Whether the trainer trains it: what brings its own training knows no micro-batches."""
    recipe = find_recipe(str(tree["recipe"]))
    return bool(recipe.setup) and not recipe.run


def _header(rung: RetryLevel, batch_size: int, attempts: int) -> str:
    return (
        f"{attempts} attempt(s) had no room: {ACCUMULATE} is {rung.accumulate}, and was "
        f"{rung.asked}.\nThe batch is the same {batch_size:,} rows, in micro-batches of "
        f"{batch_size // rung.accumulate:,}."
    )
