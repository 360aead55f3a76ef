"""`tunewright augment`: a contact sheet of training pictures and their augmented versions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.config.apply import set_in
from tunewright.config.check import validate
from tunewright.config.compose import Composition
from tunewright.config.tree import Tree
from tunewright.deliver.find_run import output_file
from tunewright.errors import ConfigError, DataError, UsageError, did_you_mean
from tunewright.executors.resources import threads_each
from tunewright.executors.subprocess_call import call
from tunewright.images.augment.config import LEVELS, AugmentationLevel
from tunewright.images.dataset.datasets import ImageSets
from tunewright.images.image_table import ImageTable
from tunewright.recipes.capabilities import find_capability
from tunewright.recipes.recipe import Recipe, import_object
from tunewright.recipes.registry import find_recipe
from tunewright.result import Result

if TYPE_CHECKING:
    from tunewright.images.augment.contact_sheet import Column
    from tunewright.images.loading.square import SquareInput

PICTURES = 8
"""Number of pictures, one per row of the sheet."""
DRAWS_OF_ONE, DRAWS_OF_EACH = 6, 2
"""Augmented versions of a picture: for a single level, and for each of several levels."""


@dataclass(frozen=True)
class ContactSheetReport(Result):
    """A sheet of training pictures beside their augmented versions.

    levels: its columns. pictures: the ids of its rows. size: of a picture, in pixels.
    """

    recipe: str
    file: Path
    levels: tuple[str, ...]
    pictures: tuple[str, ...]
    size: int
    notices: tuple[str, ...]


def augment(
    recipe: Recipe,
    composed: Composition,
    *,
    level: str | None = None,
    output: Path | None = None,
    runs: Path = Path("runs"),
) -> ContactSheetReport:
    """Draw training pictures, one of each class as far as they go, and random variations of each.

    level: the one to show, with whatever else the configuration says of the augmentation; None
    shows all levels side by side, and what the configured mixing would add. output: a PNG file;
    None is `runs/augment-<recipe>/<level>.png`. Raises UsageError for an unknown level,
    ConfigError for a recipe without pictures, DataError for pictures that cannot be read.
    """
    find_capability(recipe, "pictures")
    if level is not None:
        level = level.replace("-", "_")
        if level not in LEVELS:
            raise UsageError(
                f"--level {level}",
                expected=f"one of {', '.join(LEVELS)}",
                remedy=did_you_mean(level, LEVELS),
            )
    config = composed.config
    usual = runs / f"augment-{recipe.name}" / f"{level or 'levels'}.png"
    file = usual if output is None else output_file(output)
    arguments = (recipe.name, composed.tree, level, file)
    drawn: ContactSheetReport
    if config.executor.type == "inline":
        drawn = _draw_sheet(*arguments)
    else:
        drawn = call(_draw_sheet, *arguments, threads=threads_each(config.executor))
    return replace(drawn, notices=(*composed.notices, *drawn.notices))


def _draw_sheet(name: str, tree: Tree, level: str | None, file: Path) -> ContactSheetReport:
    """Write the sheet; imports torch in the process that calls it."""
    import torch

    from tunewright.classification.models.image_classifier import input_size
    from tunewright.images.augment.contact_sheet import contact_sheet, legible, write_contact_sheet
    from tunewright.images.loading.square import SquareInput

    recipe = find_recipe(name)
    config: Any = validate(tree, recipe.config)
    sets: ImageSets = import_object(find_capability(recipe, "pictures"))(config)
    size = input_size(config.model, config.data.image_size)
    rows, images = _pictures(
        sets, SquareInput(size, config.data.resize), config.seed, skip_bad=config.data.skip_bad
    )
    table, (columns, contradictions) = sets.train, _columns(config, level)
    sheet = contact_sheet(
        torch.from_numpy(images),
        [_title(table, row, legible) for row in rows],
        columns,
        title=f"{name}: {len(rows)} of {len(table):,} training pictures, at {size} px",
        seed=config.seed,
    )
    write_contact_sheet(sheet, file)
    return ContactSheetReport(
        name,
        file,
        levels=tuple(column.name for column in columns),
        pictures=tuple(table.ids[row] for row in rows),
        size=size,
        notices=(*sets.notices, *contradictions),
    )


def _pictures(
    sets: ImageSets, square: "SquareInput", seed: int, *, skip_bad: bool
) -> tuple[Sequence[int], "np.ndarray[Any, np.dtype[np.uint8]]"]:
    """Return rows of the training table, largest classes first, and their pixels [N, H, W, 3]."""
    from tunewright.images.loading.square import as_uint8
    from tunewright.images.sources.reader import PictureReader

    table, draw = sets.train, np.random.default_rng(seed)
    reader, shown = PictureReader(), []
    try:
        for row in _rows_by_class(_main_labels(table), draw):
            try:
                shown.append((row, as_uint8(reader.picture(table.places[row]), *square)))
            except DataError:
                if not skip_bad:
                    raise
            if len(shown) == PICTURES:
                break
    finally:
        reader.close()
    if not shown:
        raise DataError(f"no picture of {table.origin} can be read")
    return [row for row, _ in shown], np.stack([pixels for _, pixels in shown])


def _title(table: ImageTable, row: int, legible: Callable[[str], bool]) -> str:
    """Return the labels of a picture, in letters that the sheet can draw."""
    name = table.label_names(row)
    if legible(name):
        return name
    return f"class {table.classes[_main_labels(table)[row]]}"


def _main_labels(table: ImageTable) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return the label of each picture, of several the rarest; -1 for a picture without any."""
    if table.targets is None:
        return table.labels
    order = np.argsort(table.counts, kind="stable")
    rarest = order[table.targets[:, order].argmax(axis=1)]
    return np.where(table.targets.any(axis=1), rarest, -1).astype(np.int64)


