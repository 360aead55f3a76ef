"""The commands about models and augmentations of pictures: models, augment."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.command import JSON, command
from tunewright.cli.options import (
    DATA,
    RUNS,
    TRAIN,
    ConfigDir,
    ConfigFile,
    ConfigName,
    RunsDir,
    Word,
)

if TYPE_CHECKING:
    from tunewright.deliver.classification.augment import ContactSheetReport
    from tunewright.deliver.classification.models import ModelList


@command(TRAIN, prints="classification:print_models", switches=[JSON])
def models(
    wanted: Annotated[
        str, typer.Argument(metavar="[FILTER]", help="Part of a name, or a pattern with *.")
    ] = "",
    *,
    classes: Annotated[int, typer.Option(help="Number of classes of the head.")] = 100,
    limit: Annotated[int, typer.Option(help="Maximum number of rows.")] = 40,
) -> "ModelList":
    """List image models with parameters, sizes and licences.

    'no head' are the parameters without the last layer (and the fusion). Sizes are those of the
    exported file; licences are those of the pretrained weights.

    In Python, return the rows and the notices. Raises UsageError when nothing matches. See
    `deliver.classification.models.models`.
    """
    from tunewright.deliver.classification.models import models as list_models

    return list_models(wanted, classes=classes, limit=limit)


@command(DATA, prints="classification:print_augmented", switches=[JSON], guide_flags=True)
def augment(
    *words: Word,
    level: Annotated[
        str | None,
        typer.Option(help="none, crop_flip, light, medium, strong, ultra_strong or colour."),
    ] = None,
    output: Annotated[Path | str | None, typer.Option(help="The PNG file to write.")] = None,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = RUNS,
) -> "ContactSheetReport":
    """Draw training pictures beside their augmented versions.

    Without --level, every augmentation level is drawn.

    In Python, return the file and what is in it. Raises UsageError for an unknown level,
    ConfigError for a recipe without pictures. See `deliver.classification.augment.augment`.
    """
    from tunewright.cli.requests import path_of, request_of, runs_of
    from tunewright.deliver.classification.augment import augment as draw
    from tunewright.typed_arguments import Configs

    request = request_of(augment, words, Configs(config, config_dir, config_name))
    runs = runs_of(request, runs_dir)
    return draw(request.recipe, request.composed, level=level, output=path_of(output), runs=runs)
