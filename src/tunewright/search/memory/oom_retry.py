"""Retries after out of memory: smaller micro-batches, then no other trials, then failure.

The next retry level follows from the attempts that ran out of memory, which `memory.json` of the
run folder lists. `config.yaml` there holds the micro-batches that are used, so that it repeats the
run. A resume continues at the current level, from the last checkpoint.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunewright.config.check import validate
from tunewright.config.tree import Tree, get, set_leaf
from tunewright.errors import DataError, TunewrightError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome

ACCUMULATE = "training.accumulate"
MIN_ROWS = 8
"""Smallest micro-batch, in rows; below this a step is all overhead."""
MOST_PARTS = 64
"""Largest factor by which the number of micro-batches is increased."""


@dataclass(frozen=True)
class OomAttempt:
    """An attempt that ran out of memory. alone: whether no other trial was running."""

    attempt: int
    accumulate: int
    alone: bool


@dataclass(frozen=True)
class RetryLevel:
    """How a run is retried. asked: the micro-batches that its configuration asked for."""

    asked: int
    accumulate: int
    alone: bool

    @property
    def parts(self) -> float:
        """The factor by which the number of micro-batches is increased."""
        return self.accumulate / self.asked


def next_level(
    asked: int,
    lacks: Sequence[OomAttempt],
    batch_size: int,
    *,
    splits: bool,
    rows: float = math.inf,
) -> RetryLevel | None:
    """Return the next retry level after these attempts, in order; None when nothing is left.

    Micro-batches are doubled, or more than doubled until they divide the batch evenly. splits:
    whether the run trains in micro-batches at all. rows: of the training set, where it is smaller
    than a batch: none gets fewer than `MIN_ROWS`, which batch norm needs two of.
    """
    last = lacks[-1]
    finer = _finer(last.accumulate, batch_size, rows) if splits else None
    if finer is not None and finer <= asked * MOST_PARTS:
        return RetryLevel(asked, finer, last.alone)
    return None if last.alone else RetryLevel(asked, last.accumulate, alone=True)


def retry_level_of(folder: RunFolder) -> RetryLevel | None:
    """Return the current retry level of a run; None when it never ran out of memory."""
    stored = _read_attempts(folder)
    return RetryLevel(**stored["rung"]) if stored and stored["rung"] else None


def next_retry(folder: RunFolder, outcome: Outcome, *, alone: bool) -> RetryLevel | None:
    """Prepare another attempt after an out of memory; return None when nothing is left to try.

    Called again for the same attempt, after a kill, it returns the same. alone: whether that
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
    level = next_level(asked, lacks, batch_size, splits=_splits(tree), rows=_rows(tree))
    last = asdict(level) if level else stored and stored["rung"]
    write_json(
        folder.path / "memory.json",
        {"asked": asked, "lacks": [asdict(lack) for lack in lacks], "rung": last},
    )
    if level is not None and level.accumulate != accumulate:
        set_leaf(tree, ACCUMULATE, level.accumulate)
        folder.write_config(tree, header=_header(level, batch_size, len(lacks)))
    if level is not None:
        folder.outcome.unlink(missing_ok=True)  # so that readers see it as running
    return level


def why_not_split(folder: RunFolder) -> list[str]:
    """Return why a run gets no smaller micro-batches, where only its training set is too small."""
    tree = folder.read_config()
    accumulate, batch_size = int(get(tree, ACCUMULATE)), int(get(tree, "training.batch_size"))
    rows = _rows(tree)
    if not _splits(tree) or rows >= batch_size or not _finer(accumulate, batch_size, batch_size):
        return []
    if _finer(accumulate, batch_size, rows):
        return []
    return [
        f"smaller micro-batches are not tried: with {rows:,.0f} rows in the training set the last "
        "of an epoch could get a single one, and batch norm needs at least 2"
    ]


def has_ended(folder: RunFolder, outcome: Outcome) -> bool:
    """Return whether an outcome ends a run, and is not an out of memory still to be retried."""
    if outcome.cause != "out of memory":
        return True
    stored = _read_attempts(folder)
    return stored is not None and any(
        lack["attempt"] == outcome.attempt for lack in stored["lacks"]
    )


def original_config(folder: RunFolder) -> Tree:
    """Return the configuration of a run as it was before any retry."""
    tree = folder.read_config()
    stored = _read_attempts(folder)
    if stored:
        set_leaf(tree, ACCUMULATE, stored["asked"])
    return tree


def describe_retry(level: RetryLevel, before: RetryLevel | None, batch_size: int) -> str:
    """Describe a retry in words. before: the previous retry level."""
    if level.accumulate == (before.accumulate if before else level.asked):
        return "retrying with no other trials running"
    rows = batch_size // level.accumulate
    return (
        f"retrying with {level.accumulate} micro-batches of {rows:,} rows (the batch "
        f"stays {batch_size:,})"
    )


def _read_attempts(folder: RunFolder) -> dict[str, Any] | None:
    """Return the attempts that ran out of memory; None where there are none, or none are told."""
    try:
        stored = read_json(folder.path / "memory.json")
        if stored is None:
            return None
        lacks = [asdict(OomAttempt(**lack)) for lack in stored["lacks"]]
        rung = asdict(RetryLevel(**stored["rung"])) if stored["rung"] else None
        return {"asked": int(stored["asked"]), "lacks": lacks, "rung": rung}
    except (DataError, LookupError, TypeError, ValueError):  # told when something is written there
        return None


def _finer(accumulate: int, batch_size: int, rows: float) -> int | None:
    """Return the next larger number of micro-batches of `MIN_ROWS` rows or more; None if none."""
    most = int(min(batch_size, rows) // MIN_ROWS)
    return next((n for n in range(2 * accumulate, most + 1) if batch_size % n == 0), None)


def _splits(tree: Tree) -> bool:
    """Return whether our trainer runs it; a function that brings its own has no micro-batches."""
    return find_recipe(str(tree["recipe"])).uses_trainer


def _rows(tree: Tree) -> float:
    """Return the rows of the training set, as far as the recipe tells them."""
    recipe = find_recipe(str(tree["recipe"]))
    try:
        return recipe.data_facts(validate(tree, recipe.config)).get("rows") or math.inf
    except (TunewrightError, OSError):  # the attempt that follows tells of it
        return math.inf


def _header(level: RetryLevel, batch_size: int, attempts: int) -> str:
    return (
        f"{attempts} attempt(s) ran out of memory: {ACCUMULATE} is now "
        f"{level.accumulate} (was {level.asked}).\nThe batch is still {batch_size:,} "
        f"rows, in micro-batches of {batch_size // level.accumulate:,}."
    )
