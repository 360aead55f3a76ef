"""Charts of importances: of each parameter and pair for the goal, and for other metrics."""

from collections.abc import Sequence

from tunewright.analysis.shares.importances import METHODS, Importances, ParameterShare
from tunewright.reports.charts.chart import Chart, ChartAxis, Series
from tunewright.reports.figures import COLOURS
from tunewright.reports.study.contents import StudyContents

BLUE = COLOURS[0]
BARS = 20
"""Parameters that a chart shows at most, the most important ones."""
FEW_BARS = 8
"""Those of another metric than the goal."""


def importances(contents: StudyContents) -> list[Chart]:
    """Show the share of each parameter in what sets the best trials apart, with intervals."""
    details = contents.overview.importance_details
    if details is None:  # without intervals
        rows = [ParameterShare(*item) for item in contents.overview.importances.items()]
        notes, method = contents.overview.importance_notes, METHODS["ped-anova"]
    else:
        rows, notes, method = list(details.parameters), details.notes, details.about
    if not any(row.share for row in rows):
        return []
    charts = [_bars("Importance of each parameter", rows, f"share, by {method}", notes, BARS)]
    return charts + ([] if details is None else _pairs(details))


def other_metrics(contents: StudyContents) -> list[Chart]:
    """Show the shares for each other metric, a small chart each."""
    return [
        _bars(f"Importances for {one.metric}", one.parameters, _end(one), (), FEW_BARS)
        for one in contents.overview.other_importances
    ]


def _bars(
    title: str, rows: Sequence[ParameterShare], axis: str, notes: Sequence[str], most: int
) -> Chart:
    """Return a chart of the most important parameters, the first one on top."""
    known = sorted((row for row in rows if row.share is not None), key=lambda row: row.share or 0.0)
    shown = known[-most:]
    names = [row.parameter for row in shown]
    some = any(row.low is not None for row in shown)
    bars = Series(
        "",
        [row.share for row in shown],
        names,
        "bars",
        colour=BLUE,
        low=[row.low for row in shown] if some else (),
        high=[row.high for row in shown] if some else (),
        texts=[_text(row) for row in shown],
        across=True,
    )
    sentences = [f"{note[0].upper()}{note[1:]}".rstrip(".") for note in notes if note]
    if some:
        sentences.insert(0, "Lines are 95 % intervals; one that begins at 0 may be chance")
    if len(known) > len(shown):
        sentences.append(f"The {len(shown)} most important of {len(known)} parameters")
    return Chart(
        title,
        [bars],
        ChartAxis(axis),
        ChartAxis(categories=names),
        note=" ".join(f"{sentence}." for sentence in sentences),
        height=max(220, 110 + 26 * len(shown)),
    )


def _pairs(details: Importances) -> list[Chart]:
    """Show the pairs of parameters that surely act together; nothing where none does."""
    shown = details.sure_pairs[::-1]
    if not shown:
        return []
    names = [f"{pair.first} with {pair.second}" for pair in shown]
    bars = Series(
        "",
        [pair.share for pair in shown],
        names,
        "bars",
        colour=BLUE,
        low=[pair.low for pair in shown],
        high=[pair.high for pair in shown],
        across=True,
    )
    return [
        Chart(
            "Parameters that act together",
            [bars],
            ChartAxis("share of the variance"),
            ChartAxis(categories=names),
            note="What a pair explains beyond both of its parameters alone: the best value of one "
            "depends on the other. Lines are 95 % intervals.",
            height=max(220, 110 + 26 * len(shown)),
        )
    ]


def _end(one: Importances) -> str:
    way = "more" if one.direction == "max" else "less"
    return f"share ({way} is better), {one.about}"


def _text(row: ParameterShare) -> str:
    """Return what a bar says when it is pointed at."""
    text = f"{row.parameter}: {row.share:.2f}"
    if row.low is not None and row.high is not None:
        text += f" ({row.low:.2f} to {row.high:.2f})"
    if row.among_good is not None:
        text += f"; {row.among_good:.2f} among the better half of the trials"
    return f"{text}; {row.trials} trials have it" if row.trials else text
