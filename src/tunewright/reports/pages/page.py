"""A page of sections with cards, tables, charts and commands; charts are drawn by Plotly."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.analysis.findings.finding import Finding
from tunewright.reports.charts.chart import Chart, ParallelChart
from tunewright.reports.charts.interactive import figure_json
from tunewright.reports.study.contents import Command, EvaluationPicture
from tunewright.runs.atomic import write_with

if TYPE_CHECKING:
    from jinja2 import Template

PLOTLY = "{plotly}"
"""What stands in the template's own script element until the page is written."""


@dataclass(frozen=True)
class Card:
    """A figure of the first screen. tone: `better`, `worse` or empty."""

    label: str
    value: str
    remark: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table. numbers: whether all columns but the first are aligned as numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    numbers: bool = True


@dataclass(frozen=True)
class Panel:
    """A chart on the page: its JSON for Plotly, and what stands around it."""

    title: str
    json: str
    note: str
    wide: bool
    height: int
    anchor: str


@dataclass(frozen=True)
class Log:
    """Lines that are folded away until they are asked for."""

    title: str
    text: str


@dataclass(frozen=True)
class PageSection:
    """A part of the page, from top to bottom."""

    title: str
    lead: str = ""
    cards: Sequence[Card] = ()
    tables: Sequence[Table] = ()
    findings: Sequence[Finding] = ()
    commands: Sequence[Command] = ()
    panels: Sequence[Panel] = ()
    logs: Sequence[Log] = ()
    pictures: Sequence[EvaluationPicture] = ()
    links: Sequence[str] = ()

    @property
    def anchor(self) -> str:
        """The name of the section within the page's address."""
        return self.title.lower().replace(" ", "-")


def write_figure_page(charts: Sequence[Chart | ParallelChart], title: str, file: Path) -> None:
    """Write charts alone as a page."""
    panels = [chart_panel(chart, f"chart-{index}") for index, chart in enumerate(charts)]
    write_sections(file, title, "", [PageSection("Figure", panels=panels)])


def write_sections(
    file: Path, heading: str, subtitle: str, sections: Sequence[PageSection]
) -> None:
    """Write a page; raise NotWritten where the disk refuses it.

    Texts are escaped: names and values of users are shown as they are.
    """
    # Plotly's five megabytes pass as the bytes that they are: as text they cost more than the rest.
    page = _template().render(
        title=heading,
        heading=heading,
        subtitle=subtitle,
        sections=sections,
        plotly=PLOTLY,
        footer="Written by Tunewright. This page needs no network and no other file.",
    )
    before, _, after = page.partition(f"<script>{PLOTLY}</script>")
    script = b"".join((b"<script>", _plotly_script(), b"</script>"))
    write_with(file, lambda new: new.write_bytes(before.encode() + script + after.encode()))


def _plotly_script() -> bytes:
    """Return the script that draws the charts; read from Plotly's files, which is quicker."""
    spec = find_spec("plotly")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder) / "package_data" / "plotly.min.js"
        if file.is_file():
            return file.read_bytes()
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def chart_panel(chart: Chart | ParallelChart, anchor: str) -> Panel:
    """Return a chart for a page. anchor: its name there, which no other panel has."""
    return Panel(chart.title, figure_json(chart), chart.note, chart.wide, chart.height, anchor)
