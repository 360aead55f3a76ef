"""The ranking of a search over gamma and w_lr, as it is printed."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tunewright.analysis.grid.run_result import label_of
from tunewright.cli.output.formatting import from_here, print_line

if TYPE_CHECKING:
    from tunewright.deliver.results.rate_distortion import SearchReport


def print_search_report(console: Console, found: "SearchReport") -> None:
    """Print the best combinations of each lambda, what they say, the notices and the files."""
    from tunewright.deliver.results.report_text import ranking_rows

    analysis = found.analysis
    print_line(console, f"{analysis.runs} runs in {found.source}, ranked by {analysis.metric}")
    for ranking in analysis.rankings:
        header, *rows = ranking_rows(ranking, analysis, found.top)
        name = "no lambda" if ranking.lmbda is None else f"lambda = {label_of(ranking.lmbda)}"
        table = Table(title=f"{name}: {len(rows)} of {len(ranking.cells)} combinations")
        for column in header:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        print_line(console, ranking.verdict)
    for notice in analysis.notices:
        print_line(console, f"note: {notice}")
    for file in found.files:
        print_line(console, f"  {from_here(file)}")
