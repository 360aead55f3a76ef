"""What the command line draws: progress with an estimate, tables, and plain lines for pipes."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from tunewright.runs.record import Trial
from tunewright.search.watch import Standing

PLAIN_SECONDS = 5.0
"""How often a long single run says where it stands when the output is not a terminal."""


class ScreenWatch:
    """Draws a study or a run: a bar in a terminal, lines elsewhere."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.console, self.verbose = console, verbose
        self._bar: Progress | None = None
        self._task: Any = None
        self._phase = ""
        self._said = 0.0

    def __enter__(self) -> "ScreenWatch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def notice(self, text: str) -> None:
        """A decision, marked as such."""
        self.console.print(f"[cyan]note[/] {_escaped(text)}", soft_wrap=True)

    def started(self, number: int, values: Mapping[str, Any], where: str) -> None:
        """Shown only when asked to say more."""
        if self.verbose:
            self.console.print(f"trial {number} on {where}: {_escaped(short(values))}")

    def ended(self, trial: Trial, standing: Standing) -> None:
        """One line a trial."""
        mark = {"done": "green", "pruned": "yellow", "infeasible": "red", "failed": "red"}
        score = f"{trial.score:.4f}" if trial.score is not None else "      "
        best = "best so far" if standing.best and standing.best.number == trial.number else ""
        epochs = f"{max(trial.curve, default=0):>3} epochs {trial.seconds or 0:6.1f} s"
        why = trial.reason if trial.state in ("infeasible", "failed") else short(trial.parameters)
        style = mark[trial.state]
        self.console.print(
            f"[bold]{standing.ended:>4}[/]/{standing.total} trial {trial.number:<4} "
            f"[{style}]{trial.state:<10}[/] {score} {epochs}  {_escaped(best or why)}",
            soft_wrap=True,
        )
        self.moved(standing)

    def moved(self, standing: Standing) -> None:
        """The bar: trials ended, what was stopped, the best, the time left."""
        best = standing.best
        figure = f"best {best.score:.4f} (trial {best.number})" if best and best.score else "best -"
        text = (
            f"{figure}  {standing.pruned} pruned  {standing.failed} failed  "
            f"{standing.running} running  {remaining(standing.left_seconds)}"
        )
        self._draw(standing.stage, standing.ended, standing.total, text)

    def trained(
        self, epoch: int, epochs: int, metrics: Mapping[str, float], seconds: float
    ) -> None:
        """Epochs of a single run."""
        left = seconds / epoch * (epochs - epoch)
        shown = {k: v for k, v in metrics.items() if k in ("train_loss", "val_recall_1")}
        shown = shown or dict(list(metrics.items())[:2])
        figures = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        text = f"{figures}  {remaining(left)}"
        self._draw("train", epoch, epochs, text)
        due = time.monotonic() - self._said > PLAIN_SECONDS
        if not self.console.is_terminal and (due or epoch == epochs):
            self._said = time.monotonic()
            self.console.print(f"epoch {epoch}/{epochs}  {text}", soft_wrap=True)

    def _draw(self, phase: str, done: int, total: int, text: str) -> None:
        if not self.console.is_terminal:
            return
        if self._bar is None or phase != self._phase:
            self.close()
            self._phase = phase
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[text]}"),
                console=self.console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(phase, total=total, text="")
        self._bar.update(self._task, completed=done, total=total, text=text)


def remaining(seconds: float | None) -> str:
    """`about 2 min left`."""
    return "" if seconds is None else f"about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def short(values: Mapping[str, Any]) -> str:
    """Parameters in one line, by the last part of their paths."""
    return "  ".join(f"{_last(path)}={figure(value)}" for path, value in values.items())


def figure(value: Any) -> str:
    """A value with four significant digits at most."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def evaluation_table(result: Mapping[str, Any]) -> Table:
    """Metrics of a run beside those of its baselines."""
    baselines: Mapping[str, Mapping[str, float]] = result.get("baselines", {})
    table = Table(title=f"{result['split']} split, {result.get('pairs', '')} pairs", min_width=60)
    table.add_column("metric")
    for name in ("this run", *baselines):
        table.add_column(name, justify="right")
    for name, value in result["metrics"].items():
        cells = [figure(value), *(figure(scores.get(name, "")) for scores in baselines.values())]
        table.add_row(name, *cells)
        interval = result.get(f"{name}_interval")
        if interval:
            table.add_row("  95 % interval", f"{interval[0]:.4g} .. {interval[1]:.4g}")
    return table


def trials_table(rows: Sequence[Mapping[str, Any]], paths: Sequence[str], width: int) -> Table:
    """The top trials, one a column, as many as `width` characters hold."""
    shown = rows[: max(1, (width - max(map(len, paths), default=0) - 4) // 12)]
    table = Table(title="best trials")
    table.add_column("trial")
    for row in shown:
        table.add_column(str(row["trial"]), justify="right", no_wrap=True)
    table.add_row("score", *(figure(row["score"]) for row in shown), style="bold")
    table.add_row("epochs", *(str(row["epochs"]) for row in shown), end_section=True)
    for path in paths:
        table.add_row(path, *(figure(row["parameters"].get(path, "-")) for row in shown))
    return table


def importance_table(importances: Mapping[str, float]) -> Table:
    """What mattered, as bars."""
    table = Table(title="importance (PED-ANOVA)")
    table.add_column("parameter")
    table.add_column("share", justify="right")
    table.add_column("")
    for path, value in sorted(importances.items(), key=lambda item: -item[1]):
        table.add_row(path, f"{value:.2f}", "█" * round(30 * value))
    return table


def _last(path: str) -> str:
    parts = path.split(".")
    return f"{parts[-2]}" if parts[-1] == "type" and len(parts) > 1 else parts[-1]


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
