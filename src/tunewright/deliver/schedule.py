"""`tunewright schedule`: what follows the clock of a training, as a table and drawn."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.config.compose import Composition
from tunewright.errors import ConfigError
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.scheduled_values import ScheduledValue, by_epoch, describe, key_epochs
from tunewright.reports.picture_files import PAGE, PICTURES, check_output
from tunewright.reports.schedules import ScheduleCurve, SchedulePanel, write_schedules
from tunewright.result import Result
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress

RECORDED = "in the run"
"""The axis of metrics that a run has reported."""


@dataclass(frozen=True)
class ScheduleTable(Result):
    """The learning rate, and what else follows the clock, at the key epochs of a run.

    key_epochs: numbers of epochs that are done. values: by name, one for each of them; kinds: how
    each is scheduled. comparison: by name, the same under other kinds. recorded: of a run, metrics
    that belong beside them, in the epoch that ended then; None where there is none. plan: a line on
    each value. files: figures that were written.
    """

    recipe: str
    epochs: int
    key_epochs: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    kinds: Mapping[str, str]
    comparison: Mapping[str, Mapping[str, tuple[float, ...]]]
    recorded: Mapping[str, tuple[float | None, ...]]
    plan: tuple[str, ...]
    notices: tuple[str, ...]
    files: tuple[Path, ...]


def schedule(
    recipe: Recipe,
    composed: Composition,
    *,
    output: Path | None = None,
    runs: Path = Path("runs"),
) -> ScheduleTable:
    """Compute what follows the clock in a training of `composed`; nothing is trained.

    A configuration that lies in the folder of a run brings what the run has reported so far.

    output: the one file to draw, PNG, SVG, PDF or HTML. Without it `schedule.png` and
    `schedule.html` are written to `runs/schedule-<recipe>`, and `<name>_strategies_comparison.png`
    and `.html` for a value that has other kinds to compare with.

    Raises UsageError for another kind of file, ConfigError for a recipe that does not use the
    trainer, and for a schedule that does not fit the length of the run.
    """
    if output is not None:
        check_output(output)
    if not recipe.uses_trainer:
        raise ConfigError(
            f"the recipe {recipe.name} brings its own training",
            expected="a recipe with a learning-rate schedule",
        )
    epochs = composed.config.training.epochs
    values = recipe.scheduled_values(composed.config)
    used = [value for value in values if value.in_use]
    curves = {value.name: by_epoch(value.at, epochs) for value in used}
    others = {
        value.name: {name: by_epoch(at, epochs) for name, at in value.alternatives.items()}
        for value in values
        if value.alternatives
    }
    recorded = _recorded(values, composed, epochs)
    shown = key_epochs([*curves.values(), *(one for of in others.values() for one in of.values())])
    title = f"{recipe.name}, {epochs} epochs"
    files = _files(values, output, runs / f"schedule-{recipe.name}")
    return ScheduleTable(
        recipe.name,
        epochs,
        tuple(shown),
        {name: _at(curve, shown) for name, curve in curves.items()},
        {value.name: value.kind for value in used},
        {name: {kind: _at(one, shown) for kind, one in of.items()} for name, of in others.items()},
        {name: tuple(known.get(epoch) for epoch in shown) for name, known in recorded.items()},
        tuple(describe(value, epochs) for value in used),
        composed.notices,
        _write(_panels(values, curves, others, recorded), files, title),
    )


def _recorded(
    values: Sequence[ScheduledValue], composed: Composition, epochs: int
) -> dict[str, dict[int, float]]:
    """Return the metrics of a run that belong beside the values: by name, then by epoch."""
    beginnings = tuple(name for value in values if value.in_use for name in value.recorded)
    files = {source.file for source in composed.sources.values() if source.file is not None}
    folders = [RunFolder(file.parent) for file in files if file == RunFolder(file.parent).config]
    found: dict[str, dict[int, float]] = {}
    for folder in folders:
        for report in read_progress(folder.progress):
            for name, metric in report.metrics.items():
                if beginnings and name.startswith(beginnings) and report.step <= epochs:
                    found.setdefault(name, {})[report.step] = metric
    return found


def _at(curve: Sequence[float], epochs: Sequence[int]) -> tuple[float, ...]:
    return tuple(curve[epoch] for epoch in epochs)


def _files(
    values: Sequence[ScheduledValue], output: Path | None, folder: Path
) -> dict[Path, Collection[str]]:
    """Return the files to draw, each with the values that are left out of it."""
    if output is not None:
        return {output: ()}
    names = [value.name for value in values]
    drawn = {"schedule": {value.name for value in values if not value.in_use}}
    for value in values:
        if value.alternatives:
            drawn[f"{value.name}_strategies_comparison"] = {*names, RECORDED} - {value.name}
    return {
        folder / f"{stem}{suffix}": left_out
        for stem, left_out in drawn.items()
        for suffix in (PICTURES[0], PAGE)
    }


def _panels(
    values: Sequence[ScheduledValue],
    curves: Mapping[str, Sequence[float]],
    others: Mapping[str, Mapping[str, Sequence[float]]],
    recorded: Mapping[str, Mapping[int, float]],
) -> dict[str, SchedulePanel]:
    """Return the panels by name: one for each value, and one for the metrics of a run."""
    found: dict[str, SchedulePanel] = {}
    for value in values:
        own = value.kind if value.in_use else ""
        compared = others.get(value.name) or {own: curves[value.name]}
        in_front = sorted(compared.items(), key=lambda item: item[0] != own)
        found[value.name] = SchedulePanel(
            value.name,
            tuple(ScheduleCurve(kind, tuple(curve), kind == own) for kind, curve in in_front),
        )
    weights = {name: known for name, known in recorded.items() if name not in found}
    if weights:
        length = 1 + max(max(known) for known in weights.values())
        found[RECORDED] = SchedulePanel(
            RECORDED,
            tuple(
                ScheduleCurve(name, tuple(known.get(at, math.nan) for at in range(length)))
                for name, known in weights.items()
            ),
        )
    return found


def _write(
    panels: Mapping[str, SchedulePanel], files: Mapping[Path, Collection[str]], title: str
) -> tuple[Path, ...]:
    for file, left_out in files.items():
        shown = [panel for name, panel in panels.items() if name not in left_out]
        write_schedules(shown, file, title=title)
    return tuple(files)