def _rows_by_class(
    labels: "np.ndarray[Any, np.dtype[np.int64]]", draw: np.random.Generator
) -> list[int]:
    """Return all rows: one of each class, spread from head to tail, then another of each."""
    shuffled = draw.permutation(len(labels))
    counts = np.bincount(labels[labels >= 0])
    classes = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    if len(classes) > PICTURES:
        spread = np.linspace(0, len(classes) - 1, PICTURES).round().astype(int)
        classes = classes[spread]
    waiting = [shuffled[labels[shuffled] == label].tolist() for label in classes]
    rows: list[int] = []
    while any(waiting):
        rows += [rest.pop() for rest in waiting if rest]
    return rows


def _columns(config: Any, level: str | None) -> "tuple[list[Column], list[str]]":
    """Return the columns: one level, or all levels and the mixing, each with the given settings.

    The second value says which levels are left out: a given setting may contradict a level.
    """
    import torch
    from torch import Tensor

    from tunewright.images.augment.augment import make_augment
    from tunewright.images.augment.contact_sheet import Column
    from tunewright.images.augment.mixup import make_mix

    own: AugmentationLevel = config.augmentation
    given = set_in(own)  # holds at every level; what belongs to the configured one does not

    def column(name: str, draws: int) -> Column:
        section = {"augmentation": {"type": name, **given}}
        varied = validate({**config.model_dump(mode="json"), **section}, type(config))
        return Column(name, make_augment(varied.augmentation), draws)

    if level is not None:
        return [column(level, DRAWS_OF_ONE)], []
    columns, notices = [], []
    for name in LEVELS:
        try:
            columns += [column(name, DRAWS_OF_EACH)] if name != "none" else []
        except ConfigError as error:
            notices.append(f"{name} is left out: {error}")
    mix = make_mix(config.mixing)
    if mix is not None:
        vary = make_augment(own)

        def mix_batch(images: Tensor, generator: torch.Generator) -> Tensor:
            return mix(vary(images, generator), torch.arange(len(images)), generator)[0]

        columns.append(Column("as configured, mixed", mix_batch, DRAWS_OF_EACH))
    return columns, notices
