"""The part of the terminal that is redrawn while a study or a training runs.

Every line is cut to the width and the whole to the height, so that nothing ever wraps.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from tunewright.cli.output.formatting import figure, remaining, short
from tunewright.runs.quantities import duration
from tunewright.runs.record import Trial
from tunewright.search.callbacks import StudyProgress

RECENT = 3
"""Number of recent prunes and failures that stay in view."""
BAR = (10, 40)
"""Smallest and largest width of the bar, in columns."""


@dataclass
class Working:
    """A running trial and its progress. began: by the clock, in seconds.

    usage: what its last epoch used of its machine.
    """

    values: Mapping[str, Any]
    where: str
    began: float
    step: int = 0
    last_step: int = 0
    score: float | None = None
    usage: Mapping[str, float] = field(default_factory=dict)


@dataclass
class LiveView:
    """The state of a study or a training, which Rich draws several times a second.

    epoch, trained, trained_left: of a single training: the current and last epoch, its latest
    metrics as text, and the seconds left. usage: what that epoch used of its machine. stops_early:
    whether it may end before its last epoch.
    """

    clock: Callable[[], float] = time.monotonic
    standing: StudyProgress | None = None
    estimated: float = 0.0
    working: dict[int, Working] = field(default_factory=dict)
    recent: deque[Trial] = field(default_factory=lambda: deque(maxlen=RECENT))
    epoch: tuple[int, int] | None = None
    trained: str = ""
    usage: Mapping[str, float] = field(default_factory=dict)
    trained_left: float | None = None
    stops_early: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the lines, cut to the width and to the height."""
        lines = self.lines(options.max_width, console.size.height - 1)
        for number, line in enumerate(lines):
            line.truncate(options.max_width, overflow="ellipsis")
            if number:
                yield Segment.line()
            yield from line.render(console)

    def lines(self, width: int, height: int) -> list[Text]:
        """Return at most `height` lines: the totals, then running trials, then recent failures."""
        if self.epoch is not None:
            parts = filter(None, (self.trained, usage_in_words(self.usage)))
            head = [self._training_bar(width), Text("  " + "  ".join(parts))]
            past = [] if self.standing is None else [self._best(self.standing)]
            return [*head, *past][: max(1, height)]
        if self.standing is None:
            return []
        head = [self._bar(self.standing, width), self._counts(self.standing)]
        head.append(self._best(self.standing))
        room = max(1, height) - len(head)
        past = [self._past(trial) for trial in reversed(self.recent)]
        workers = self._workers(width, max(0, room - min(len(past), 1)))
        return [*head, *workers, *past][: max(1, height)]

    def _bar(self, standing: StudyProgress, width: int) -> Text:
        left = standing.left_seconds
        if left is not None:
            left = max(0.0, left - (self.clock() - self.estimated))
        text = remaining(left, at_most=standing.at_most)
        done = standing.ended + standing.paused  # of which one in four goes on
        return _progress(standing.stage, done, standing.total, text, width, unit=standing.unit)

    def _training_bar(self, width: int) -> Text:
        done, total = self.epoch or (0, 1)
        name = "train" if self.standing is None else "final"
        left = self.trained_left
        if left is not None:
            left = max(0.0, left - (self.clock() - self.estimated))
        text = remaining(left, at_most=self.stops_early)
        return _progress(name, done, total, text, width, unit="epochs")

    def _counts(self, standing: StudyProgress) -> Text:
        parts = [
            (standing.done, "done", "green"),
            (standing.pruned, "pruned", "yellow"),
            (standing.failed, "failed", "red"),
            (standing.running, "running", "cyan"),
        ]
        if standing.paused:
            parts.insert(1, (standing.paused, "paused", "yellow"))
        text = Text("  ")
        for count, name, style in parts:
            text.append(f"{count} {name}", style=style if count else "dim")
            text.append("   ")
        return text

    def _best(self, standing: StudyProgress) -> Text:
        best = standing.best
        if best is None or best.score is None:
            return Text("  best   none finished yet", style="dim")
        text = Text("  best   ")
        text.append(f"{best.score:.4f}", style="bold")
        if best.interval is not None:
            low, high = best.interval
            text.append(f" ({low:.4g} to {high:.4g})")
        text.append(f"  trial {best.number}  ")
        text.append(short(best.parameters), style="dim")
        return text

    def _workers(self, width: int, room: int) -> list[Text]:
        """Return a table of the running trials: trial, epoch, time, score, usage, parameters."""
        if not self.working or room < 2:
            return []
        rows = sorted(self.working.items())
        shown = rows if len(rows) < room else rows[: room - 2]
        used = {number: usage_in_words(one.usage) for number, one in shown}
        columns = max(map(len, used.values()), default=0)
        usage = f"  {'usage':<{columns}}" if columns else ""
        names = f"  {'trial':>6}  {'epoch':>9}  {'time':>7}  {'score':>9}{usage}  parameters"
        lines = [Text(names, "dim")]
        for number, one in shown:
            epoch = f"{one.step}/{one.last_step}" if one.last_step else "starts"
            score = "-" if one.score is None else f"{one.score:.4f}"
            spent = duration(self.clock() - one.began)
            line = Text(f"  {number:>6}  {epoch:>9}  {spent:>7}  ")
            line.append(f"{score:>9}", style="bold")
            if columns:
                line.append(f"  {used[number]:<{columns}}", style="dim")
            line.append(f"  {short(one.values)}")
            lines.append(line)
        if len(shown) < len(rows):
            lines.append(Text(f"  {'':>6}  and {len(rows) - len(shown)} more", "dim"))
        return lines

    def _past(self, trial: Trial) -> Text:
        """Return a line about a recent prune or failure, with its reason."""
        style = "yellow" if trial.state == "pruned" else "red"
        text = Text("  ")
        text.append(f"{trial.state} {trial.number}", style=style)
        text.append(f"  {because(trial)}", style="dim")
        return text


