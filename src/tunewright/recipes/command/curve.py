"""Put what a script reports, in pieces and by several ways, together into one curve."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from tunewright.errors import Diverged, did_you_mean
from tunewright.recipes.command.metrics.reader import ScriptReport
from tunewright.runs.record import COSTS, Goal

FULL = 1000
"""Reports of a run that are all passed on; of the next 9,000 every 10th is, and so on."""
WITHOUT_GOAL = 3
"""Reports without the goal after which the user is told."""


class ReportedStep(NamedTuple):
    """All metrics of one step."""

    step: int
    metrics: Mapping[str, float]


class Curve:
    """The steps of a run, and its score at the end. Holds no more than a few of them.

    score: whether the best or the last step counts. notices: for the user, new ones since taken.
    """

    def __init__(self, goals: Sequence[Goal], score: Literal["best", "last"]) -> None:
        self._goals, self._score = goals, score
        self._step: int | None = None
        self._open: dict[str, float] = {}  # of the current step
        self._passed = False  # whether the current step was passed on
        self._numbered = False  # whether the script names its steps
        self._unit: str | None = None  # in which the goal is reported
        self._unit_before = ""  # of reports before it
        self._before: ReportedStep | None = None  # the last one of earlier attempts
        self._loose: dict[str, float] = {}  # reported without a step, not yet in one
        self._whole: dict[str, float] = {}  # of the whole run
        self._latest: dict[str, float] = {}
        self._best: ReportedStep | None = None
        self._count = self._without_goal = 0
        self._stride = 1
        self._told: set[str] = set()
        self.notices: list[str] = []

    @property
    def names(self) -> list[str]:
        """The metrics that were reported so far."""
        return list({**self._latest, **self._whole, **self._loose})

    @property
    def last_step(self) -> int | None:
        """The step of the last report; None before the first."""
        return self._step

    def restore(self, steps: Iterable[ReportedStep]) -> None:
        """Take over the steps of earlier attempts, from the checkpoint of which the script goes on.

        Of equal scores the earlier one counts.
        """
        first = self._goals[0]
        for step in steps:
            self._latest = {**step.metrics, **self._latest}
            value = step.metrics.get(first.metric)
            if value is None:
                continue
            self._before = step
            best = None if self._best is None else self._best.metrics[first.metric]
            if best is None or (first.sign * value, -step.step) > (
                first.sign * best,
                -self._best.step if self._best else 0,
            ):
                self._best = step

    def add(self, report: ScriptReport) -> Iterator[ReportedStep]:
        """Take a report; yield the step that it completes, if it is to be passed on.

        Steps are counted in the unit in which the goal is reported: `step=900` between lines such
        as `epoch=1 acc=0.5` says nothing of the curve. Raises Diverged for a goal that is not
        finite.
        """
        self._check_finite(report)
        goal = self._goals[0].metric
        known = goal in report.metrics
        if report.step is not None and known and self._unit is None:
            if self._step is not None and report.unit != self._unit_before:
                self._finish_step()
                self._step, self._open = None, {}
            self._unit = report.unit
        if report.step is not None and self._unit in (None, report.unit):
            self._unit_before = report.unit
            self._numbered = True
            yield from self._at(report.step, report.metrics)
        elif report.step is not None:
            self._loose |= {name: value for name, value in report.metrics.items() if name != goal}
        elif self._unit is not None or (self._numbered and not known):
            self._whole |= report.metrics
        elif known:
            metrics = {**self._loose, **report.metrics}
            self._loose = {}
            if self._numbered:
                self._whole |= metrics
            else:
                yield from self._at((self._step or 0) + 1, metrics)
        else:
            self._loose |= report.metrics

    def settle(self) -> Iterator[ReportedStep]:
        """Yield the current step where its goal is known: nothing more was reported for now."""
        if self._step is not None and not self._passed and self._goals[0].metric in self._open:
            yield from self._pass_on()

    def close(self) -> Iterator[ReportedStep]:
        """Yield the current step: the script has ended."""
        if self._step is not None and not self._passed:
            yield from self._pass_on()
        self._finish_step()

    def result(self) -> ReportedStep | None:
        """Return the step that is the trial's score with its metrics; None without the goals.

        Metrics that were not reported at this step are the latest ones.
        """
        goals = [goal.metric for goal in self._goals if goal.metric not in COSTS]
        last = self._before if self._step is None else ReportedStep(self._step, self._open)
        chosen = self._best if self._score == "best" else last
        others = {**self._latest, **self._loose, **self._whole}
        metrics = {**others, **(chosen.metrics if chosen is not None else {})}
        if self._score == "last":
            metrics |= {name: value for name, value in self._whole.items() if name in goals}
        return (
            ReportedStep(chosen.step if chosen else 0, metrics)
            if {*goals} <= metrics.keys()
            else None
        )

    def _check_finite(self, report: ScriptReport) -> None:
        for goal in self._goals:
            value = report.metrics.get(goal.metric, 0.0)
            if not math.isfinite(value):
                at = "" if report.step is None else f" at step {report.step}"
                raise Diverged(f"{goal.metric} is {value}{at}")

    def _at(self, step: int, metrics: Mapping[str, float]) -> Iterator[ReportedStep]:
        if self._step is not None and step < self._step:
            self._tell(
                f"step {step} was reported after step {self._step}; steps that were passed "
                "already are left out (count them over the whole run, also after a resume)"
            )
            return
        if step != self._step:
            if self._step is not None and not self._passed:
                yield from self._pass_on()
            self._finish_step()
            self._step, self._open, self._passed = step, {}, False
        for name, value in metrics.items():
            self._open.setdefault(name, value)

    def _pass_on(self) -> Iterator[ReportedStep]:
        self._passed = True
        self._count += 1
        assert self._step is not None
        if self._goals[0].metric not in self._open and self._best is None:
            self._miss_goal()
            return
        if self._count > FULL * self._stride:
            self._stride *= 10
            self._tell(
                f"more than {FULL:,} reports: of the others every {self._stride}th is passed on, "
                "then fewer (the best one counts in any case)"
            )
        if self._count % self._stride == 0:
            yield ReportedStep(self._step, dict(self._open))

    def _finish_step(self) -> None:
        """Compare the finished step with the best."""
        self._latest |= self._open
        first = self._goals[0]
        if self._step is None or first.metric not in self._open:
            return
        best = None if self._best is None else first.sign * self._best.metrics[first.metric]
        if best is None or first.sign * self._open[first.metric] > best:
            self._best = ReportedStep(self._step, dict(self._open))

    def _miss_goal(self) -> None:
        self._without_goal += 1
        if self._without_goal < WITHOUT_GOAL:
            return
        goal, names = self._goals[0].metric, [*self._latest, *self._open]
        self._tell(
            f"no {goal} in the first {WITHOUT_GOAL} reports, so nothing is pruned; reported: "
            f"{', '.join(dict.fromkeys(names))}. {did_you_mean(goal, names)}".strip()
        )

    def _tell(self, notice: str) -> None:
        key = notice.partition(" ")[0]
        if key not in self._told:
            self._told.add(key)
            self.notices.append(notice)
