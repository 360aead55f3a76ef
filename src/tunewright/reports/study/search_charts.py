"""Charts of the course of a search: scores by trial, learning curves, workers over time."""

from collections.abc import Iterable, Sequence

from tunewright.analysis.history import best_by_hours, best_so_far, timeline
from tunewright.reports.charts.chart import Chart, ChartAxis, Series
from tunewright.reports.figures import COLOURS
from tunewright.reports.study.contents import StudyContents
from tunewright.runs.quantities import duration
from tunewright.runs.record import StudyRecord, Trial, TrialState

BLUE, RED, GREEN = COLOURS[0], COLOURS[1], COLOURS[2]
CURVES = 400
"""Learning curves that a chart shows at most; more are a surface, not lines."""
POINTS = 80
"""Epochs of a curve that are drawn at most."""
LANES = 64
"""Workers that the timeline shows at most."""
STATES: dict[TrialState, tuple[str, str]] = {
    "done": ("finished", BLUE),
    "pruned": ("pruned", "pale"),
    "infeasible": ("diverged or out of memory", RED),
    "failed": ("failed", RED),
    "paused": ("paused at a rung", "pale"),
    "running": ("running", GREEN),
}
"""How trials of each state are called and coloured."""
LEFT = "left at a rung"
"""How pruned trials are called that waited at a rung when the search ended."""


def history(contents: StudyContents) -> list[Chart]:
    """Show the score of every trial by number, and the best so far.

    Trials that were pruned or paused stand at the last value they reported, which is that of fewer
    epochs.
    """
    record = contents.record
    series = []
    for state in ("pruned", "paused", "done"):
        placed = [(t, v) for t in record.of_state(state) if (v := _last_value(t)) is not None]
        name, colour = STATES[state]
        if state == "pruned" and placed and all(trial.rung for trial, _ in placed):
            name = LEFT
        if state == "paused" and not placed:
            continue
        series.append(
            Series(
                name,
                [trial.number for trial, _ in placed],
                [value for _, value in placed],
                colour=colour,
                size=6,
                opacity=0.8,
            )
        )
    steps = best_so_far(record)
    if steps:
        last = max(trial.number for trial in record.trials)
        x, y = [*(n for n, _ in steps), last], [*(s for _, s in steps), steps[-1][1]]
        series.append(Series("best so far", x, y, "steps", size=2))
    lost = [t.number for t in record.of_state("infeasible", "failed") if _last_value(t) is None]
    left_out = f"{len(lost)} trials without any score are left out. " if lost else ""
    return [
        Chart(
            "Score by trial",
            series,
            ChartAxis("trial"),
            ChartAxis(record.goal),
            note=f"{left_out}Trials that were {_stopped(record)} stand at their last value, after "
            "fewer epochs.",
            wide=True,
        )
    ]


def _stopped(record: StudyRecord) -> str:
    """Return what became of the trials that were not trained to their end."""
    stopped = record.of_state("pruned", "paused")
    kinds = {"left at a rung" if t.rung else "pruned" for t in stopped}
    return " or ".join(sorted(kinds, reverse=True)) or "pruned"


def _last_value(trial: Trial) -> float | None:
    if trial.state == "done":
        return trial.score
    return trial.curve[max(trial.curve)] if trial.curve else None


def curves(contents: StudyContents) -> list[Chart]:
    """Show the learning curve of each trial: pruned ones light, the best one on top."""
    record = contents.record
    with_curve = [trial for trial in record.trials if trial.curve]
    if not with_curve:
        return []
    best = record.best
    kept = _spread(with_curve, CURVES)
    groups = {
        _stopped(record): [t for t in kept if t.state != "done"],
        "finished": [t for t in kept if t.state == "done" and t is not best],
    }
    series = [
        _join_curves(name, trials, colour, opacity)
        for (name, trials), (colour, opacity) in zip(
            groups.items(), (("pale", 0.6), (BLUE, 0.55)), strict=True
        )
        if trials
    ]
    if best is not None and best.curve:
        series.append(_join_curves(f"best: trial {best.number}", [best], RED, 1.0, size=2.5))
    few = (
        f"{len(kept)} of {len(with_curve)} curves, evenly by rank. "
        if len(kept) < len(with_curve)
        else ""
    )
    return [
        Chart(
            "Learning curves",
            series,
            ChartAxis("epoch"),
            ChartAxis(record.goal),
            note=f"{few}Light curves were {_stopped(record)} or did not end.",
            wide=True,
        )
    ]


