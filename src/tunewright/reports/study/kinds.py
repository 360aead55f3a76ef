"""The figures of a study by name, for the page and for a file of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.errors import StudyError, UsageError, did_you_mean
from tunewright.reports.charts.chart import Chart, ParallelChart
from tunewright.reports.charts.picture import write_charts
from tunewright.reports.heat_map import write_heat_map
from tunewright.reports.pages.page import write_figure_page
from tunewright.reports.picture_files import PAGE, check_output
from tunewright.reports.study import importance_charts, parameter_charts, search_charts
from tunewright.reports.study.audit_charts import audit_charts
from tunewright.reports.study.contents import StudyContents
from tunewright.reports.study.evaluation_charts import evaluation_charts

Charts = Sequence[Chart | ParallelChart]


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure. about: what it shows, in words."""

    about: str
    charts: Callable[[StudyContents], Charts]


def _evaluation(contents: StudyContents) -> Charts:
    return evaluation_charts(contents.evaluation) if contents.evaluation else ()


KINDS: Mapping[str, FigureKind] = {
    "history": FigureKind("score by trial, best so far", search_charts.history),
    "curves": FigureKind("learning curves of all trials", search_charts.curves),
    "importances": FigureKind("importance of each parameter", importance_charts.importances),
    "metrics": FigureKind("importances for other metrics", importance_charts.other_metrics),
    "isolation": FigureKind("best score with each value of a choice", parameter_charts.isolation),
    "slices": FigureKind("score by each parameter", parameter_charts.slices),
    "ranks": FigureKind("ranks by the two most important parameters", parameter_charts.ranks),
    "parallel": FigureKind("parallel coordinates", parameter_charts.parallel),
    "goals": FigureKind("the goals against each other", search_charts.goals),
    "evaluation": FigureKind("the final model by class, picture or metric", _evaluation),
    "audit": FigureKind("cheap scores against full ones", audit_charts),
    "workers": FigureKind("which trial ran when", search_charts.workers),
    "gains": FigureKind("best score by time", search_charts.gains),
}
"""The kinds that are made of charts; `heatmap` is drawn by its own module."""
HEAT_MAP = "heatmap"
NAMES = (*KINDS, HEAT_MAP)


def write_figure(contents: StudyContents, kind: str, file: Path) -> None:
    """Write one figure; the suffix is the format.

    Raises UsageError for an unknown kind or suffix, StudyError where the study has nothing to show
    in it, NotWritten where the disk refuses the file.
    """
    if kind not in NAMES:
        raise UsageError(
            f"--figure {kind}",
            expected=f"one of {', '.join(NAMES)}",
            remedy=did_you_mean(kind, NAMES),
        )
    check_output(file)
    if kind == HEAT_MAP:
        found = parameter_charts.pair_map(contents)
        if found is None:
            raise _nothing_to_show(contents, kind)
        write_heat_map(found, file)
        return
    charts = KINDS[kind].charts(contents)
    if not charts:
        raise _nothing_to_show(contents, kind)
    if file.suffix.lower() == PAGE:
        write_figure_page(charts, f"{contents.record.name}: {KINDS[kind].about}", file)
    else:
        write_charts(charts, file)


def _nothing_to_show(contents: StudyContents, kind: str) -> StudyError:
    needs = {
        "curves": "trials that report after each epoch",
        "goals": "a study with several goals",
        "metrics": "finished trials with further metrics, which their parameters move",
        "evaluation": "the evaluation of a final model, or of the best trial",
        "audit": "an audit: tunewright audit STUDY",
        "workers": "trials whose start and duration are stored",
        "gains": "finished trials whose start and duration are stored",
    }
    return StudyError(
        f"the study {contents.record.name!r} has nothing to show in the figure {kind}",
        expected=needs.get(kind, "finished trials that differ in their parameters"),
    )
