"""The analyzer of the guide: results of a search over gamma and w_lr, their ranking and plots."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tunewright.analysis.grid.effect_curves import effect_panel
from tunewright.analysis.grid.heat_map import HeatMap, Point, heat_map
from tunewright.analysis.grid.rank_cells import LambdaRanking, RankedCell
from tunewright.analysis.grid.run_result import RunResult, Value, goal_of, label_of
from tunewright.deliver.results.parameter_names import GAMMA, LAMBDA, find_name
from tunewright.deliver.results.read_results import read_results
from tunewright.deliver.results.report_text import report_text
from tunewright.deliver.results.result_set import ResultSet
from tunewright.deliver.results.search_analysis import APART, SearchAnalysis, analyze_search
from tunewright.errors import UsageError, did_you_mean
from tunewright.reports.effect_plot import write_effects
from tunewright.reports.heat_map import write_heat_map
from tunewright.result import Result
from tunewright.runs.atomic import NAMED, write_text
from tunewright.runs.record import Goal

METRIC = "psnr"
TOP = 5
FORMATS = (".png", ".html")


@dataclass(frozen=True)
class Recommendation(Result):
    """Parameters to use at one lambda. tied: whether the runs do not tell them from the best."""

    lmbda: Value
    parameters: dict[str, Value]
    rank: int
    score: float
    runs: int
    tied: bool
    verdict: str


class HyperparameterAnalyzer:
    """Analyzes the results of a search over gamma and w_lr, one lambda at a time.

    results_dir: a study of `compression`, a folder of studies, folders
    `lambda_<l>_gamma_<g>_wlr_<w>` with `metrics.json`, offline runs of W&B, CSV files, or a folder
    with several of them: all are joined. Nothing in them is unpickled.
    """

    def __init__(self, results_dir: Path | str) -> None:
        self.results_dir = Path(results_dir).expanduser()
        self._found: ResultSet | None = None
        self._analysis: SearchAnalysis | None = None

    @property
    def results(self) -> tuple[RunResult, ...]:
        """The results that were read."""
        return self.load_results().results

    def load_results(self) -> ResultSet:
        """Read all results, once; raises DataError where there are none."""
        if self._found is None:
            self._found = read_results(self.results_dir)
        return self._found

    def analyze(self, metric: str = METRIC, maximize: bool | None = None) -> SearchAnalysis:
        """Rank the combinations of gamma and w_lr at each lambda.

        maximize: None where the direction of the metric is known, as for psnr, loss and bpp.
        Raises DataError where no result has the metric.
        """
        self._analysis = analyze_search(self.load_results(), goal_of(metric, maximize))
        return self._analysis

    def recommend_parameters(
        self, top_k: int = TOP, lambda_value: float | None = None
    ) -> list[Recommendation]:
        """Return the best combinations of a lambda, or of every lambda, best first.

        Ranked as `analyze` was last called. A combination whose distance from the best one the
        noise may explain is `tied`, and so is the best one then: nothing is recommended over it.
        """
        if top_k < 1:
            raise UsageError(f"top_k = {top_k}", expected="1 or more")
        found = self._analysis or self.analyze()
        chosen = found.rankings if lambda_value is None else (found.ranking(lambda_value),)
        return [_recommend(one, cell) for one in chosen for cell in one.cells[:top_k]]

    def heat_map(
        self, x: str, y: str, metric: str = METRIC, lambda_value: float | None = None
    ) -> HeatMap:
        """Return the means of a metric by the values of two parameters at one lambda.

        Raises UsageError for an unknown parameter or lambda.
        """
        goal, found = self._goal(metric), self.load_results()
        known = {name for run in found.results for name in run.parameters}
        names = (_parameter(x, known), _parameter(y, known))
        lmbda = self._lambda(lambda_value, goal)
        points, without = [], 0
        for run in found.results:
            measured = run.measured(goal)
            if not _same(run.parameters.get(LAMBDA), lmbda) and LAMBDA not in names:
                continue
            if measured is None or any(name not in run.parameters for name in names):
                without += 1
                continue
            points.append(Point(run.parameters[names[0]], run.parameters[names[1]], measured.value))
        if not points:
            raise UsageError(
                f"no result has {x}, {y} and {metric}", expected="two parameters that were searched"
            )
        where = "" if lmbda is None or LAMBDA in names else f", lambda = {label_of(lmbda)}"
        return heat_map(points, names, goal, title=f"{metric} of {len(points)} runs{where}")

    def plot_heatmap(
        self,
        x: str,
        y: str,
        metric: str = METRIC,
        lambda_value: float | None = None,
        *,
        output: Path | str | None = None,
    ) -> list[Path]:
        """Write the heat map of two parameters as PNG and HTML; return the files.

        output: a file, whose suffix is the format, or a folder; by default the folder of the
        results.
        """
        found = self.heat_map(x, y, metric, lambda_value)
        lmbda = "" if lambda_value is None else f"_lambda_{lambda_value:g}"
        files = self._files(output, f"heatmap_{x}_{y}_{metric}{lmbda}")
        for file in files:
            write_heat_map(found, file)
        return files

    def plot_comparison(
        self, parameter: str = GAMMA, *, output: Path | str | None = None
    ) -> list[Path]:
        """Write the metric along a parameter, one curve for each value of the other; return files.

        By the metric with which `analyze` was last called. output: as for `plot_heatmap`.
        """
        found = self._analysis or self.analyze()
        name = _parameter(parameter, found.parameters)
        panels = [effect_panel(ranking, name) for ranking in found.rankings]
        files = self._files(output, f"comparison_{parameter}")
        for file in files:
            write_effects(panels, name, found.metric, file)
        return files

    def save_report(self, file: Path | str, *, top: int = TOP) -> Path:
        """Write the tables, recommendations and notes as text; return the file."""
        found = self._analysis or self.analyze()
        path = Path(file).expanduser()
        write_text(path, report_text(found, str(self.results_dir), top=top), remedy=NAMED)
        return path

    def _goal(self, metric: str) -> Goal:
        """Return a metric with the direction that `analyze` was told, if it was that metric."""
        if self._analysis is not None and self._analysis.metric == metric:
            return goal_of(metric, self._analysis.direction == "max")
        return goal_of(metric)

    def _lambda(self, wanted: float | None, goal: Goal) -> Value:
        """Return the lambda of a heat map; raises UsageError for one that no result has."""
        found = self._analysis
        if found is None or found.metric != goal.metric:
            found = analyze_search(self.load_results(), goal)
        return found.ranking(wanted).lmbda

    def _files(self, output: Path | str | None, stem: str) -> list[Path]:
        place = Path(output).expanduser() if output is not None else None
        if place is not None and place.suffix and not place.is_dir():
            return [place]
        folder = place or (
            self.results_dir if self.results_dir.is_dir() else self.results_dir.parent
        )
        safe = stem.replace("/", "-")
        return [folder / f"{safe}{suffix}" for suffix in FORMATS]


def _recommend(ranking: LambdaRanking, cell: RankedCell) -> Recommendation:
    return Recommendation(
        ranking.lmbda,
        dict(cell.parameters),
        cell.rank,
        cell.mean,
        cell.runs,
        cell.tied,
        ranking.verdict,
    )


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=APART)
    return one == other


def _parameter(name: str, known: Collection[str]) -> str:
    found = find_name(name, known)
    if found is None:
        raise UsageError(
            f"no parameter {name!r} in the results",
            expected=f"one of {', '.join(sorted(known))}",
            remedy=did_you_mean(name, known),
        )
    return found
