"""`tunewright analyze DIR --rate-distortion`: rank a search over gamma and w_lr, with its plots."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.analysis.grid.run_result import Value
from tunewright.deliver.results.analyzer import HyperparameterAnalyzer
from tunewright.deliver.results.search_analysis import SearchAnalysis
from tunewright.deliver.results.study_heatmap import heat_map_names
from tunewright.errors import NotWritten, UsageError
from tunewright.result import Result, to_json
from tunewright.runs.atomic import NAMED
from tunewright.runs.regular_files import exists

REPORT = "hparam_report.txt"
PARAMETERS = "gamma,w_lr"


@dataclass(frozen=True)
class SearchReport(Result):
    """The ranking of a search, and the files that were written. source: where it was read.

    top: combinations of each lambda that are shown.
    """

    source: Path
    analysis: SearchAnalysis
    files: tuple[Path, ...]
    top: int

    def as_json(self) -> dict[str, Any]:
        """Return the rankings with their verdicts, the notices and the files."""
        verdicts = {str(one.lmbda): one.verdict for one in self.analysis.rankings}
        return {**self.analysis.as_json(), "verdicts": verdicts, "files": to_json(self.files)}


def analyze_rate_distortion(
    study: Path | str | None = None,
    *,
    metric: str = "psnr",
    lambda_value: float | None = None,
    heatmap: str = PARAMETERS,
    top: int = 5,
    output: Path | str | None = None,
    runs_dir: Path | str = Path("runs"),
) -> SearchReport:
    """Rank a search over gamma and w_lr; write its report, heat maps and comparison plots.

    study: what `HyperparameterAnalyzer` reads, or its name in `runs_dir`; None is `runs_dir`.
    lambda_value: the only lambda with a heat map; None makes one for each. output: a folder for
    all files, by default that of the results. Raises DataError where there are no results,
    UsageError for an unknown metric, parameter or lambda.
    """
    source = Path(runs_dir) if study is None else Path(study).expanduser()
    if not exists(source) and exists(Path(runs_dir) / source):
        source = Path(runs_dir) / source
    folder = Path(output).expanduser() if output is not None else _folder_of(source)
    if folder.suffix or folder.is_file():
        raise UsageError(
            f"--output {folder} with --rate-distortion",
            expected="a folder, in which the report and the plots are written",
        )
    names = heat_map_names(heatmap)
    analyzer = HyperparameterAnalyzer(source)
    found = analyzer.analyze(metric)
    if lambda_value is not None:
        found.ranking(lambda_value)
    known = [one.lmbda for one in found.rankings if one.lmbda is not None]
    chosen: list[Value] = [lambda_value] if lambda_value is not None else [*known] or [None]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(f"{folder} cannot be written: {error.strerror}", remedy=NAMED) from None
    files = [analyzer.save_report(folder / REPORT, top=top)]
    for lmbda in chosen:
        value = lmbda if isinstance(lmbda, float) else None
        files += analyzer.plot_heatmap(*names, found.metric, value, output=folder)
    for name in names:
        if name in found.parameters:
            files += analyzer.plot_comparison(name, output=folder)
    return SearchReport(source, found, tuple(files), top)


def _folder_of(source: Path) -> Path:
    return source if source.is_dir() else source.parent
