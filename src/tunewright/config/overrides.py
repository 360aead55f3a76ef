"""Read overrides such as `optim.lr=1e-3` by Hydra's grammar, and quote values for it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException
from omegaconf import OmegaConf

from tunewright.config.layers import Configurable, Part, path_of_key, translate
from tunewright.config.leaves import choices_of, leaves
from tunewright.config.sources import Source
from tunewright.config.tree import flatten
from tunewright.errors import ConfigError, UsageError, did_you_mean, quote
from tunewright.runs.regular_files import exists, is_folder


def quote_override(value: Any) -> str:
    """Return the text after the `=` of an override for exactly this value, uninterpolated."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(quote_override, value))}]"
    return in_quotes(re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", str(value)))


def in_quotes(text: str) -> str:
    """Quote a text for Hydra; a backslash before a quote escapes it."""
    plain = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), text)
    return f"'{plain}'"


def split_overrides(
    overrides: Sequence[str], folders: Sequence[Path], recipe: Configurable
) -> tuple[dict[str, str], list[Part]]:
    """Split overrides into the files chosen for groups, and single values."""
    groups: dict[str, str] = {}
    values: list[Part] = []
    for text in overrides:
        override = _parse_override(text, recipe)
        if override.is_sweep_override():
            raise UsageError(
                f"override {override.input_line!r} lists several values",
                expected="one value",
                remedy="To search over values, list them in a space file (--space FILE).",
            )
        name = override.key_or_group
        if not isinstance(override.value(), dict) and name in recipe.dialect.group_aliases:
            name = recipe.dialect.group_aliases[name]
            override = _parse_override(f"{name}={override.value()}", recipe)
        chooses = not isinstance(override.value(), dict)  # optim={lr: 1} sets values
        if chooses and any(is_folder(folder / name) for folder in folders):
            words, value = recipe.dialect.value_aliases.get(f"{name}.type", {}), override.value()
            if isinstance(value, bool) and str(value).lower() in words:  # a guide's switch as a key
                override = _parse_override(f"{name}={words[str(value).lower()]}", recipe)
            _check_option(override, folders, recipe)
            groups[name] = str(override.input_line)
        else:
            values.append(_part_of_override(override, recipe))
    return groups, values


def _parse_override(text: str, recipe: Configurable) -> Override:
    try:
        override = OverridesParser.create().parse_override(_with_quoted_path(text, recipe))
        override.input_line = text
        return override
    except (HydraException, RecursionError) as error:
        reason = one_line(error)
        raise UsageError(
            f"override {quote(text)} cannot be read ({reason})",
            expected="one such as optim.lr=1e-3",
            remedy="A value with ~, ;, commas or brackets needs quotes: key='\"a, b\"'.",
        ) from None


def _with_quoted_path(text: str, recipe: Configurable) -> str:
    """Quote the path in `data.dir=flowers (1)`, so that it is read as typed.

    Quotes and escapes of the override grammar still mean what they mean there, and `null` is no
    path, unless there is a file or folder of that very name.
    """
    key, equals, value = text.partition("=")
    known = leaves(recipe.config).get(path_of_key(key.lstrip("+"), recipe))
    if not equals or not value or known is None or not known.is_path:
        return text
    quoted = value[0] in "'\"" and value[-1] == value[0]
    if (quoted or value == "null" or "\\" in value) and not exists(value):
        return text
    return f"{key}={in_quotes(value)}"


def _check_option(override: Override, folders: Sequence[Path], recipe: Configurable) -> None:
    if override.is_delete():
        return
    group, option = override.key_or_group, str(override.value())
    options = _options(group, folders)
    if option not in options:
        named = option in choices_of(recipe.config, f"{group}.type")
        ours = recipe.dialect.value_aliases.get(group, {}).get(option)
        remedy = f"Write {group}={ours}." if ours else did_you_mean(option, options)
        raise ConfigError(
            f"{group}={option}",
            expected=f"one of {', '.join(options)}",
            where=f"override {override.input_line!r}",
            remedy=f"Write {group}.type={option}." if named else remedy,
        )


