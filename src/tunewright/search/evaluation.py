"""The recipe's own evaluation of a run, in a process of its own: the coordinator has no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

from tunewright.config.schema import RunConfig
from tunewright.errors import RunError
from tunewright.executors.machine import Share
from tunewright.executors.once import call
from tunewright.recipes.recipe import Recipe, imported
from tunewright.runs.folder import RunFolder


def evaluated(
    recipe: Recipe,
    folder: RunFolder,
    config: RunConfig,
    machine: Share,
    split: str | None = None,
    seconds: float | None = None,
) -> Mapping[str, Any] | None:
    """What the recipe's own evaluation says of a run, computed in a process of its own.

    seconds: after which that process is ended, with a RunError.
    """
    if not recipe.evaluate:
        return None
    function = _Late(recipe.evaluate)
    if config.executor.type == "inline":
        found: Mapping[str, Any] = function(folder.path, split)
        return found
    threads = machine.threads * machine.slots
    try:
        answer: Mapping[str, Any] = call(
            function, folder.path, split, threads=threads, seconds=seconds
        )
    except RunError as error:
        raise RunError(
            f"the evaluation of {folder.path} failed: {error}",
            remedy="The training is whole: "
            f"tunewright evaluate {quote(str(folder.path))} measures it again.",
        ) from None
    return answer


@dataclass(frozen=True)
class _Late:
    """A function by `module:function`, imported where it is called: in another process."""

    name: str

    def __call__(self, *arguments: Any) -> Any:
        return imported(self.name)(*arguments)