def because(trial: Trial) -> str:
    """Return why a trial ended early: its cause, and the reason in words."""
    if not trial.cause or trial.cause == "error":
        return trial.reason or trial.cause
    return f"{trial.cause}: {trial.reason}" if trial.reason else trial.cause


def usage_in_words(usage: Mapping[str, float]) -> str:
    """Return the share of waiting for data, and the GPU's utilisation and memory, as text."""
    parts = []
    if "data_wait" in usage:
        parts.append(f"data wait {usage['data_wait']:.0%}")
    if "gpu_utilization" in usage:
        parts.append(f"GPU {usage['gpu_utilization']:.0%}")
    if "gpu_memory_mib" in usage:
        parts.append(f"{usage['gpu_memory_mib'] / 1024:.1f} GiB")
    return ", ".join(parts)


def goal_value(metrics: Mapping[str, float], metric: str) -> float | None:
    """Return the goal among the metrics of an epoch; None if it is missing or NaN."""
    value = metrics.get(metric)
    return None if value is None or value != value else value


def metrics_in_words(metrics: Mapping[str, float], metric: str = "") -> str:
    """Return the goal and the loss as text, or the first two metrics."""
    wanted = [name for name in (metric, "train_loss", "val_recall_1", "val_loss") if name]
    shown = {name: metrics[name] for name in wanted if name in metrics}
    shown = dict(list((shown or metrics).items())[:2])
    return "  ".join(f"{name} {figure(float(value))}" for name, value in shown.items())


def _progress(
    name: str, done: int, total: int, right: str, width: int, *, unit: str = "trials"
) -> Text:
    count = f"{done}/{total} {unit}"
    room = width - len(name) - len(count) - len(right) - 8
    columns = max(BAR[0], min(BAR[1], room))
    filled = round(columns * min(1.0, done / max(1, total)))
    text = Text()
    text.append(f"{name}  ", style="bold")
    text.append("━" * filled, style="cyan")
    text.append("─" * (columns - filled), style="dim")
    text.append(f"  {count}", style="bold")
    text.append(f"  {right}")
    return text
