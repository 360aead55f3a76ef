"""Flags of the guides' programs, translated by the aliases that a recipe declares."""

from collections.abc import Sequence
from pathlib import Path

from tunewright.config.dialect import missing_name
from tunewright.errors import UsageError, did_you_mean
from tunewright.recipes.recipe import Recipe

SEARCH_KEYS = tuple(
    f"study.{key}" for key in ("trials", "timeout", "budget", "storage", "sampler", "pruner")
)
"""Settings that only a search has; as a flag of `train` they are a mistake."""


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
    if command in ("train", "lr-find") and (path or f"study.{key}") in SEARCH_KEYS:
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
    return f"{path}={value}"


def _flags(recipe: Recipe) -> list[str]:
    known = [*recipe.dialect.aliases, *recipe.dialect.options]
    return [name.replace("_", "-") for name in known if "." not in name]
