"""A trial is a training run with a few config values replaced; here they are replaced."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from tunewright.config.check import checked
from tunewright.config.leaves import without_foreign_keys
from tunewright.config.tree import Tree, copied, put

C = TypeVar("C", bound=BaseModel)


def with_values(
    tree: Mapping[str, Any], values: Mapping[str, Any], schema: type[C]
) -> tuple[Tree, C]:
    """The configuration with `values` (by path) in it: complete tree and checked model.

    When a section changes its `type`, values that the new kind also has stay, those it does
    not have go, and the rest are its defaults. Raises ConfigError for what does not fit.
    """
    changed = copied(tree)
    for path, value in values.items():
        put(changed, path, value)
    kept, _ = without_foreign_keys(changed, schema)
    config = checked(kept, schema)
    return config.model_dump(mode="json"), config
