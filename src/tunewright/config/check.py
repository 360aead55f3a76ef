"""Validate a configuration tree into a frozen model, or raise a clear error."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from tunewright.config.dialect import Dialect, missing_name
from tunewright.config.leaves import Leaf, choices_of, kinds_of, leaves, section_of, shown_kinds
from tunewright.config.schema import OF_STUDIES
from tunewright.config.sources import Source, source_of
from tunewright.config.tree import get
from tunewright.errors import ConfigError, did_you_mean, nearest_name, quote, shorten

OF_SEARCH = tuple(f"{section}." for section in OF_STUDIES)
SHOWN = 3
"""Keys of one name that are suggested at most."""

C = TypeVar("C", bound=BaseModel)


def validate(
    tree: Mapping[str, Any],
    schema: type[C],
    sources: Mapping[str, Source] | None = None,
    dialect: Dialect | None = None,
) -> C:
    """Return the configuration as a frozen model.

    sources: where each value was set, if known. dialect: a guide's names for keys. Raises
    ConfigError that names every wrong key or value, where it was set, and the nearest known key for
    one that does not exist.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        around = _Around(tree, schema, sources, dialect or Dialect())
        problems = [_problem(item, around) for item in error.errors()]
        if len(problems) == 1:
            raise problems[0] from None
        text = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"{len(problems)} invalid settings:\n{text}") from None


class _Around(NamedTuple):
    tree: Mapping[str, Any]
    schema: type[BaseModel]
    sources: Mapping[str, Source] | None
    dialect: Dialect

    def where(self, path: str) -> str:
        return "" if self.sources is None else str(source_of(self.sources, path))


def _problem(item: Any, around: _Around) -> ConfigError:
    path, kind = _path(item["loc"], around.schema), item["type"]
    if kind == "extra_forbidden":
        return _unknown(path, around)
    if kind == "missing":
        return ConfigError(f"{path} is missing", remedy="Set it in a file or as an override.")
    if kind.startswith("union_tag"):
        path = path if path.endswith(".type") else f"{path}.type"
    choices = () if kind == "value_error" else choices_of(around.schema, path)
    value = get(around.tree, path, item["input"])
    if choices:
        expected, remedy = f"one of {', '.join(choices)}", did_you_mean(str(value), choices)
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        expected, remedy = "a mapping (key: value)", f"See `tunewright show` for what {path} holds."
        if str(value) in choices_of(around.schema, f"{path}.type"):
            remedy = f"Write {path}.type={value}."
    elif kind == "tuple_type":
        expected, remedy = "a list, such as [1, 2]", ""
    else:
        expected = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        remedy = ""
    came = f"{path} = {_format_value(value)}"
    return ConfigError(came, expected=expected, where=around.where(path), remedy=remedy)


def _unknown(path: str, around: _Around) -> ConfigError:
    known, where = leaves(around.schema), around.where(path)
    if (wrong := _wrong_kind(path, known, around.tree)) is not None:
        section, kinds = wrong
        return ConfigError(
            f"{path} = {_format_value(get(around.tree, path))}",
            expected=f"{section}.type to be {' or '.join(shown_kinds(kinds))}, since no other kind "
            f"has this key (it is {get(around.tree, section + '.type')})",
            where=where,
            remedy=f"Leave it out, or set {section}.type={kinds[0]}.",
        )
    if (instead := missing_name(path, around.dialect.not_built)) is not None:
        return ConfigError(f"{path} is not in this version", where=where, remedy=instead)
    remedy = _nearest(path, known, around.dialect.aliases)
    return ConfigError(f"{path} is not a known key", where=where, remedy=remedy)


def _wrong_kind(
    path: str, known: Mapping[str, Leaf], tree: Mapping[str, Any]
) -> tuple[str, Sequence[str]] | None:
    """Return the section whose kind lacks a known key or section, and the kinds that have it."""
    inside = next((p for p in known if p.startswith(f"{path}.")), "")
    if path not in known and not inside:
        return None
    for section, kinds in known[path if path in known else inside].kinds.items():
        if path.startswith(f"{section}.") and get(tree, f"{section}.type") not in kinds:
            return section, kinds
    return None


def _nearest(path: str, known: Iterable[str], aliases: Iterable[str]) -> str:
    """Return the key that was probably meant, or the possible ones."""
    parent, _, last = path.rpartition(".")
    stem = f"{parent}." if parent else ""
    here = {p.removeprefix(stem).partition(".")[0] for p in known if p.startswith(stem)}
    # A key of this very name elsewhere is meant rather than another name that looks alike; but not
    # one that says how to search (study.name) where a section of a training was named (model.name).
    exact = [p for p in known if p.removesuffix(".type").endswith(f".{last}")]
    if exact and not (parent and here and all(p.startswith(OF_SEARCH) for p in exact)):
        return f"Did you mean {' or '.join(map(repr, exact[:SHOWN]))}?"
    # Compared without the section that is right, which would make any two of its keys look alike.
    beside = {alias.removeprefix(stem) for alias in aliases if alias.startswith(stem)}
    if near := did_you_mean(last, here | beside, stem=stem) if parent else "":
        return near
    if not parent:  # a bare word may be a section, an alias or the last part of a key
        names = {p.rpartition(".")[2]: p for p in reversed([*known])}
        names |= {name: name for name in (*here, *aliases) if name != path}
        if word := nearest_name(last, names):
            return f"Did you mean {names[word]!r}?"
    foreign = [a for a in aliases if a != path and not (parent and a.startswith(stem))]
    if near := did_you_mean(path, [*foreign, *([] if parent and here else known)]):
        return near
    return (
        f"Known here: {', '.join(sorted(here))}." if here else "`tunewright show` lists all keys."
    )


def _path(location: Sequence[int | str], schema: type[BaseModel]) -> str:
    """Return Pydantic's location without the tags of unions."""
    keys: list[str] = []
    node: type[BaseModel] | None = schema
    kinds: dict[str, type[BaseModel]] = {}
    for item in location:
        if kinds and item in kinds:
            node, kinds = kinds[str(item)], {}
            continue
        keys.append(str(item))
        field = node.model_fields.get(str(item)) if node is not None else None
        kinds = kinds_of(field) if field is not None else {}
        node = section_of(field) if field is not None else None
    return ".".join(keys)


def _format_value(value: Any) -> str:
    try:
        return shorten(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError):
        return quote(value)
