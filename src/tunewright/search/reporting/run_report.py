"""The report of a single run: one page of its curves, scores and settings."""

import shlex
import time
from pathlib import Path

from tunewright.config.tree import flatten
from tunewright.errors import UsageError
from tunewright.recipes.registry import can_evaluate
from tunewright.reports.pages.run_page import RunContents, write_run_page
from tunewright.reports.report_file import ReportFile
from tunewright.reports.study.contents import Command
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.search.read_study import is_study
from tunewright.search.reporting.study_report import last_lines, read_evaluation


def run_to_report(name: Path | str | None, runs: Path) -> RunFolder | None:
    """Return the run that a name means; None where it is not one, but maybe a study."""
    if name is None or is_study(str(name), runs):
        return None
    for place in (Path(name).expanduser(), runs / name):
        if (place / "config.yaml").is_file():
            return RunFolder(place)
    return None


def report_run(
    run: RunFolder, *, output: Path | None = None, figure: str | None = None
) -> ReportFile:
    """Write the report of a run; output: None for `report.html` in its folder.

    Raises UsageError for a figure, which studies alone have; DataError for a damaged folder.
    """
    if figure is not None:
        raise UsageError(
            f"--figure {figure} of the run {run.path}",
            expected="a study: the figures show several trials",
            remedy=f"Leave --figure out: tunewright report {shlex.quote(str(run.path))}.",
        )
    file = output or run.path / "report.html"
    tree = run.read_config()
    figures = read_json(run.path / "evaluation.json")
    has_scores = figures is not None and isinstance(figures.get("metrics"), dict)
    place = shlex.quote(str(run.path))
    contents = RunContents(
        name=run.path.name,
        goal=str(tree.get("goal", "")),
        history=read_progress(run.progress),
        outcome=run.read_outcome(),
        configuration=flatten(tree),
        evaluation=read_evaluation("this run", run, figures, file.parent)
        if has_scores and figures is not None
        else None,
        commands=[
            Command("Train it again:", f"tunewright train {shlex.quote(str(run.config))}"),
            *([Command("Evaluate it:", f"tunewright evaluate {place}")] * can_evaluate(run)),
        ],
        log=last_lines(run.log),
        made=time.strftime("Written on %Y-%m-%d at %H:%M."),
    )
    write_run_page(contents, file)
    return ReportFile(run.path.name, file)
