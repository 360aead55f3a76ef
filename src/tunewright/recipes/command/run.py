"""Run a script as a trial: start it, pass on what it reports, stop it on request."""

import shlex
import shutil
import signal
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tunewright.config.tree import flatten
from tunewright.errors import Diverged, TunewrightError, did_you_mean
from tunewright.recipes.command.config import CommandConfig
from tunewright.recipes.command.curve import Curve, ReportedStep
from tunewright.recipes.command.endings import failure_of
from tunewright.recipes.command.launch import Launch, mark_of
from tunewright.recipes.command.metrics.reader import ScriptReport
from tunewright.recipes.command.metrics.readers import make_readers
from tunewright.recipes.command.output_log import OutputLog
from tunewright.recipes.command.placeholders import read_parameters
from tunewright.recipes.command.process_guard import end_processes
from tunewright.recipes.command.script import Script, ScriptStart
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest, Goal, Outcome, OutcomeState

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

POLL_SECONDS = 0.05
CLIENT_SECONDS = {"prune": 1.0, "cancel": 1.0}
"""How long a script that uses the client may take to its next report before it gets SIGTERM."""
_ENDS: dict[str, OutcomeState] = {"pause": "paused", "prune": "pruned", "cancel": "failed"}


def run_command(folder: RunFolder, config: CommandConfig, reporter: "Reporter") -> Outcome:
    """Run the script of a trial once.

    A request to pause or prune ends it. An exit code other than 0 is a failed run, with the last
    error that it printed as the reason.
    """
    from tunewright.recipes.command.recipe import RECIPE

    goals = RECIPE.goals(config)
    return _Run(folder, config, reporter, goals).work()


