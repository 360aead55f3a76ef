"""Parse what was typed or called: a recipe or function, files, overrides, guides' flags."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.config.apply import with_values
from tunewright.config.compose import Composition, compose
from tunewright.config.layers import Layer
from tunewright.config.tree import Tree, set_leaf
from tunewright.errors import UsageError
from tunewright.recipes.command.placeholders import translate_macros
from tunewright.recipes.fidelity import convert_steps
from tunewright.recipes.function.call import takes_seed
from tunewright.recipes.function.reach import plain_name, reference, unreachable
from tunewright.recipes.function.recipe import bind_function, bind_objective, bind_wandb_function
from tunewright.recipes.guide_flags import places, typed_overrides
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.registry import find_recipe, recipe_names
from tunewright.runs.atomic import read_yaml
from tunewright.spaces.foreign.dialects import parse_any_space
from tunewright.spaces.read import SpaceFile
from tunewright.typed_arguments import (
    Configs,
    FileArguments,
    SourceFile,
    TypedArguments,
    add_space,
    as_overrides,
    classify_arguments,
    read_files,
    search_around,
    sort_files,
    study_to_search_around,
)

SEARCHES = ("tune", "plan", "space")
"""The commands that search, or show what would be searched."""
BEST_LOGGED = (
    "the score is the best value of the goal that a run logs to wandb, or what the function returns"
)
COMMAND = "command"
"""The recipe that runs what a space file says."""


@dataclass(frozen=True)
class ParsedRequest:
    """A recipe with its composed configuration and, for studies, the space file.

    runs: the folder of all runs, if a guide's flag (such as `--output_dir`) names it.
    """

    recipe: Recipe
    composed: Composition
    space: SpaceFile | None = None
    runs: Path | None = None


def parse_request(
    words: Sequence[str],
    *,
    command: str,
    options: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    configs: Configs | None = None,
    space: Mapping[str, Any] | Path | None = None,
    otherwise: Callable[[], FileArguments] | None = None,
) -> ParsedRequest:
    """Parse the arguments of `command`: `RECIPE|FILE [FILE] [key=value ...] [--guide-flag value]`.

    options: the command's own options, for suggestions. settings: values by config path that
    the command's options set; None values are left out. otherwise: returns the files and settings
    to use when neither a recipe nor a file is typed. A file that holds a search space is a space
    file, whether it is typed or given by --config or --space.

    Raises UsageError for arguments that are unknown or contradict each other.
    """
    typed, configs = classify_arguments(words), configs or Configs()
    files = read_files(typed, command, configs.config, otherwise)
    recipe = _recipe(typed, files, command)
    own, flags = places(typed.flags, recipe, command, options)
    if "config" in own:
        if files:
            raise UsageError(
                f"{files[0].path} and {own['config']} together", expected="one of them"
            )
        files.append(SourceFile(own["config"], read_yaml(own["config"])))
    if "space" in own and space is not None:
        raise UsageError(f"--space {space} and {own['space']} together", expected="one space")
    sources = sort_files(files, configs)
    add_space(sources, own.get("space", space))
    if len(sources.spaces) > 1 or len(sources.layers) > 1:
        raise UsageError(f"{len(typed.files)} files", expected="one configuration and one space")
    around = study_to_search_around(files) if command in SEARCHES else None
    about = search_around(around, sources, typed) if around is not None else ""
    given = None
    for file in sources.spaces:
        aliases = None if recipe.open_section else recipe.dialect.aliases
        given = parse_any_space(file.tree, file.path, aliases)
        if given.script and recipe.name != COMMAND:
            given = _without_script(given, recipe)
        sources.layers.append(Layer(file.path, _settings(given, recipe), file.stored))
    overrides = [
        *typed_overrides(typed.overrides, flags, recipe, command, options),
        *as_overrides({path: v for path, v in (settings or {}).items() if v is not None}),
    ]
    named = any(override.startswith("study.name=") for override in overrides)
    if around is not None and command != "space" and not named:
        overrides += as_overrides({"study.name": around.name})
        about += f"; the study is named {around.name} (change it with --name)"
    composed = compose(
        recipe,
        overrides,
        layers=sources.layers,
        config_dir=sources.config_dir,
        config_name=sources.config_name,
        reserving=command in SEARCHES,
    )
    notices = list(composed.notices)
    if given is not None:
        composed = _apply_direction(given, recipe, composed)
        notices += given.notices
    if about:
        notices.append(about)
    composed = convert_steps(recipe, replace(composed, notices=tuple(notices)))
    return ParsedRequest(recipe, composed, given, own.get("runs-dir"))


def parse_resume(words: Sequence[str], config: Path) -> ParsedRequest:
    """Parse `train --resume`: the stored configuration, with the typed overrides applied."""
    refuse_files(words, "the run")
    return parse_request(words, command="train", configs=Configs(config))


def refuse_files(words: Sequence[str], resumed: str, *, recipe: bool = False) -> None:
    """Raise UsageError for files beside what is resumed; recipe: for the name of a recipe, too."""
    typed = classify_arguments(words)
    others = [*map(str, typed.files), *([typed.recipe] if recipe and typed.recipe else [])]
    if others:
        raise UsageError(
            f"{others[0]} and --resume together",
            expected=f"only overrides, since {resumed} has its own configuration",
        )


def parse_function_request(
    words: Sequence[Any], space: object, settings: Mapping[str, Any]
) -> ParsedRequest:
    """Parse `tune(function, space, *overrides)`: the recipe `function`, bound to the function.

    Without a space, the function is an Optuna objective, `tune(objective, *overrides)`. With one,
    a function without arguments reads `wandb.config`, as `wandb.agent` calls it.

    space: the search space, if it was given by keyword and not as the second of `words`. Raises
    UsageError for a function that cannot be called as `function(params, report)`, or as
    `objective(trial)` where there is no space, and for a space that is neither a mapping nor a
    file.
    """
    function, *rest = words
    if space is None and rest and not (isinstance(rest[0], str) and "=" in rest[0]):
        space = rest.pop(0)
    _check_signature(function, with_space=space is not None)
    settings = {**settings, "function": reference(function)}
    settings["study.name"] = settings.get("study.name") or plain_name(function)
    notices: tuple[str, ...] = ()
    if space is None and not _names_goal(settings, rest):
        settings["goal"] = "value:min"
        notices = (
            "the smallest value that the objective returns wins, as in Optuna (value:min); "
            "goal='value:max' turns it round",
        )
    if why := unreachable(function):
        jobs, settings["study.jobs"] = settings.get("study.jobs"), None
        settings["executor.type"] = "inline"
        several = f", one at a time instead of {jobs}" if jobs not in (None, 1) else ""
        notices = (*notices, f"trials run in this process{several}: {why}")
    searched = Path(space) if isinstance(space, str | Path) else space
    if not isinstance(searched, Path | Mapping | None):
        raise UsageError(
            f"the space {space!r}",
            expected="a mapping from names to domains, or a file",
            remedy='For example {"x": {"type": "float", "low": -1.0, "high": 1.0}}.',
        )
    recipe = bind_objective(function) if searched is None else _bind(function)
    if searched is not None and not _takes(function, 2):
        notices = (*notices, BEST_LOGGED)
    request = parse_request((recipe.name, *rest), command="tune", settings=settings, space=searched)
    composed = replace(request.composed, notices=(*request.composed.notices, *notices))
    return ParsedRequest(recipe, composed, request.space)


def bind_reachable(function: Any) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe bound to a function with a space, and the settings to call it again.

    Raises UsageError for a function that cannot be called as `function(params, report)`.
    """
    _check_signature(function, with_space=True)
    return _bind(function), {"executor.type": "inline"} if unreachable(function) else {}


