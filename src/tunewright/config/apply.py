"""Apply a trial's values to a configuration: a trial is a training run with replaced values."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from tunewright.config.check import validate
from tunewright.config.leaves import kind_at, without_foreign_keys
from tunewright.config.tree import Tree, copy_tree, drop, get, set_leaf

C = TypeVar("C", bound=BaseModel)


def with_values(
    tree: Mapping[str, Any], values: Mapping[str, Any], schema: type[C]
) -> tuple[Tree, C]:
    """Return the configuration with `values` (by path): complete tree and checked model.

    When a section changes its `type`, explicitly set keys stay if the new kind has them; defaults
    of the old kind, and keys the new kind lacks, are replaced by the new defaults. Raises
    ConfigError for values that do not fit.
    """
    changed = copy_tree(tree)
    for path, value in values.items():
        section, _, last = path.rpartition(".")
        if last == "type" and value != get(tree, path):
            _drop_defaults(changed, section, schema)
    for path, value in values.items():
        set_leaf(changed, path, value)
    kept, _ = without_foreign_keys(changed, schema)
    config = validate(kept, schema)
    return config.model_dump(mode="json"), config


def set_in(section: BaseModel) -> dict[str, Any]:
    """Return the values of a section that differ from the defaults of its kind, without `type`."""
    usual = _defaults(type(section))
    return {
        name: value
        for name, value in section.model_dump(mode="json", exclude={"type"}).items()
        if name not in usual or usual[name] != value
    }


def _drop_defaults(tree: Tree, section: str, schema: type[BaseModel]) -> None:
    """Remove the default values of a section's kind from it."""
    kind, values = kind_at(tree, schema, section), get(tree, section)
    if kind is None or not isinstance(values, dict):
        return
    for name, usual in _defaults(kind).items():
        if name != "type" and values.get(name) == usual:
            drop(tree, f"{section}.{name}")


def _defaults(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the default values of a section, as a tree holds them."""
    return kind.model_construct().model_dump(mode="json")
