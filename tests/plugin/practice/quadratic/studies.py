"""Studies of `quadratic`, begun as a notebook would begin them."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.config.compose import compose
from tunewright.recipes.registry import find_recipe
from tunewright.runs.record import Cause, Trial, TrialState
from tunewright.search.callbacks import StudyCallback
from tunewright.search.stages import TuneResult, tune
from tunewright.spaces.read import SpaceFile, parse_space

FAST = ("executor.type=inline", "study.name=study", "study.final=false")


def tuned(
    runs: Path,
    *overrides: str,
    space: Mapping[str, Any] | None = None,
    watch: StudyCallback | None = None,
) -> TuneResult:
    """A study called `study`, in this process unless overridden, without the final training."""
    recipe = find_recipe("quadratic")
    given: SpaceFile | None = None
    if space is not None:
        given = parse_space(dict(space), Path("space.yaml"), recipe.dialect.aliases)
    chosen = {line.partition("=")[0]: line for line in (*FAST, *overrides)}
    return tune(recipe, compose(recipe, list(chosen.values())), given=given, runs=runs, watch=watch)


def ended(
    number: int,
    state: TrialState,
    score: float | None = None,
    cause: Cause = "",
    reason: str = "",
    **rest: Any,
) -> Trial:
    """What a study is told of a trial; only one that is done has a score."""
    scored = score if state == "done" or cause == "constraint" else None
    return Trial(number, state, {}, scored, {}, cause, reason, **rest)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    """What plain SQL says of a study."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
