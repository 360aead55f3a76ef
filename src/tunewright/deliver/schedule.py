"""`tunewright schedule`: what follows the clock of a training, as a table and drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.config.compose import Composition
from tunewright.errors import ConfigError
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.scheduled_values import ScheduledValue, by_epoch, describe, key_epochs
from tunewright.report.picture_files import PAGE, PICTURES, check_output
from tunewright.report.schedules import ScheduleCurve, SchedulePanel, write_schedules
from tunewright.result import Result


@dataclass(frozen=True)
class ScheduleTable(Result):
    """The learning rate, and what else follows the clock, at the key epochs of a run.

    key_epochs: numbers of epochs that are done. values: by name, one for each of them; kinds: how
    each is scheduled. comparison: by name, the same under other kinds. plan: a line on each value.
    files: figures that were written.
    """

    recipe: str
    epochs: int
    key_epochs: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    kinds: Mapping[str, str]
    comparison: Mapping[str, Mapping[str, tuple[float, ...]]]
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
    shown = key_epochs([*curves.values(), *(one for of in others.values() for one in of.values())])
    title = f"{recipe.name}, {epochs} epochs"
    return ScheduleTable(
        recipe.name,
        epochs,
        tuple(shown),
        {name: _at(curve, shown) for name, curve in curves.items()},
        {value.name: value.kind for value in used},
        {name: {kind: _at(one, shown) for kind, one in of.items()} for name, of in others.items()},
        tuple(describe(value, epochs) for value in used),
        composed.notices,
        _write(values, curves, others, _files(recipe, others, output, runs), title),
    )


def _at(curve: Sequence[float], epochs: Sequence[int]) -> tuple[float, ...]:
    return tuple(curve[epoch] for epoch in epochs)


def _files(
    recipe: Recipe, compared: Mapping[str, object], output: Path | None, runs: Path
) -> dict[Path, tuple[str, ...]]:
    """Return the files to write, and the values whose strategies each compares."""
    if output is not None:
        return {output: tuple(compared)}
    folder = runs / f"schedule-{recipe.name}"
    drawn = {"schedule": ()} | {f"{name}_strategies_comparison": (name,) for name in compared}
    return {
        folder / f"{stem}{suffix}": names
        for stem, names in drawn.items()
        for suffix in (PICTURES[0], PAGE)
    }


def _write(
    values: Sequence[ScheduledValue],
    curves: Mapping[str, Sequence[float]],
    others: Mapping[str, Mapping[str, Sequence[float]]],
    files: Mapping[Path, tuple[str, ...]],
    title: str,
) -> tuple[Path, ...]:
    own = {name: ScheduleCurve(name, tuple(curve)) for name, curve in curves.items()}
    kinds = {value.name: value.kind for value in values if value.in_use}
    compared = {
        name: tuple(
            ScheduleCurve(kind, tuple(curve), is_own=kind == kinds.get(name))
            for kind, curve in sorted(of.items(), key=lambda item: item[0] != kinds.get(name))
        )
        for name, of in others.items()
    }
    everything = len(files) == 1
    for file, names in files.items():
        shown = {**own, **compared} if everything else own
        panels = [
            SchedulePanel(name, compared[name] if name in names else (own[name],))
            for name in (names if names and not everything else shown)
        ]
        write_schedules(panels, file, title=title)
    return tuple(files)
