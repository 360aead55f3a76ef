"""The recipe's own evaluation of a run, in a process of its own: the coordinator has no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from tunewright.config.schema import RunConfig
from tunewright.errors import RunError
from tunewright.executors.resources import threads_each
from tunewright.executors.subprocess_call import call
from tunewright.recipes.recipe import Recipe, import_object
from tunewright.runs.folder import RunFolder


def evaluate_run(
    recipe: Recipe,
    folder: RunFolder,
    config: RunConfig,
    split: str | None = None,
    seconds: float | None = None,
) -> Mapping[str, Any] | None:
    """What the recipe's own evaluation says of a run, computed in a process of its own.

    seconds: after which that process is ended, with a RunError.
    """
    if not recipe.evaluate:
        return None
    function = _LazyImport(recipe.evaluate)
    if config.executor.type == "inline":
        found: Mapping[str, Any] = function(folder.path, split)
        return found
    threads = threads_each(config.executor)
    try:
        answer: Mapping[str, Any] = call(
            function, folder.path, split, threads=threads, seconds=seconds
        )
    except RunError as error:
        raise _evaluation_error(folder, error) from None
    return answer


def evaluate_run_on(
    recipe: Recipe,
    folder: RunFolder,
    config: RunConfig,
    data: Path,
    told: Callable[[str, int, int], None],
) -> Mapping[str, Any]:
    """What the recipe says of a run on other data, computed in a process of its own.

    told: called with what is being done, how much is done, and how much there is.
    """
    function = _LazyImport(recipe.evaluate_on)
    found: Mapping[str, Any]
    if config.executor.type == "inline":
        found = function(folder.path, data, lambda said: told(*said))
        return found
    threads = threads_each(config.executor)
    try:
        found = call(
            function, folder.path, data, threads=threads, on_message=lambda message: told(*message)
        )
    except RunError as error:
        raise _evaluation_error(folder, error, "--data", str(data)) from None
    return found


def _evaluation_error(folder: RunFolder, error: RunError, *options: str) -> RunError:
    again = " ".join(quote(word) for word in (str(folder.path), *options))
    return RunError(
        f"the evaluation of {folder.path} failed: {error}",
        remedy=f"The training is whole: tunewright evaluate {again} measures it again.",
    )


@dataclass(frozen=True)
class _LazyImport:
    """A function by `module:function`, imported where it is called: in another process."""

    name: str

    def __call__(self, *arguments: Any) -> Any:
        return import_object(self.name)(*arguments)
