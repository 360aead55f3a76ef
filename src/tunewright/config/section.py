"""The base of all configuration sections, and types of numbers."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Options = dict[str, Any]
"""Keyword arguments of a component, which takes more of them than a schema can list."""
PATH = "path"
PathText = Annotated[str, PATH]
"""A file or folder: what follows `key=` on the command line is its name, as typed."""
T = TypeVar("T")


def distinct(items: tuple[T, ...]) -> tuple[T, ...]:
    """Validate that no item occurs twice."""
    if len(set(items)) < len(items):
        raise ValueError("each of them once")
    return items


class Section(BaseModel):
    """A frozen, strict part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def keywords(self) -> dict[str, Any]:
        """Return its values as the keyword arguments of the component that its `type` names."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "type"}
