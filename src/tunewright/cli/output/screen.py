"""Progress of a study or a training: a live region in a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tunewright.cli.output.formatting import remaining, short
from tunewright.cli.output.live_view import LiveView, Working, because, goal_value, metrics_in_words
from tunewright.runs.record import Trial
from tunewright.search.callbacks import StudyCallback, StudyProgress

PLAIN_SECONDS = 5.0
"""Seconds between two progress lines of a training when the output is not a terminal."""
STANDING_SECONDS = 30.0
"""The same for a study, where each trial that ends has its own line."""
ESTIMATE_SECONDS = 1.0
"""Seconds between two estimates of the time left while no trial ends."""
MARKS = {
    "done": "green",
    "paused": "yellow",
    "pruned": "yellow",
    "infeasible": "red",
    "failed": "red",
}


class ScreenCallback(StudyCallback):
    """Draws a study or a run; leave its `with` block, or call `close`, to end the drawing."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.console, self.verbose = console, verbose
        self.view = LiveView()
        self._draws = console.is_terminal and not console.is_dumb_terminal
        self._live: Live | None = None
        self._said = time.monotonic()
        self._left: tuple[float, bool] | None = None

    def __enter__(self) -> "ScreenCallback":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the live region; what was printed above it stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def notice(self, text: str) -> None:
        """Print a notice about an automatic decision."""
        line = Text.assemble(("note", "cyan"), " ", text)
        self.console.print(line, soft_wrap=not self._draws)

    def on_trial_start(self, number: int, values: Mapping[str, Any], where: str) -> None:
        """Add a row to the live region; print a line only with --verbose."""
        self.view.working[number] = Working(values, where, self.view.clock())
        if self.verbose:
            self._line(Text(f"trial {number} on {where}: {short(values)}"))

    def on_report(
        self,
        number: int,
        step: int,
        last_step: int,
        metrics: Mapping[str, float],
        progress: Callable[[], StudyProgress],
    ) -> None:
        """Update the row of a trial."""
        if not self._draws:
            return
        if (working := self.view.working.get(number)) is not None:
            metric = self.view.standing.metric if self.view.standing else ""
            working.step, working.last_step = step, last_step
            working.score = goal_value(metrics, metric)
        if self.view.clock() - self.view.estimated > ESTIMATE_SECONDS:
            self.on_progress(progress())

    def on_usage(self, number: int | None, usage: Mapping[str, float]) -> None:
        """Note what an epoch used of its machine."""
        if number is None:
            self.view.usage = usage
        elif (working := self.view.working.get(number)) is not None:
            working.usage = usage

    def on_trial_pause(self, trial: Trial, progress: StudyProgress) -> None:
        """Print one line for each time that a trial waits."""
        self.view.working.pop(trial.number, None)
        self._say(trial, progress)

    def on_trial_end(self, trial: Trial, progress: StudyProgress) -> None:
        """Print one line per trial; one that was left at a rung had it when it was paused."""
        self.view.working.pop(trial.number, None)
        if trial.rung:
            self.on_progress(progress)
            return
        if trial.state != "done":
            self.view.recent.append(trial)
        self._say(trial, progress)

    def _say(self, trial: Trial, progress: StudyProgress) -> None:
        reached = trial.curve.get(max(trial.curve, default=0)) if trial.rung else None
        known = trial.score if reached is None else reached
        score = f"{known:.4f}" if known is not None else "      "
        epochs = f"{max(trial.curve, default=0):>3} epochs {trial.seconds or 0:6.1f} s"
        best = progress.best is not None and progress.best.number == trial.number
        text = (
            because(trial) if trial.state in ("infeasible", "failed") else short(trial.parameters)
        )
        self._line(
            Text.assemble(
                (f"{progress.ended + progress.paused:>4}", "bold"),
                f"/{progress.total} trial {trial.number:<4} ",
                (f"{trial.state:<10}", MARKS[trial.state]),
                f" {score} {epochs}  ",
                ("best so far", "bold") if best else "",
                f"  {text}" if best else text,
            )
        )
        self.on_progress(progress)

    def on_progress(self, progress: StudyProgress) -> None:
        """Redraw the live region; without a terminal, print a line every 30 seconds."""
        self.view.standing, self.view.estimated = progress, self.view.clock()
        self.view.epoch = None
        for number in set(self.view.working) - set(progress.live):
            del self.view.working[number]  # paused, or its worker died
        self._draw()
        ended, paused = progress.ended, progress.paused
        if not self._draws and self._due(STANDING_SECONDS) and ended < progress.total:
            best = progress.best
            figure = f"best {best.score:.4f}, " if best and best.score is not None else ""
            left = remaining(progress.left_seconds, at_most=progress.at_most)
            self._line(
                Text(
                    f"{ended + paused}/{progress.total} {progress.unit}, "
                    f"{f'{paused} paused, ' if paused else ''}{progress.running} running, "
                    f"{figure}{left or 'no estimate yet'}"
                )
            )

    def on_training_start(self, patience: int | None) -> None:
        """Note whether the time left is a bound."""
        self.view.stops_early = patience is not None

    def on_training_left(self, seconds: float, *, at_most: bool) -> None:
        """Note the time left after the epoch that follows."""
        self._left = (seconds, at_most)

    def on_epoch(
        self, epoch: int, epochs: int, metrics: Mapping[str, float], seconds: float
    ) -> None:
        """Show an epoch of a single training."""
        view = self.view
        view.epoch, view.estimated = (epoch, epochs), view.clock()
        view.trained = metrics_in_words(metrics, view.standing.metric if view.standing else "")
        if self._left is None:
            view.trained_left = seconds / epoch * (epochs - epoch) if epoch else None
        else:
            (view.trained_left, view.stops_early), self._left = self._left, None
        self._draw()
        if not self._draws and (self._due(PLAIN_SECONDS) or epoch == epochs):
            left = remaining(view.trained_left, at_most=view.stops_early)
            self._line(Text(f"epoch {epoch}/{epochs}  {view.trained}  {left}"))

    def _line(self, text: Text) -> None:
        """Print one line, cut to the width of a terminal; in full elsewhere."""
        if self._draws:
            self.console.print(text, no_wrap=True, overflow="ellipsis")
        else:
            self.console.print(text, soft_wrap=True)

    def _due(self, seconds: float) -> bool:
        if time.monotonic() - self._said < seconds:
            return False
        self._said = time.monotonic()
        return True

    def _draw(self) -> None:
        if self._draws and self._live is None:
            self._live = Live(
                self.view,
                console=self.console,
                transient=True,
                refresh_per_second=4,
                # Other output to a terminal is printed above the region; to a file, unchanged.
                redirect_stderr=sys.stderr.isatty(),
            )
            self._live.start()
