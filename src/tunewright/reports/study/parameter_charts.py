"""Charts of what the parameters did: scores by value, pairs, all at once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from tunewright.analysis.grid.heat_map import HeatMap, Point, heat_map
from tunewright.analysis.grid.run_result import label_of, plain_value, sort_values
from tunewright.analysis.isolation import categorical_paths, isolate
from tunewright.reports.charts.chart import (
    Chart,
    ChartAxis,
    Coordinate,
    ParallelAxis,
    ParallelChart,
    Series,
)
from tunewright.reports.figures import COLOURS
from tunewright.reports.study.contents import StudyContents
from tunewright.runs.record import Trial, losses, rank_with_ties

SLICES = 12
"""Parameters with a chart of their own, the most important ones."""
AXES = 10
"""Axes of parallel coordinates, the goal among them."""
ROWS = 1000
"""Trials that parallel coordinates show at most, the best ones."""
VALUES = 20
"""Values of a choice that a chart shows at most, the best ones."""
BLUE, RED = COLOURS[0], COLOURS[1]


def slices(contents: StudyContents) -> list[Chart]:
    """Show the score by the value of each parameter, with trials that have none as red marks."""
    charts = []
    for path in contents.ranked_paths[:SLICES]:
        axis, place = _axis_of(contents, path)
        if not (done := _trials_with(contents, path)):
            continue
        series = [
            Series(
                "finished",
                [place(trial) for trial in done],
                [trial.score for trial in done],
                colour=BLUE,
                opacity=0.7,
                size=6,
                texts=[f"trial {trial.number}: {trial.score:.5g}" for trial in done],
            )
        ]
        if ends := _left_with(contents, path):
            series.insert(
                0,
                Series(
                    "left at a rung, as predicted",
                    [place(trial) for trial, _ in ends],
                    [end for _, end in ends],
                    colour="pale",
                    opacity=0.7,
                    size=6,
                    texts=[f"trial {t.number}, {t.rung}: {end:.5g} predicted" for t, end in ends],
                ),
            )
        lost = [t for t in contents.record.of_state("infeasible") if path in t.parameters]
        if lost:
            worst = min(done, key=lambda t: contents.record.goals[0].sign * (t.score or 0.0))
            series.append(
                Series(
                    "diverged or out of memory",
                    [place(trial) for trial in lost],
                    [worst.score] * len(lost),
                    colour=RED,
                    size=6,
                    texts=[f"trial {trial.number}: {trial.cause}" for trial in lost],
                )
            )
        charts.append(Chart(path, series, axis, ChartAxis(contents.record.goal), height=300))
    return charts


def isolation(contents: StudyContents) -> list[Chart]:
    """Show the best score with each value of a choice, with its interval, best value first."""
    charts = []
    order = {path: place for place, path in enumerate(contents.ranked_paths)}
    paths = categorical_paths(contents.record, contents.domains)
    for path in sorted(paths, key=lambda name: order.get(name, len(order)))[:SLICES]:
        found = isolate(contents.record, path)[:VALUES]
        if len(found) < 2:
            continue
        ends = [one.best.interval or (None, None) for one in found]
        some = any(low is not None for low, _ in ends)
        points = Series(
            "",
            [one.label for one in found],
            [one.best.score for one in found],
            colour=BLUE,
            size=9,
            low=[low for low, _ in ends] if some else (),
            high=[high for _, high in ends] if some else (),
            texts=[
                f"{one.label}: {one.best.score:.5g}, the best of {one.trials} (trial "
                f"{one.best.number})"
                for one in found
            ],
        )
        few = [one for one in found if one.trials < 3]
        note = "Bars are 95 % intervals of the best trial's score." if some else ""
        if few:
            note += f" {len(few)} of {len(found)} values had fewer than 3 finished trials."
        charts.append(
            Chart(
                f"Best score by {path}",
                [points],
                ChartAxis(path, categories=[one.label for one in found]),
                ChartAxis(contents.record.goal),
                note=note.strip(),
                height=300,
            )
        )
    return charts


def parallel(contents: StudyContents) -> list[ParallelChart]:
    """Show each finished trial as a line across its most important parameters and its score."""
    ranked = [trial for trial in contents.record.rank_trials() if trial.score is not None][:ROWS]
    # A conditional parameter may be one that no finished trial has.
    had = {path for trial in ranked for path in trial.parameters}
    paths = [path for path in contents.ranked_paths if path in had][: AXES - 1]
    if len(ranked) < 2 or not paths:
        return []
    axes = []
    for path in paths:
        axis, place = _axis_of(contents, path)
        values = [place(trial) if path in trial.parameters else None for trial in ranked]
        if axis.categories:
            at = {name: float(index) for index, name in enumerate(axis.categories)}
            ticks = [(index, name) for name, index in at.items()]
            places = [None if v is None else at[str(v)] for v in values]
        else:
            numbers = [None if v is None else float(v) for v in values]
            ticks = []
            if axis.log:
                ticks = [(math.log10(v), f"{v:.3g}") for v in _decades(numbers)]
                numbers = [None if v is None else math.log10(v) for v in numbers]
            places = numbers
        axes.append(ParallelAxis(path, places, ticks))
    scores = [trial.score for trial in ranked if trial.score is not None]
    axes.append(ParallelAxis(contents.record.goal, scores))
    count = len(contents.record.of_state("done"))
    note = f"The best {len(ranked)} of {count} finished trials. " if len(ranked) < count else ""
    left = len(contents.ranked_paths) - len(paths)
    note += f"The {len(paths)} most important parameters of {len(paths) + left}. " if left else ""
    return [
        ParallelChart(
            "All parameters at once",
            axes,
            scores,
            contents.record.goal,
            note=f"{note}Drag along an axis to pick trials.",
        )
    ]


def _decades(numbers: Sequence[float | None]) -> list[float]:
    """Return the ends of a logarithmic axis and the powers of ten between them."""
    known = [number for number in numbers if number is not None]
    low, high = min(known), max(known)
    inside = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return sorted({low, high, *(10.0**power for power in inside)})


def ranks(contents: StudyContents) -> list[Chart]:
    """Show the ranks of trials by the two most important parameters: where good ones lie."""
    pair = _top_pair(contents)
    if pair is None:
        return []
    ends = [replace(trial, score=end) for trial, end in _left_with(contents, *pair)]
    if len(done := [*_trials_with(contents, *pair), *ends]) < 3:
        return []
    x, y = pair
    placed = rank_with_ties([losses(trial, contents.record.goals)[:1] for trial in done])
    (x_axis, x_place), (y_axis, y_place) = _axis_of(contents, x), _axis_of(contents, y)
    points = Series(
        "",
        [x_place(trial) for trial in done],
        [y_place(trial) for trial in done],
        shades=[-float(place) for (place,) in placed],
        size=8,
        texts=[f"trial {trial.number}: {trial.score:.5g}" for trial in done],
    )
    return [
        Chart(
            f"Where the good trials lie: {x} and {y}",
            [points],
            x_axis,
            y_axis,
            note="Bright points rank best."
            + (" Trials that were left at a rung stand by their predicted ends." if ends else ""),
            shade_title="rank",
        )
    ]


def pair_map(contents: StudyContents) -> HeatMap | None:
    """Return the mean score by the two most important parameters; None where there are none."""
    pair = _top_pair(contents)
    return None if pair is None else _map_of(contents, pair)


def named_maps(contents: StudyContents) -> list[HeatMap]:
    """Return the maps of the pairs that a recipe names, where trials have both parameters."""
    top = set(_top_pair(contents) or ())
    return [
        found
        for pair in contents.pairs
        if set(pair) != top and (found := _map_of(contents, pair)) is not None
    ]


def _map_of(contents: StudyContents, pair: tuple[str, str]) -> HeatMap | None:
    """Return the mean score by two parameters; None where no finished trial has both."""
    x, y = pair
    points = [
        Point(plain_value(trial.parameters[x]), plain_value(trial.parameters[y]), trial.score)
        for trial in _trials_with(contents, x, y)
        if trial.score is not None
    ]
    if not points:
        return None
    logs = (contents.is_log(x), contents.is_log(y))
    return heat_map(points, pair, contents.record.goals[0], logarithmic=logs)


def _top_pair(contents: StudyContents) -> tuple[str, str] | None:
    """Return the most important parameter, and the next one that trials have beside it."""
    first, *others = [
        path for path in contents.ranked_paths if path in contents.overview.importances
    ] or [""]
    second = next((path for path in others if _trials_with(contents, first, path)), None)
    return None if second is None else (first, second)


def _trials_with(contents: StudyContents, *paths: str) -> list[Trial]:
    """Return the finished trials that have a score and all these parameters."""
    return [
        trial
        for trial in contents.record.of_state("done")
        if trial.score is not None and all(path in trial.parameters for path in paths)
    ]


def _left_with(contents: StudyContents, *paths: str) -> list[tuple[Trial, float]]:
    """Return the trials left at a rung that have all these parameters, with predicted scores."""
    return [
        (trial, contents.left_ends[trial.number])
        for trial in contents.record.trials
        if trial.number in contents.left_ends and all(path in trial.parameters for path in paths)
    ]


def _axis_of(contents: StudyContents, path: str) -> tuple[ChartAxis, Callable[[Trial], Coordinate]]:
    """Return the axis of a parameter, and the function that places a trial on it."""
    values = [t.parameters[path] for t in contents.record.trials if path in t.parameters]
    plain = sort_values(plain_value(value) for value in values)
    numeric = all(isinstance(v, float) and math.isfinite(v) for v in plain)
    if numeric and contents.domains.get(path, {}).get("type") != "categorical":
        known = contents.is_log(path)
        log = _spans_decades(plain) if known is None else known

        def number(trial: Trial) -> float:
            return float(str(plain_value(trial.parameters[path])))

        return ChartAxis(path, log=log), number
    names = [label_of(value) for value in plain]

    def name(trial: Trial) -> str:
        return label_of(plain_value(trial.parameters[path]))

    return ChartAxis(path, categories=names), name


def _spans_decades(values: Sequence[object]) -> bool:
    """Return whether numbers of a study without a stored space call for a logarithmic axis."""
    numbers = [float(str(value)) for value in values]
    return bool(numbers) and min(numbers) > 0 and max(numbers) / min(numbers) >= 100.0
