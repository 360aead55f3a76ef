"""Sort what was typed: the recipe, files by what they hold, overrides and flags."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tunewright.config.layers import Layer
from tunewright.config.overrides import quote_override
from tunewright.config.tree import Tree
from tunewright.errors import UsageError, quote
from tunewright.recipes.command.study_files import is_command_file, split_command_file
from tunewright.recipes.guide_flags import take_value
from tunewright.recipes.registry import find_recipe, recipe_names
from tunewright.runs.atomic import read_yaml
from tunewright.runs.regular_files import is_file, is_folder
from tunewright.search.transfer.study_configuration import StudyConfiguration, find_study_of
from tunewright.spaces.foreign.dialects import is_foreign_space
from tunewright.spaces.read import is_space_file


class Configs(NamedTuple):
    """The options that name configuration files."""

    config: Path | str | None = None
    config_dir: Path | str | None = None
    config_name: str | None = None


@dataclass(frozen=True)
class FileArguments:
    """Files used in place of typed ones: their trees, and settings by path as if typed."""

    trees: Sequence[tuple[Path, Tree]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceFile:
    """A file and what it holds. stored: used in place of typed ones, so nobody has typed it."""

    path: Path
    tree: Tree
    stored: bool = False


@dataclass
class Sources:
    """Files by what they hold: configurations, search spaces, and a top-level file of Hydra."""

    layers: list[Layer]
    spaces: list[SourceFile]
    config_dir: Path | None
    config_name: str | None


@dataclass
class TypedArguments:
    """What was typed, by kind; flags are those of a guide, with their values."""

    recipe: str | None = None
    files: list[Path] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    flags: list[tuple[str, str]] = field(default_factory=list)


def classify_arguments(words: Sequence[str]) -> TypedArguments:
    """Sort the words of a command by kind. Raises UsageError for one of no kind."""
    typed = TypedArguments()
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not equals:
                value = take_value(name, waiting)
            typed.flags.append((name, value))
        elif "=" in word or word.startswith("~"):
            typed.overrides.append(word)
        elif word in recipe_names() and typed.recipe is None:
            typed.recipe = word
        elif is_folder(word):
            raise _folder(Path(word))
        elif Path(word).suffix in (".yaml", ".yml") or is_file(word):
            typed.files.append(Path(word))
        elif typed.recipe is None and not typed.files:
            find_recipe(word)  # raises, with the nearest name
        else:
            raise UsageError(
                f"{quote(word)}", expected="a YAML file or an override such as optim.lr=1e-3"
            )
    return typed


def read_files(
    typed: TypedArguments,
    command: str,
    config: Path | str | None,
    otherwise: Callable[[], FileArguments] | None,
) -> list[SourceFile]:
    """Read the typed files and that of --config, or what `otherwise` names in their place."""
    if config is not None:
        if typed.files:
            raise UsageError(
                f"{typed.files[0]} and --config {config} together",
                expected="one of them",
                remedy=f"Name the file once: tunewright {command} {typed.files[0]}.",
            )
        typed.files.append(Path(config))
    if typed.files or typed.recipe is not None or otherwise is None:
        return [SourceFile(file, read_yaml(file)) for file in typed.files]
    found = otherwise()
    typed.overrides[:0] = as_overrides(found.settings)
    return [SourceFile(file, tree, stored=True) for file, tree in found.trees]


def sort_files(files: Sequence[SourceFile], configs: Configs) -> Sources:
    """Sort files by what they hold. Raises UsageError for two top-level files of Hydra."""
    config_dir = None if configs.config_dir is None else Path(configs.config_dir)
    sources = Sources([], [], config_dir, configs.config_name)
    for file in files:
        if is_command_file(file.tree):
            settings, space = split_command_file(file.tree, file.path)
            sources.layers.append(Layer(file.path, settings, file.stored))
            if space:
                sources.spaces.append(SourceFile(file.path, space, file.stored))
        elif is_space_file(file.tree) or is_foreign_space(file.tree):
            sources.spaces.append(file)
        elif "defaults" in file.tree:  # a top-level Hydra file, in a folder of groups
            if sources.config_name is not None:
                raise UsageError(
                    f"{file.path}, which has `defaults`, and --config-name {sources.config_name} "
                    "together",
                    expected="one top-level file",
                )
            sources.config_dir = sources.config_dir or file.path.parent
            sources.config_name = file.path.stem
        else:
            sources.layers.append(Layer(file.path, file.tree, file.stored))
    return sources


def add_space(sources: Sources, space: Mapping[str, Any] | Path | None) -> None:
    """Add the space that an option or a call gives."""
    if space is None:
        return
    if sources.spaces:
        raise UsageError(
            f"{sources.spaces[0].path} and --space {space} together", expected="one space"
        )
    if isinstance(space, Mapping):
        sources.spaces.append(SourceFile(Path("the space"), _whole(space)))
    else:
        sources.spaces.append(SourceFile(space, read_yaml(space)))


def _whole(space: Mapping[str, Any]) -> Tree:
    """Return the mapping as a space file holds it: names with domains go under `parameters:`."""
    parameters = space.get("parameters")
    if is_foreign_space(space):
        return dict(space)
    if isinstance(parameters, Mapping):
        is_whole = all(isinstance(fields, Mapping) for fields in parameters.values())
    else:  # rules are lists; a mapping is the domain of a parameter named `forbid`, `avoid`, `good`
        rules = [space.get(key) for key in ("forbid", "avoid", "good")]
        is_whole = is_space_file(space) and not any(isinstance(rule, Mapping) for rule in rules)
    return dict(space) if is_whole else {"parameters": dict(space)}


def study_to_search_around(files: Sequence[SourceFile]) -> StudyConfiguration | None:
    """Return the study that wrote one of the files, such as a best_config.yaml."""
    found = (find_study_of(file.path, file.tree) for file in files)
    return next((study for study in found if study is not None), None)


def search_around(around: StudyConfiguration, sources: Sources, typed: TypedArguments) -> str:
    """Lay what a study says below what was typed; return a notice about it."""
    about = f"searching around the configuration in {around.file}"
    if not around.is_known:
        return about
    sources.layers.insert(0, Layer(*around.settings(), stored=True))
    typed.overrides[:0] = as_overrides(around.reserved_values())
    if sources.spaces:
        return about
    sources.spaces.append(SourceFile(*around.space()))
    return f"{about}, with the search space of the study that wrote it"


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """Return settings by path as one types them."""
    return [f"{path}={quote_override(value)}" for path, value in settings.items()]


def _folder(folder: Path) -> UsageError:
    runs = [
        file for name in ("best_config.yaml", "config.yaml") if (file := folder / name).exists()
    ]
    return UsageError(
        f"{folder} is a folder",
        expected="a recipe, a YAML file, or an override such as optim.lr=1e-3",
        remedy=f"The configuration in it is {runs[0]}." if runs else "",
    )
