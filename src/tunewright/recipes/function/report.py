"""The `report` callable of a function: it reports progress, and stops the function on request."""

import contextlib
import math
from collections.abc import Collection, Mapping
from operator import index
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, SupportsFloat

from tunewright.errors import ConfigError
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, OutcomeState
from tunewright.training.goal import score_of

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

_ENDS: Mapping[str, OutcomeState] = {"pause": "paused", "prune": "pruned", "cancel": "failed"}


class StopFunction(BaseException):
    """Ends the function at a report; no Exception, since the function may catch those."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.state)
        self.outcome = outcome


class Report:
    """Passed to the function, which calls `report(step, value=0.3)`.

    stops_at_prune: False for a function that asks whether it should stop, and then ends itself.
    goal: the metric that every report has. step: the step of the last report, None before the
    first.
    """

    def __init__(
        self, reporter: "Reporter", *, goal: str, last_step: int, stops_at_prune: bool = True
    ) -> None:
        self.step: int | None = None
        self._stops_at_prune = stops_at_prune
        self._values: Mapping[str, float] = {}
        self._reporter, self.goal, self._last_step = reporter, goal, last_step
        self._begun = False
        self._steps: set[int] = set()
        self._out_of_order = False
        self._left_out: set[str] = set()
        self._started = perf_counter()
        self._earlier = 0.0

    def __call__(
        self,
        step: SupportsFloat,
        value: SupportsFloat | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """Report the goal, and any other metrics, after `step` steps.

        step: a whole number of any library, counted over the whole run. value: the metric called
        `value`. metrics: further metrics; those that are not numbers are left out. Does not return
        when the trial is pruned or paused. Raises Diverged for a goal that is not finite, and
        ConfigError for a goal that is missing or not a number, or a step that is not whole.
        """
        step = _whole(step)
        named = {str(name): metric for name, metric in (metrics or {}).items()}
        if value is not None:
            named["value"] = value
        self.begin(step - 1)
        values = self.numbers(named, {self.goal}, f"report was called at step {step} with")
        self._check_order(step)
        self._steps.add(step)
        self.step, self._values = step, values
        self._reporter.report(step, values, self.seconds)
        score_of(values, self.goal, when=f"at step {step}")
        self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Raise StopFunction where the coordinator asks the run to end."""
        request = self._reporter.request()
        if request is None:
            return
        last = self.step is not None and self.step >= self._last_step  # it would save nothing
        if request.kind == "prune" and (last or not self._stops_at_prune):
            return
        raise StopFunction(
            Outcome(
                _ENDS[request.kind],
                self._reporter.attempt,
                "interrupted" if request.kind == "cancel" else "",
                request.reason,
                self.step,
                self._values,
                self.seconds,
            )
        )

    @property
    def seconds(self) -> float:
        """Since the function was called, and before, up to the step that this attempt resumes."""
        return self._earlier + perf_counter() - self._started

    @property
    def folder(self) -> Path:
        """A folder for the function's own state, which survives a pause or a kill.

        Deleted when the trial has ended, unless it is the best one.
        """
        folder = self._reporter.folder.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def pruned(self, reason: str) -> Outcome:
        """Return the outcome of a function that stops by itself, with its last report."""
        self.begin(0)
        attempt, values = self._reporter.attempt, self._values
        return Outcome("pruned", attempt, "", reason.strip(" :"), self.step, values, self.seconds)

    def begin(self, resumed_from: int) -> None:
        """Record once where this attempt starts: later steps of an earlier attempt are dropped."""
        if not self._begun:
            self._begun = True
            file, attempt = self._reporter.folder.progress, self._reporter.attempt
            if attempt > 1:
                before = read_progress(file, before_attempt=attempt)
                known = [line.seconds for line in before if line.step <= resumed_from]
                self._earlier = max(known, default=0.0)
            self._reporter.begin(max(0, resumed_from))

    def numbers(
        self, named: Mapping[str, object], goals: Collection[str], whence: str
    ) -> dict[str, float]:
        """Return the numbers among `named`; other values are left out, with one notice.

        Blanks around a name do not belong to it. whence: where the values come from, for errors.
        Raises ConfigError for one of `goals` that is not a number.
        """
        numbers: dict[str, float] = {}
        others: dict[str, str] = {}
        for written, value in named.items():
            name = written.strip()
            if name != written and name in named:
                continue
            try:
                numbers[name] = number(value)
            except TypeError:
                if name in goals:
                    raise ConfigError(
                        f"{whence} {name} = {value!r:.200}", expected="a number, as it is the goal"
                    ) from None
                others[name] = type(value).__name__
        if others.keys() - self._left_out:
            self._left_out |= others.keys()
            listed = ", ".join(f"{name} ({kind})" for name, kind in others.items())
            self._reporter.notice(f"left out of the results, not a number: {listed}")
        return numbers

    def _check_order(self, step: int) -> None:
        """Warn once when steps repeat or decrease within one attempt."""
        if self._out_of_order or self.step is None or step > self.step:
            return
        self._out_of_order = True
        if step in self._steps:
            came = f"step {step} was reported before: the first value is kept"
        else:
            came = f"step {step} was reported after step {self.step}: pruners ignore earlier steps"
        self._reporter.notice(f"{came}; count steps upwards, over all epochs")


def number(value: object) -> float:
    """Convert a number of any library to a float; raises TypeError for anything else."""
    plain, item = value, getattr(value, "item", None)  # NumPy, torch, pandas
    if callable(item):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):  # several elements
            plain = item()
    if isinstance(plain, SupportsFloat):
        with contextlib.suppress(TypeError, ValueError, RuntimeError, OverflowError):
            return float(plain)
    raise TypeError(f"{value!r} is not a number")


def _whole(step: object) -> int:
    """Convert a step of any library to an int; raises ConfigError if it is not whole."""
    try:
        return index(step)  # type: ignore[arg-type]
    except TypeError:
        pass
    try:
        found = number(step)
    except TypeError:
        found = math.nan
    if found.is_integer():
        return int(found)
    raise ConfigError(
        f"report was called with the step {step!r}",
        expected="a whole number",
        remedy="Count epochs or batches, for example report(step, value).",
    )
