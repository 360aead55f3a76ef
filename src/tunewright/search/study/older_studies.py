"""A study that an older version began goes on as it was begun, so that its scores compare."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunewright.config.apply import with_values
from tunewright.config.compose import Composition
from tunewright.config.schema import RunConfig
from tunewright.config.tree import get

WARMUP = ("schedule.warmup_steps", "schedule.warmup_epochs", "schedule.warmup_fraction")
"""What older versions shipped as a number of epochs, and ships as a share of the run now."""


def apply_older_rules(
    composed: Composition, begun_with: Mapping[str, Any], schema: type[RunConfig]
) -> Composition:
    """What an older version would have made of the same words.

    What its stages shipped outweighed what was typed, and the warm-up that it shipped was a
    number of epochs. begun_with: the flat configuration that the study's trials share.
    """
    values = {
        f"stages.{stage}.{path}": value
        for stage, shipped in composed.outweighed.items()
        for path, value in shipped.items()
    }
    users = {*composed.typed, *composed.written}
    if not users.intersection(WARMUP):
        values |= {path: begun_with[path] for path in WARMUP if path in begun_with}
    told = [f"{p} = {v}" for p, v in values.items() if get(composed.tree, p, ...) != v]
    if not told:
        return composed
    tree, config = with_values(composed.tree, values, schema)
    notice = f"an older version began this study, which goes on with {', '.join(told)} as before"
    return replace(
        composed,
        tree=tree,
        config=config,
        notices=(*composed.notices, notice),
        outweighed={},
    )
