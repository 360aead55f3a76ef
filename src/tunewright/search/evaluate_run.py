"""Run a recipe's evaluation in a subprocess, since the coordinator does not import torch."""

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
    """Evaluate a run with the recipe's own function, in a subprocess; return the scores.

    seconds: time limit after which the subprocess is ended and RunError is raised.
    """
    if not recipe.offers("evaluate"):
        return None
    function = _LazyImport(recipe.capabilities["evaluate"])
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
    on_progress: Callable[[str, int, int], None],
) -> Mapping[str, Any]:
    """Evaluate a run on other data with the recipe's own function, in a subprocess.

    on_progress: called with the current activity, the amount done and the total.
    """
    function = _LazyImport(recipe.capabilities["evaluate_on"])
    found: Mapping[str, Any]
    if config.executor.type == "inline":
        found = function(folder.path, data, lambda report: on_progress(*report))
        return found
    threads = threads_each(config.executor)
    try:
        found = call(
            function,
            folder.path,
            data,
            threads=threads,
            on_message=lambda message: on_progress(*message),
        )
    except RunError as error:
        raise _evaluation_error(folder, error, "--data", str(data)) from None
    return found


def _evaluation_error(folder: RunFolder, error: RunError, *options: str) -> RunError:
    again = " ".join(quote(word) for word in (str(folder.path), *options))
    return RunError(
        f"the evaluation of {folder.path} failed: {error}",
        remedy=f"The training is complete: tunewright evaluate {again} repeats the evaluation.",
    )


@dataclass(frozen=True)
class _LazyImport:
    """Call the function named `module:function`, imported at the call, in the other process."""

    name: str

    def __call__(self, *arguments: Any) -> Any:
        return import_object(self.name)(*arguments)
