"""Read `study.yaml`, the settings of a study in its folder."""

import shlex
from collections.abc import Mapping

from tunewright.config.tree import Tree
from tunewright.errors import ConfigError, StudyError
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import StudyFolder


def read_study_file(folder: StudyFolder) -> Tree:
    """Return the settings of a study; raise StudyError for a file that is damaged."""
    try:
        stored = read_yaml(folder.settings)
    except ConfigError as error:
        raise damage_error(folder, error.came) from None
    configuration = stored.get("configuration")
    tree = configuration if isinstance(configuration, Mapping) else {}
    wanted = {
        "name": (stored.get("name"), str),
        "configuration": (configuration, Mapping),
        "configuration.recipe": (tree.get("recipe"), str),
        "configuration.stages": (tree.get("stages"), Mapping),
    }
    for key, (value, kind) in wanted.items():
        if not value or not isinstance(value, kind):
            raise damage_error(folder, f"{folder.settings} holds no {key}")
    return stored


def damage_error(folder: StudyFolder, came: str) -> StudyError:
    """Return the error over a `study.yaml` that cannot be used, with what still can be done."""
    remedy = "Run the tunewright tune command of the study again, which writes the file anew."
    if folder.database.is_file():
        shown = shlex.quote(str(folder.database))
        remedy += f" Until then tunewright analyze {shown} shows its trials."
    return StudyError(came, expected="the settings that tunewright tune stored", remedy=remedy)