def _bind(function: Any) -> Recipe:
    return bind_function(function) if _takes(function, 2) else bind_wandb_function(function)


def _names_goal(settings: Mapping[str, Any], words: Sequence[Any]) -> bool:
    return settings.get("goal") is not None or any(str(word).startswith("goal=") for word in words)


def _check_signature(function: Any, *, with_space: bool) -> None:
    """Raise UsageError for a function that cannot be called as it will be."""
    name = plain_name(function)
    if with_space and not _takes(function, 2) and not _takes(function, 0):
        raise UsageError(
            f"the function {name}{inspect.signature(function)} with a space",
            expected="one that can be called as function(params, report), or without arguments if "
            "it reads wandb.config",
            remedy=f"An Optuna objective names its parameters itself: tunewright.tune({name})."
            if _takes(function, 1)
            else "",
        )
    if not with_space and not _takes(function, 1):
        raise UsageError(
            f"the function {name}{inspect.signature(function)} without a space",
            expected="an Optuna objective, which can be called as objective(trial), or a space",
            remedy=f'For example tunewright.tune({name}, {{"x": {{"type": "float", "low": -1.0, '
            '"high": 1.0}}).',
        )


def _takes(function: Any, count: int) -> bool:
    """Return whether a function can be called with so many positional arguments.

    One that has a parameter `seed` gets it besides, by name.
    """
    seed = {"seed": 0} if count and takes_seed(function) else {}
    try:
        inspect.signature(function).bind(*[None] * count, **seed)
    except TypeError:
        return False
    except ValueError:
        pass  # a builtin without a signature
    return True


