"""Notices about the lengths of a study's stages and their warm-up, relative to what was typed."""

from collections.abc import Iterator, Mapping

from tunewright.config.compose import Composition
from tunewright.config.overrides import quote_override
from tunewright.config.schema import RunConfig
from tunewright.config.sources import Source, source_of
from tunewright.config.tree import get
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.scheduled_values import describe

EPOCHS = "training.epochs"
STAGES = {"explore": "the trials of the search", "final": "the final training"}


def outweighed_notices(composed: Composition) -> Iterator[str]:
    """Yield a notice for each typed value that overrides the one a stage ships."""
    for stage, shipped in composed.outweighed.items():
        for path, value in shipped.items():
            now = get(composed.tree, path)
            if now != value:
                typed, replaced = quote_override(now), quote_override(value)
                yield (
                    f"{path} = {typed} ({source_of(composed.sources, path)}) also applies to "
                    f"{STAGES[stage]}, in place of their default {replaced}; "
                    f"stages.{stage}.{path}={replaced} restores that"
                )


def short_final_notices(
    composed: Composition, explore: RunConfig, final: RunConfig
) -> Iterator[str]:
    """Yield a notice when the winner is trained for fewer epochs than it was searched with."""
    searched, trained = explore.training.epochs, final.training.epochs
    if explore.study.trains_winner and trained < searched:
        yield (
            f"the final training is shorter than the trials of the search: {trained} epochs "
            f"({_epochs_from(composed, 'final')}) against {searched} "
            f"({_epochs_from(composed, 'explore')}), so its score may be lower"
        )


def long_warmup_notices(
    config: RunConfig, sources: Mapping[str, Source], run: str
) -> Iterator[str]:
    """Yield a notice when a run is mostly warm-up. run: its name in the notice."""
    schedule, epochs = config.schedule, config.training.epochs
    if schedule.warmup_steps is not None:
        return  # steps per epoch are known only once the data are open
    key, warmup = "schedule.warmup_epochs", schedule.warmup_epochs
    if warmup is None:
        key, warmup = "schedule.warmup_fraction", schedule.warmup_fraction * epochs
    if warmup > epochs / 2:
        end = "" if warmup < epochs else ", which never ends"
        yield (
            f"{min(warmup, epochs):g} of the {epochs} epochs of {run} are warm-up of the learning "
            f"rate ({key} = {getattr(schedule, key.partition('.')[2]):g}, "
            f"{source_of(sources, key)}){end}"
        )


def plan_lines(recipe: Recipe, config: RunConfig) -> list[str]:
    """Return a line on each value that follows the clock, where there is more than the rate."""
    own = [value for value in recipe.schedules(config) if value.in_use]
    if not own:
        return []
    epochs = config.training.epochs
    values = [value for value in recipe.scheduled_values(config) if value.in_use]
    return [f"plan: {describe(value, epochs)}" for value in values]


def _epochs_from(composed: Composition, stage: str) -> Source:
    of_stage = f"stages.{stage}.{EPOCHS}"
    found = get(composed.tree, of_stage) is not None
    return source_of(composed.sources, of_stage if found else EPOCHS)
