"""`tunewright models`: image models with their sizes and licences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.errors import UsageError
from tunewright.executors.subprocess_call import call
from tunewright.result import Result


@dataclass(frozen=True)
class ModelList(Result):
    """Models whose names match. rows: see `classification.models.model_table.ModelRow`."""

    classes: int
    rows: tuple[Mapping[str, Any], ...]
    notices: tuple[str, ...]


def models(
    wanted: str = "", *, classes: int = 100, limit: int = 40, inline: bool = False
) -> ModelList:
    """Return models whose names contain `wanted`, or match it if it has a `*`.

    Short names (ColorNet-V1 with each fusion, the six of the flower guide) come first, timm's
    follow; without `wanted`, only the short names are listed. Nothing is loaded or downloaded:
    sizes are those of the safetensors file that an export for `classes` classes writes, without
    its metadata. inline: build the models in this process, which then imports torch. Raises
    UsageError when nothing matches.
    """
    if classes < 1 or limit < 1:
        raise UsageError(f"{classes} classes, {limit} rows", expected="at least one of each")
    found = (
        _table(wanted, classes, limit)
        if inline
        else call(_table, wanted, classes, limit, threads=1)
    )
    if not found["rows"] and not found["failed"]:
        near = found["near"]
        raise UsageError(
            f"no model name contains {wanted!r}",
            remedy=f"Did you mean {', '.join(near)}?" if near else "tunewright models lists some.",
        )
    notices = [f"could not be built: {name}" for name in found["failed"]]
    if found["left_out"]:
        notices.append(
            f"{found['left_out']} more match: a longer filter, or --limit "
            f"{len(found['rows']) + len(found['failed']) + found['left_out']}"
        )
    if not wanted:
        notices.append(f"timm knows {found['known']} more: tunewright models FILTER")
    return ModelList(classes, tuple(found["rows"]), tuple(notices))


def _table(wanted: str, classes: int, limit: int) -> dict[str, Any]:
    """Return the rows as plain values; imports torch and timm in the process that calls it."""
    from tunewright.classification.models.model_table import table

    return table(wanted, classes, limit)
