"""The door of the configuration: a tree goes in, a frozen model or a clear error comes out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tunewright.config.leaves import choices_of, kinds_of, leaves, section_of
from tunewright.config.sources import Source, source_of
from tunewright.config.tree import get
from tunewright.errors import ConfigError, did_you_mean

C = TypeVar("C", bound=BaseModel)


def checked(
    tree: Mapping[str, Any], schema: type[C], sources: Mapping[str, Source] | None = None
) -> C:
    """The configuration as a frozen model.

    Raises ConfigError that names every wrong key or value, where it was set, and the nearest
    known key for one that does not exist.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        problems = [_problem(item, tree, schema, sources or {}) for item in error.errors()]
        if len(problems) == 1:
            raise problems[0] from None
        text = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"{len(problems)} settings cannot be used:\n{text}") from None


def _problem(
    item: Any, tree: Mapping[str, Any], schema: type[BaseModel], sources: Mapping[str, Source]
) -> ConfigError:
    path = _path(item["loc"], schema)
    kind = item["type"]
    if kind == "extra_forbidden":
        return _unknown(path, tree, schema, sources)
    if kind.startswith("union_tag"):
        path = f"{path}.type" if not path.endswith(".type") else path
    value = get(tree, path, item["input"])
    where = str(source_of(sources, path))
    choices = choices_of(schema, path)
    if choices:
        expected = f"one of {', '.join(choices)}"
        remedy = did_you_mean(str(value), choices)
    else:
        expected = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        remedy = "" if kind != "missing" else "Set it in a file or as an override."
    came = f"{path} is missing" if kind == "missing" else f"{path} = {_shown(value)}"
    return ConfigError(came, expected=expected, where=where, remedy=remedy)


def _unknown(
    path: str, tree: Mapping[str, Any], schema: type[BaseModel], sources: Mapping[str, Source]
) -> ConfigError:
    known = leaves(schema)
    where = str(source_of(sources, path))
    if path in known:
        section, kinds = next(iter(known[path].kinds.items()))
        return ConfigError(
            f"{path} = {_shown(get(tree, path))}",
            expected=f"{section}.type to be {' or '.join(kinds)} "
            f"(it is {get(tree, section + '.type')}), the only ones that have this key",
            where=where,
            remedy=f"Leave it out, or choose {section}.type.",
        )
    parent, _, last = path.rpartition(".")
    siblings = [p for p in known if p.rpartition(".")[0] == parent]
    tops = sorted({p.split(".")[0] for p in known})
    remedy = (
        did_you_mean(path, siblings)
        or did_you_mean(path, known)
        or did_you_mean(last, tops if not parent else [])
        or next((f"Did you mean {p!r}?" for p in known if p.endswith(f".{last}")), "")
        or f"Known here: {', '.join(sorted(p.rpartition('.')[2] for p in siblings)) or 'nothing'}."
    )
    return ConfigError(f"{path} is not a known key", where=where, remedy=remedy)


def _path(location: Sequence[int | str], schema: type[BaseModel]) -> str:
    """Pydantic's location without the tags of unions."""
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


def _shown(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)
