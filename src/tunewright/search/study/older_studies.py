"""Resume a study of an older version by its old rules, so that its scores compare."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunewright.config.apply import with_values
from tunewright.config.compose import Composition
from tunewright.config.schema import RunConfig
from tunewright.config.study_schema import AshaConfig
from tunewright.config.tree import get

WARMUP = ("schedule.warmup_steps", "schedule.warmup_epochs", "schedule.warmup_fraction")
"""Warm-up settings that older versions shipped in epochs; today they are a share of the run."""
OLDER_PRUNER = AshaConfig(min_resource=2)
"""The default pruner of older versions; today its first rung follows the data."""


def apply_older_rules(
    composed: Composition, begun_with: Mapping[str, Any], schema: type[RunConfig]
) -> Composition:
    """Return what an older version would have made of the same arguments.

    The values of its stages overrode typed ones, and its default warm-up was a number of epochs.
    begun_with: the flat configuration that the study's trials share.
    """
    values = {
        f"stages.{stage}.{path}": value
        for stage, shipped in composed.outweighed.items()
        for path, value in shipped.items()
    }
    users = {*composed.typed, *composed.written}
    if not users.intersection(WARMUP):
        values |= {path: begun_with[path] for path in WARMUP if path in begun_with}
    changes = [f"{p} = {v}" for p, v in values.items() if get(composed.tree, p, ...) != v]
    if not changes:
        return composed
    tree, config = with_values(composed.tree, values, schema)
    notice = f"an older version began this study; keeping its settings: {', '.join(changes)}"
    return replace(
        composed,
        tree=tree,
        config=config,
        notices=(*composed.notices, notice),
        outweighed={},
    )