def _recipe(typed: TypedArguments, files: Sequence[SourceFile], command: str) -> Recipe:
    if typed.recipe is not None:
        return find_recipe(typed.recipe)
    for file in files:
        if isinstance(file.tree.get("recipe"), str):
            return find_recipe(file.tree["recipe"], where=str(file.path))
    names = ", ".join(recipe_names())
    if typed.files:
        raise UsageError(
            f"{typed.files[0]} does not say which recipe it is for",
            expected=f"one of {names}",
            remedy=f"Name the recipe: tunewright {command} RECIPE {typed.files[0]}.",
        )
    raise UsageError(
        f"tunewright {command} without a recipe",
        expected=f"one of {names}, or a configuration file",
    )


def _settings(spec: SpaceFile, recipe: Recipe) -> Tree:
    """Return the settings in a space file; the recipe translates its `data:` section."""
    settings = dict(spec.settings)
    data = settings.pop("data", None)
    if isinstance(data, Mapping):
        for key, value in recipe.dialect.study_file(dict(data)).items():
            set_leaf(settings, key, value)
    for path, value in spec.fixed.items():
        set_leaf(settings, recipe.path(path), value)
    if spec.script:
        settings |= spec.script
        settings["command"] = translate_macros(settings["command"])
    return settings


def _without_script(given: SpaceFile, recipe: Recipe) -> SpaceFile:
    """Return a space whose file says what it runs for a recipe that runs something else."""
    program = (given.script.get("script") or {}).get("program") or given.script["command"][0]
    notice = f"{program} of {given.file} is not run: the recipe {recipe.name} is tuned"
    return replace(given, script={}, notices=(*given.notices, notice))


def _apply_direction(given: SpaceFile, recipe: Recipe, composed: Composition) -> Composition:
    """Apply the direction of a study file that names no metric."""
    first, *others = composed.config.goals
    if given.direction is None or ":" in first:
        return composed
    if not recipe.metrics:
        goals = [f"{first}:{given.direction}", *others]
        written = {"goal": goals if others else goals[0]}
        tree, config = with_values(composed.tree, written, recipe.config)
        return replace(composed, tree=tree, config=config)
    goal = recipe.goals(composed.config)[0]
    if "goal" not in composed.typed and goal.direction != given.direction:
        raise UsageError(
            f"{given.file} asks for the {given.direction} of {goal.metric}",
            expected=f"its {goal.direction}",
            remedy="Set a goal that fits the file's direction: goal=METRIC.",
        )
    return composed
