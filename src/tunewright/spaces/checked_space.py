"""A space that was checked against a recipe and its data, as the function `space` returns it."""

from dataclasses import dataclass
from typing import Any

from tunewright.result import Result, to_json
from tunewright.spaces.space import Space
from tunewright.spaces.specification import specification


@dataclass(frozen=True)
class CheckedSpace(Result):
    """The space to search. notices: what was changed in it, and what to know about it."""

    space: Space
    notices: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the space as a space file holds it, and the notices."""
        return {**to_json(specification(self.space)), "notices": list(self.notices)}