def _spread(trials: Sequence[Trial], most: int) -> list[Trial]:
    """Return at most so many trials, evenly over their order."""
    if len(trials) <= most:
        return list(trials)
    return [trials[round(place * (len(trials) - 1) / (most - 1))] for place in range(most)]


def _join_curves(
    name: str, trials: Iterable[Trial], colour: str, opacity: float, *, size: float = 1.2
) -> Series:
    """Return all curves as one line with gaps: a thousand lines of their own are slow to draw."""
    x: list[float | None] = []
    y: list[float | None] = []
    for trial in trials:
        steps = sorted(trial.curve)
        every = -(-len(steps) // POINTS)
        shown = steps[::every] if steps[-1] in steps[::every] else [*steps[::every], steps[-1]]
        x += [*shown, None]
        y += [*(trial.curve[step] for step in shown), None]
    return Series(name, x, y, "line", colour=colour, opacity=opacity, size=size)


def workers(contents: StudyContents) -> list[Chart]:
    """Show when each trial ran, one row a worker; gaps are idle time."""
    found = timeline(contents.record)
    if found is None:
        return []
    hours = 3600.0 if found.ended - found.began > 2 * 3600.0 else 60.0
    shown = found.lanes[:LANES]
    names = [f"worker {place + 1}" for place in range(len(shown))]
    series = []
    for state, (name, colour) in STATES.items():
        x: list[float | None] = []
        y: list[str | None] = []
        for lane, trials in zip(names, shown, strict=True):
            for trial in trials.trials:
                if trial.state == state and trial.started is not None and trial.seconds:
                    start = (trial.started - found.began) / hours
                    x += [start, start + trial.seconds / hours, None]
                    y += [lane, lane, None]
        if x:
            series.append(Series(name, x, y, "line", colour=colour, size=10))
    whole = duration(found.ended - found.began)
    more = f" {len(found.lanes) - LANES} workers more." if len(found.lanes) > LANES else ""
    return [
        Chart(
            "Workers over time",
            series,
            ChartAxis(f"{'hours' if hours == 3600.0 else 'minutes'} since the first trial began"),
            ChartAxis(categories=names[::-1]),
            note=f"{found.idle:.0%} of the workers' time was idle, of {whole} in all.{more} "
            "A row is a worker that was busy at once with the others.",
            wide=True,
            height=min(900, 140 + 26 * len(names)),
        )
    ]


def gains(contents: StudyContents) -> list[Chart]:
    """Show the best score so far by the hours since the search began: what each gain cost."""
    points = best_by_hours(contents.record)
    found = timeline(contents.record)
    if not points or found is None:
        return []
    end = max((found.ended - found.began) / 3600.0, points[-1][0])
    unit, name = (1.0, "hours") if end > 2.0 else (60.0, "minutes")
    x = [*(hours * unit for hours, _ in points), end * unit]
    y = [*(score for _, score in points), points[-1][1]]
    line = Series("", x, y, "steps", size=2)
    axes = ChartAxis(f"{name} since the first trial began"), ChartAxis(contents.record.goal)
    return [Chart("Best score so far, by time", [line], *axes)]


def goals(contents: StudyContents) -> list[Chart]:
    """Show the first goal against each other goal, with the Pareto front."""
    record = contents.record
    front = {trial.number for trial in record.front()} if record.others else set()
    return [_front_chart(record, goal.metric, front) for goal in record.others]


def _front_chart(record: StudyRecord, metric: str, front: set[int]) -> Chart:
    done = [t for t in record.of_state("done") if t.score is not None and metric in t.others]
    series = []
    for name, colour, chosen in (("others", "pale", False), ("Pareto front", BLUE, True)):
        trials = [trial for trial in done if (trial.number in front) is chosen]
        series.append(
            Series(
                name,
                [trial.score for trial in trials],
                [trial.others[metric] for trial in trials],
                colour=colour,
                texts=[f"trial {trial.number}" for trial in trials],
            )
        )
    return Chart(f"{metric} and {record.goal}", series, ChartAxis(record.goal), ChartAxis(metric))
