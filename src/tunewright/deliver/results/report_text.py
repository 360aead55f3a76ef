"""The text report of a search: tables, verdicts and notices."""

from collections.abc import Sequence

from tunewright.analysis.grid.rank_cells import LambdaRanking, RankedCell
from tunewright.analysis.grid.run_result import label_of
from tunewright.deliver.results.search_analysis import SearchAnalysis

WIDTH = 72


def report_text(found: SearchAnalysis, source: str, *, top: int) -> str:
    """Return the report as lines of plain text. top: cells of each lambda that are listed."""
    lines = [
        "HYPERPARAMETER SEARCH",
        "=" * WIDTH,
        f"results    {found.runs} runs in {source}",
        f"ranked by  {found.metric} ({'more' if found.direction == 'max' else 'less'} is better)",
    ]
    for ranking in found.rankings:
        name = "no lambda" if ranking.lmbda is None else f"lambda = {label_of(ranking.lmbda)}"
        shown = min(top, len(ranking.cells))
        lines += ["", f"{name}: the best {shown} of {len(ranking.cells)} combinations", "-" * WIDTH]
        lines += _table(ranking_rows(ranking, found, top))
        lines += ["", f"recommendation: {ranking.verdict}"]
    if found.notices:
        lines += ["", "notes", "-" * WIDTH, *(f"- {notice}" for notice in found.notices)]
    return "\n".join(lines) + "\n"


def ranking_rows(ranking: LambdaRanking, found: SearchAnalysis, top: int) -> list[tuple[str, ...]]:
    """Return the header and the rows of a ranking's table."""
    cells = ranking.cells[:top]
    beside = list(dict.fromkeys(name for cell in cells for name in cell.beside))
    header = ("rank", *found.parameters, found.metric, "±", "n", *beside, "")
    return [header, *(_row(cell, found.parameters, beside) for cell in cells)]


def _row(cell: RankedCell, names: Sequence[str], beside: Sequence[str]) -> tuple[str, ...]:
    marks = ["tied"] * cell.tied + [f"{cell.badly} ended badly"] * bool(cell.badly)
    return (
        str(cell.rank),
        *(label_of(cell.parameters[name]) for name in names),
        f"{cell.mean:.5g}",
        "" if cell.spread is None else f"{cell.spread:.2g}",
        str(cell.runs),
        *(f"{cell.beside[name]:.5g}" if name in cell.beside else "-" for name in beside),
        ", ".join(marks),
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