def _options(group: str, folders: Sequence[Path]) -> list[str]:
    places = [folder / group for folder in folders if is_folder(folder / group)]
    return sorted({file.stem for place in places for file in place.glob("*.yaml")})


def implied_groups(parts: Sequence[Part], folders: Sequence[Path]) -> dict[str, str]:
    """Return the groups implied by single settings.

    `model.type=clip`, typed or in a file, starts from the file of that kind where there is one; the
    user's own data do not start from the embedded ones.
    """
    groups: dict[str, str] = {}
    for part in parts:
        for path, value in flatten(part.tree).items():
            group, _, last = path.rpartition(".")
            if group and last == "type" and str(value) in _options(group, folders):
                groups[group] = f"{group}={value}"
            elif path == "data.dir":
                groups.pop("data", None)
                if value is not None and "folder" in _options("data", folders):
                    groups["data"] = "data=folder"
    return groups


def _part_of_override(override: Override, recipe: Configurable) -> Part:
    value = None if override.is_delete() else _plain(override)
    tree = translate({override.key_or_group: value}, recipe)
    sources = dict.fromkeys(flatten(tree), Source(override=override.input_line))
    return Part(tree, sources, takes_out=override.is_delete())


def _plain(override: Override) -> Any:
    value = OmegaConf.create({"value": override.value()})
    return OmegaConf.to_container(value, resolve=False)["value"]  # type: ignore[index,call-overload]


def one_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class SweptValue(NamedTuple):
    """What the value of a sweep says: one value, choices, a range of steps, or an interval.

    kind: `value`, `choices`, `range` or `interval`. values: of the first two. low, high, step: of
    the others. log, whole: its tags, and casts to whole numbers.
    """

    kind: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False


def parse_sweep(key: str, text: str) -> SweptValue:
    """Parse a value of a sweep by Hydra's grammar, such as `choice(1, 2)` or `interval(0, 1)`.

    Raises ConfigError for text that is no value, and for `glob`, which names files of a folder.
    """
    try:
        override = OverridesParser.create().parse_override(f"x={text}")
        value = override.value()
    except (HydraException, RecursionError) as error:
        raise ConfigError(
            f"{key} = {quote(text)} cannot be read ({one_line(error)})",
            expected="such as choice(1, 2), range(1, 10) or interval(0.0, 1.0)",
        ) from None
    tags = {str(tag) for tag in getattr(value, "tags", ())}
    if isinstance(value, ChoiceSweep):
        return SweptValue("choices", tuple(_plain_sweep(one) for one in value.list))
    if isinstance(value, RangeSweep):
        low, high, step = value.start, value.stop, value.step
        if low is None or high is None:
            raise ConfigError(f"{key} = {quote(text)}", expected="range(start, stop)")
        whole = all(isinstance(one, int) for one in (low, high, step))
        return SweptValue("range", (), low, high, step, "log" in tags, whole)
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        if low is None or high is None:
            raise ConfigError(f"{key} = {quote(text)}", expected="interval(low, high)")
        whole = (isinstance(low, int) and isinstance(high, int)) or "int" in tags
        return SweptValue("interval", (), low, high, None, "log" in tags, whole)
    if isinstance(value, Glob):
        raise ConfigError(
            f"{key} = {text}",
            expected="values, since glob names the files of a group",
            remedy=f"List them: {key}: choice(adam, sgd).",
        )
    return SweptValue("value", (_plain_sweep(value),))


def _plain_sweep(value: Any) -> Any:
    """Return a parsed value with plain texts in place of quoted ones."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain_sweep(inner) for inner in value]
    if isinstance(value, dict):
        return {str(key): _plain_sweep(inner) for key, inner in value.items()}
    return value
