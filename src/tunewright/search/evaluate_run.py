"""Run a recipe's evaluation in a subprocess, since the coordinator does not import torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from tunewright.config.schema import RunConfig
from tunewright.errors import RunError
from tunewright.executors.resources import threads_each
from tunewright.executors.subprocess_call import call
from tunewright.recipes.recipe import Recipe, import_object
from tunewright.reports.notebook import evaluation_summary, link
from tunewright.reports.report_file import ReportFile
from tunewright.result import Result, to_json
from tunewright.runs.folder import RunFolder
from tunewright.search.reporting.run_report import report_run


@dataclass(frozen=True)
class Evaluation(Result):
    """The scores of a run on one split of its data, or on other data.

    folder: of the run. figures: everything that its recipe measured, by name: what the file
    `evaluation.json` holds.
    """

    folder: RunFolder
    figures: Mapping[str, Any]

    @property
    def split(self) -> str:
        """The split that was measured, or the name of the other data."""
        return str(self.figures["split"])

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics of the run."""
        found: Mapping[str, float] = self.figures["metrics"]
        return found

    @property
    def baselines(self) -> Mapping[str, Mapping[str, float]]:
        """The metrics of simple methods on the same data, by the name of the method."""
        found: Mapping[str, Mapping[str, float]] = self.figures.get("baselines", {})
        return found

    @property
    def notes(self) -> Sequence[str]:
        """What the scores must be read with."""
        found: Sequence[str] = self.figures.get("notes", ())
        return found

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the evaluation wrote."""
        return tuple(self.folder.path / name for name in self.figures.get("files", ()))

    def as_json(self) -> dict[str, Any]:
        """Return the figures."""
        found: dict[str, Any] = to_json(self.figures)
        return found

    def report(self, *, output: Path | None = None) -> ReportFile:
        """Write the report of the run, as `tunewright.report` does."""
        return report_run(self.folder, output=output)

    def _repr_html_(self) -> str:
        """Return the metrics beside those of the baselines, the notes and links to the files."""
        links = "".join(link(file, file.name) for file in self.files)
        return evaluation_summary(self.figures) + links


def evaluate_run(
    recipe: Recipe,
    folder: RunFolder,
    config: RunConfig,
    split: str | None = None,
    seconds: float | None = None,
) -> Evaluation | None:
    """Evaluate a run with the recipe's own function, in a subprocess.

    Returns None where the recipe has no evaluation. seconds: time limit after which the subprocess
    is ended and RunError is raised.
    """
    if not recipe.offers("evaluate"):
        return None
    function = _LazyImport(recipe.capabilities["evaluate"])
    if config.executor.type == "inline":
        found = function(folder.path, split)
    else:
        threads = threads_each(config.executor)
        try:
            found = call(function, folder.path, split, threads=threads, seconds=seconds)
        except RunError as error:
            options = () if split is None else ("--split", split)
            raise _evaluation_error(folder, error, *options) from None
    recipe.run_files(folder)
    return Evaluation(folder, found)


def evaluate_run_on(
    recipe: Recipe,
    folder: RunFolder,
    config: RunConfig,
    data: Path,
    on_progress: Callable[[str, int, int], None],
) -> Evaluation:
    """Evaluate a run on other data with the recipe's own function, in a subprocess.

    on_progress: called with the current activity, the amount done and the total.
    """
    function = _LazyImport(recipe.capabilities["evaluate_on"])
    if config.executor.type == "inline":
        found = function(folder.path, data, lambda report: on_progress(*report))
        return Evaluation(folder, found)
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
    return Evaluation(folder, found)


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
