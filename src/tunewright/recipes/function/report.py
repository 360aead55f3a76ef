"""What a function calls to say how far it is, and through which it is stopped."""

import contextlib
import math
from collections.abc import Collection, Mapping
from operator import index
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, SupportsFloat

from tunewright.errors import ConfigError
from tunewright.runs.record import Outcome, OutcomeState
from tunewright.training.goal import score_of

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

_ENDS: Mapping[str, OutcomeState] = {"pause": "paused", "prune": "pruned", "cancel": "failed"}


class StopFunction(BaseException):
    """Ends the function at a report; no Exception, which the function may catch for itself."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.state)
        self.outcome = outcome


class Report:
    """Handed to the function: `report(step, value=0.3)`.

    step: of the last report, None before the first.
    """

    def __init__(self, reporter: "Reporter", *, goal: str, last_step: int) -> None:
        self.step: int | None = None
        self._reporter, self._goal, self._last_step = reporter, goal, last_step
        self._begun = False
        self._steps: set[int] = set()
        self._out_of_order = False
        self._left_out: set[str] = set()
        self._started = perf_counter()

    def __call__(
        self,
        step: SupportsFloat,
        value: SupportsFloat | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """Report the goal after `step` steps, and whatever else was measured.

        step: a whole number of any library, counted over the whole run. value: the metric called
        `value`. metrics: what is no number among them is left out. Does not return when the trial
        is pruned or paused. Raises Diverged for a goal that is not finite, ConfigError when the
        goal is not among the metrics or no number, and for a step that is not whole.
        """
        step = _whole(step)
        named = {str(name): metric for name, metric in (metrics or {}).items()}
        if value is not None:
            named["value"] = value
        self.begin(step - 1)
        values = self.numbers(named, {self._goal}, f"report was called at step {step} with")
        self._check_order(step)
        self._steps.add(step)
        self.step = step
        self._reporter.report(step, values, self.seconds)
        score_of(values, self._goal, when=f"at step {step}")
        request = self._reporter.request()
        if request is not None and request.kind == "prune" and step >= self._last_step:
            return  # asked too late: there is nothing left to save
        if request is not None:
            raise StopFunction(
                Outcome(
                    _ENDS[request.kind],
                    self._reporter.attempt,
                    "interrupted" if request.kind == "cancel" else "",
                    request.reason,
                    step,
                    values,
                    self.seconds,
                )
            )

    @property
    def seconds(self) -> float:
        """Since the function was called."""
        return perf_counter() - self._started

    @property
    def folder(self) -> Path:
        """Where the function may keep its state: it is there again after a pause or a kill.

        Goes when the trial has ended, unless it is the best one.
        """
        folder = self._reporter.folder.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def begin(self, resumed_from: int) -> None:
        """Say once where this attempt starts: what was reported beyond is reported again."""
        if not self._begun:
            self._begun = True
            self._reporter.begin(max(0, resumed_from))

    def numbers(
        self, named: Mapping[str, object], goals: Collection[str], whence: str
    ) -> dict[str, float]:
        """What can be measured among `named`; what is no number is left out, and told once.

        whence: where the values come from, for the error. Raises ConfigError for one of `goals`
        that is no number.
        """
        numbers: dict[str, float] = {}
        others: dict[str, str] = {}
        for name, value in named.items():
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
            self._reporter.notice(f"no number, and left out of the results: {listed}")
        return numbers

    def _check_order(self, step: int) -> None:
        """Say once that steps begin anew or run down; another attempt is another report."""
        if self._out_of_order or self.step is None or step > self.step:
            return
        self._out_of_order = True
        if step in self._steps:
            said = f"step {step} was reported before: the first value stands"
        else:
            said = f"step {step} was reported after step {self.step}: no pruner looks back"
        self._reporter.notice(f"{said}; count steps upwards, over all epochs")


def number(value: object) -> float:
    """A number of any library as a float; TypeError for what is none."""
    plain, item = value, getattr(value, "item", None)  # of NumPy, torch, pandas
    if callable(item):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):  # several elements
            plain = item()
    if isinstance(plain, SupportsFloat):
        with contextlib.suppress(TypeError, ValueError, RuntimeError, OverflowError):
            return float(plain)
    raise TypeError(f"{value!r} is not a number")


def _whole(step: object) -> int:
    """A step of any library as an int."""
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