class _Run:
    """One attempt: the script, its readers, and the curve that they fill."""

    def __init__(
        self,
        folder: RunFolder,
        config: CommandConfig,
        reporter: "Reporter",
        goals: tuple[Goal, ...],
    ) -> None:
        self._folder, self._config, self._reporter = folder, config, reporter
        self._started = time.perf_counter()
        self._curve = Curve(goals, config.metrics.score)
        self._goals = goals
        self._history = read_progress(folder.progress, before_attempt=reporter.attempt)
        self._begun = False
        self._notices: list[str] = []
        self._request: EndRequest | None = None
        self._terminate_at = self._kill_at = float("inf")
        self._terminated = False
        # Asked to pause before it has begun, as by a plan: it runs to its first report.
        self._measured = False
        self._launch = Launch(folder, config, reporter.attempt)
        self._launch.make_folders()
        self._readers = make_readers(self._launch.reader_context())
        self._log = OutputLog(folder.log, config.script.output_kib << 10)

    def work(self) -> Outcome:
        """Run the script to its end, and return how it ended."""
        script = None
        try:
            self._end_earlier_attempts()
            self._measured = self._reporter.request() is not None
            script = Script(self._start(), self._log.write)
            self._follow(script)
            code = script.code
            assert code is not None
            self._take(script.read_rest())
            left = script.close()
            self._poll(ended=True)
            for point in self._curve.close():
                self._pass_on(point)
            if left:
                self._notices.append("the script left processes behind, which were ended")
            if not self._begun and self._history and (code != 0 or self._resumes):
                self._begin(self._history[-1].step)  # stopped before its first report
            outcome = self._outcome(code)
        except Diverged as error:
            outcome = self._end_as("failed", str(error), cause_diverged=True)
        finally:
            if script is not None:
                script.close()
            self._log.close()
        if outcome.state == "done":
            self._name_unread()
        self._begin(0)
        self._send_notices()
        shutil.rmtree(self._launch.exchange, ignore_errors=True)
        return outcome

    def _follow(self, script: Script) -> None:
        """Read what the script reports until it has ended; stop it where it is asked to."""
        while script.code is None:
            self._take(script.read(POLL_SECONDS))
            self._poll(ended=False)
            for point in self._curve.settle():
                self._pass_on(point)
            self._send_notices()
            now = time.monotonic()
            waits = self._measured and not self._begun
            if self._request is None and (request := self._reporter.request()) and not waits:
                self._stop(request, now)
            if now >= self._terminate_at:
                self._terminate_at, self._terminated = float("inf"), True
                script.signal(signal.SIGTERM)
            if now >= self._kill_at:
                script.signal(signal.SIGKILL)

    def _stop(self, request: EndRequest, now: float) -> None:
        """Note a request: SIGTERM now, or after the client had time to see it; then SIGKILL."""
        step, last = self._curve.last_step or 0, self._config.training.epochs
        if request.kind == "prune" and step >= last:
            return  # the last step: pruning would save nothing
        self._request = request
        grace = self._config.script.grace_seconds
        seconds = CLIENT_SECONDS.get(request.kind, grace / 2) if self._uses_client else 0.0
        self._terminate_at = now + min(seconds, grace / 2)
        self._kill_at = now + grace

    @property
    def _uses_client(self) -> bool:
        return self._launch.reports.exists()

    @property
    def _resumes(self) -> bool:
        """Whether the script keeps checkpoints, so that it may have had nothing left to do."""
        return any(reader.resumes for reader in self._readers)

    def _take(self, lines: Iterable[str]) -> None:
        for line in lines:
            for reader in self._readers:
                self._add(reader.read_line(line))

    def _poll(self, *, ended: bool) -> None:
        for reader in self._readers:
            self._add(reader.poll(ended=ended))

    def _add(self, reports: Iterable[ScriptReport]) -> None:
        for report in reports:
            for point in self._curve.add(report):
                self._pass_on(point)

    def _pass_on(self, point: ReportedStep) -> None:
        self._begin(point.step - 1)
        self._reporter.report(point.step, point.metrics, self._seconds)

    def _begin(self, resumed_from: int) -> None:
        """Record once where this attempt starts: later steps of an earlier attempt are dropped."""
        if not self._begun:
            self._begun = True
            self._reporter.begin(max(0, resumed_from))
            before = [ReportedStep(p.step, p.metrics) for p in self._history]
            self._curve.restore(step for step in before if step.step <= resumed_from)

    def _send_notices(self) -> None:
        if self._begun:
            for text in [*self._notices, *self._curve.notices]:
                self._reporter.notice(text)
            self._notices, self._curve.notices = [], []

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _start(self) -> ScriptStart:
        of_readers = {k: v for reader in self._readers for k, v in reader.environment.items()}
        start = self._launch.start(of_readers)
        self._log.note(f"$ {shlex.join(start.words)}")
        return start

    def _end_earlier_attempts(self) -> None:
        """End a script of this run that outlived its worker, before it writes into our files."""
        for attempt in range(max(1, self._reporter.attempt - 3), self._reporter.attempt):
            end_processes(None, mark_of(self._folder, attempt), self._config.script.grace_seconds)

    def _outcome(self, code: int) -> Outcome:
        request = self._request
        stopped = self._terminated or (request is not None and self._uses_client)
        if request is not None and stopped:
            reason = request.reason if request.kind != "cancel" else ""
            return self._end_as(_ENDS[request.kind], reason)
        if code != 0:
            cause, reason = failure_of(code, self._log.end_of_output)
            return Outcome(
                "failed", self._reporter.attempt, cause, reason, self._step, {}, self._seconds
            )
        result = self._curve.result()
        if result is None:
            return self._without_score()
        step = result.step or None
        return Outcome("done", self._reporter.attempt, "", "", step, result.metrics, self._seconds)

    def _without_score(self) -> Outcome:
        names = self._curve.names
        missing = [goal.metric for goal in self._goals if goal.metric not in names]
        told = f"it reported {', '.join(names)}" if names else "it reported no metric at all"
        near = did_you_mean(missing[0], names) if missing else ""
        error = TunewrightError(
            f"the script ended without {', '.join(missing)}",
            expected=f"a line such as {missing[0]}=0.93, but {told}",
            remedy=near or "Set `goal`, or say with `metrics` how it is read.",
        )
        return Outcome("failed", self._reporter.attempt, "error", str(error), seconds=self._seconds)

    def _end_as(self, state: OutcomeState, reason: str, *, cause_diverged: bool = False) -> Outcome:
        cancelled = self._request is not None and self._request.kind == "cancel"
        return Outcome(
            state,
            self._reporter.attempt,
            "diverged" if cause_diverged else "interrupted" if cancelled else "",
            reason,
            self._step,
            {},
            self._seconds,
        )

    @property
    def _step(self) -> int | None:
        return self._curve.last_step

    def _name_unread(self) -> None:
        """Tell the user of parameters that the script never asked for."""
        asked = [reader.asked for reader in self._readers if reader.asked is not None]
        names = set(flatten(self._config.params))
        if not asked or not names:
            return
        config = self._config
        read = read_parameters([*config.command, *config.env.values()], names).union(*asked)
        unread = [n for n in sorted(names) if not any(_covers(one, n) for one in read)]
        if unread:
            self._notices.append(
                f"the script never read {', '.join(unread)} of its parameters: it makes no "
                "difference there"
            )


def _covers(asked: str, name: str) -> bool:
    return asked == name or name.startswith(f"{asked}.")
