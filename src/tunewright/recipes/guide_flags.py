"""Flags of the guides' programs, translated by the aliases that a recipe declares."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tunewright.config.dialect import missing_name
from tunewright.errors import UsageError, did_you_mean
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.registry import find_recipe, shipped_names

SEARCH_KEYS = tuple(
    f"study.{key}" for key in ("trials", "timeout", "budget", "storage", "sampler", "pruner")
)
"""Settings that only a search has; as a flag of `train` they are a mistake."""

BOOLEANS = ("true", "false", "yes", "no", "on", "off")


@cache
def _switches() -> frozenset[str]:
    """Return the flags without a value that the shipped recipes know."""
    recipes = map(find_recipe, sorted(shipped_names()))
    return frozenset(name for recipe in recipes for name in recipe.dialect.switches)


def take_value(name: str, words: list[str]) -> str:
    """Take the value of the flag `--name` from the words that follow it; return it.

    A number and the numbers after it are one list: `--step_epochs 1000 2000` is `[1000,2000]`. A
    flag without a value is `true`.
    """
    following = words[0] if words else "--"
    is_switch = name.replace("-", "_") in _switches()
    if following.startswith("--") or (is_switch and following.lower() not in BOOLEANS):
        return "true"
    values = [words.pop(0)]
    while _is_number(values[-1]) and words and _is_number(words[0]):
        values.append(words.pop(0))
    return values[0] if len(values) == 1 else f"[{','.join(values)}]"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def typed_overrides(
    overrides: Sequence[str],
    flags: Sequence[tuple[str, str]],
    recipe: Recipe,
    command: str,
    options: Sequence[str],
) -> list[str]:
    """Return typed overrides and those that flags stand for; switches first: the later one holds.

    Raises UsageError as `as_override` does.
    """
    named = [(override.partition("=")[0], override) for override in overrides]
    for name, value in flags:
        key = name.replace("-", "_")
        if (expand := recipe.dialect.expansions.get(key)) is not None:
            named += [(override.partition("=")[0], override) for override in expand(value)]
        else:
            named.append((key, as_override(name, value, recipe, command, options)))

    def is_switch(typed: tuple[str, str]) -> bool:
        name, override = typed
        value = override.partition("=")[2].lower()
        return name in recipe.dialect.switches and value in BOOLEANS

    return [override for _, override in sorted(named, key=is_switch, reverse=True)]


def places(
    flags: Sequence[tuple[str, str]], recipe: Recipe, command: str, options: Sequence[str]
) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Split flags into files and folders, by the option they stand for, and the other flags.

    Raises UsageError where the command has no such option.
    """
    found: dict[str, Path] = {}
    left = []
    for name, value in flags:
        option = recipe.dialect.options.get(name.replace("-", "_")) or recipe.dialect.options.get(
            name
        )
        if option is None:
            left.append((name, value))
            continue
        if options and option not in (*options, command):  # the command `space` takes a space file
            raise UsageError(f"--{name}", expected=f"an option of `tunewright {command}`")
        if option in found:
            raise UsageError(f"--{name} {value} and {found[option]}", expected="one of them")
        found[option] = Path(value)
    return found, left


def as_override(name: str, value: str, recipe: Recipe, command: str, options: Sequence[str]) -> str:
    """Return the override that a flag stands for: `--lr 1e-3` becomes `optim.lr=1e-3`.

    options: the command's own options, for suggestions. Raises UsageError for an unknown flag.
    """
    key = name.replace("-", "_")
    path = recipe.dialect.aliases.get(key) or recipe.dialect.aliases.get(name)
    if command in ("train", "lr-find", "schedule") and (path or f"study.{key}") in SEARCH_KEYS:
        raise UsageError(
            f"--{name} with tunewright {command}",
            expected="options of one training, not of a search",
            remedy=f"Search with tunewright tune ... --{name} {value}, or leave it out.",
        )
    if path is None and (instead := missing_name(name, recipe.dialect.not_built)) is not None:
        raise UsageError(f"--{name} is not in this version", remedy=instead)
    if path is None:
        raise UsageError(
            f"--{name}",
            expected=f"an option of `tunewright {command}`",
            remedy=did_you_mean(name, [*options, *_flags(recipe)], stem="--")
            or f"See tunewright {command} --help.",
        )
    if path == f"{key}.type":  # a group of this very name, in place of which another may be typed
        path = key
    return f"{path}={value}"


def _flags(recipe: Recipe) -> list[str]:
    known = [*recipe.dialect.aliases, *recipe.dialect.options, *recipe.dialect.expansions]
    return [name.replace("_", "-") for name in known if "." not in name]
