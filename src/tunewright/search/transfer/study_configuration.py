"""A configuration written by a study, with the settings and the space of that study.

Imports neither Optuna nor NumPy, so that arguments can be parsed without them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.config.tree import Tree, copy_tree, drop, flatten, get, merge
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import StudyFolder
from tunewright.search.study_file import read_study_file

LEVELS = 4
"""Largest depth of a configuration below its study: `trials/00007/seed-3/config.yaml`."""


@dataclass(frozen=True)
class StudyConfiguration:
    """A configuration in a study's folder, from which a new search begins."""

    file: Path
    tree: Mapping[str, Any]
    study: StudyFolder

    @property
    def name(self) -> str:
        """The name of a search around it.

        Under the recipe's name it would be the finished study that the file came from.
        """
        stem = self.file.stem.removesuffix("_config")
        return f"{self.study.path.resolve().name}-around-{stem}"

    @property
    def is_known(self) -> bool:
        """Whether the study's stored settings say what it searched."""
        has_settings = "configuration" in read_yaml(self.study.settings)
        return has_settings and self.study.space.exists()

    def settings(self) -> tuple[Path, Tree]:
        """Return the file and the configuration of the study, with its final stage applied."""
        file, tree = stored_configuration(self.study)
        return file, merge(tree, get(tree, "stages.final") or {})

    def space(self) -> tuple[Path, Tree]:
        """Return the file and the space of the study, with the file's values as defaults."""
        space, named = read_yaml(self.study.space), flatten(self.tree)
        parameters = {
            path: {k: v for k, v in fields.items() if k != "default" or path not in named}
            for path, fields in space["parameters"].items()
        }
        return self.study.space, {**space, "parameters": parameters}

    def reserved_values(self) -> dict[str, Any]:
        """Return the study's reserved values for kinds that the file does not have."""
        stored = read_yaml(self.study.settings).get("reserved") or {}
        return {path: v for path, v in stored.items() if get(self.tree, path) is None}


def find_study_of(file: Path, tree: Mapping[str, Any]) -> StudyConfiguration | None:
    """Return the file as a study's configuration; None if it is not one."""
    if "recipe" not in tree or get(tree, "study.name") is not None:
        return None
    for folder in list(file.absolute().parents)[:LEVELS]:
        study = StudyFolder(folder)
        # A study file of another program may be called `study.yaml`; it has no `name` at its top.
        if study.settings.exists() and "name" in read_yaml(study.settings):
            return StudyConfiguration(file, tree, study)
    return None


def stored_configuration(study: StudyFolder) -> tuple[Path, Tree]:
    """Return the file and the configuration of a study, without settings of that study alone."""
    tree = copy_tree(read_study_file(study)["configuration"])
    for path in ("study.name", "study.storage"):
        drop(tree, path)
    return study.settings, tree
