"""The loop of a search that pauses trials at rungs and goes on with the promising ones."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from tunewright.runs.record import EndRequest, Outcome, Progress, Trial
from tunewright.search.callbacks import StudyCallback
from tunewright.search.curves.curve_search import CurveSearch, CurveTrial, GoOn, Start, State
from tunewright.search.curves.rungs import FACTOR, assumed_pauses
from tunewright.search.loop.lease import Lease
from tunewright.search.loop.paused_states import PausedStates
from tunewright.search.loop.run_loop import Live
from tunewright.search.loop.study_loop import StudyLoop
from tunewright.search.loop.trial_runs import Search, TrialRun
from tunewright.search.study.study import Study
from tunewright.search.study.trial_tags import reason_of_left

EPOCHS = "training.epochs"
"""Path of the length of a training."""


class CurveLoop(StudyLoop):
    """One session of a search by learning curves.

    A trial that has reached its rung is paused with its whole state, and takes no worker. In the
    storage it stays RUNNING, with the user attribute `paused`. When the study has all its trials
    and enough of them are trained to the end, those that still wait end as pruned, and keep the
    attribute: where the study gets more trials, they wait again (`reopen_left`).
    """

    def __init__(
        self,
        study: Study,
        search: Search,
        watch: StudyCallback,
        lease: Lease,
        curves: CurveSearch,
    ) -> None:
        super().__init__(study, search, watch, lease)
        self._curves = curves
        self._timings.assumed = assumed_pauses(curves.rungs)
        record = self._begun_with
        self._imported = [t for t in record.trials if t.imported_from]
        self._parked: dict[int, TrialRun] = {}
        self._targets: dict[int, int] = {}
        self._states = PausedStates(search.folder.path, search.paused_gib, watch.notice)
        self._spans = {t.number: list(t.spans) for t in record.own}
        self._left = {t.number: t.rung for t in record.own if t.rung and t.has_ended}
        self._got_worker: dict[int, float] = {}
        self._resumes: dict[int, int] = {}  # by trial that goes on, the step of its state
        self._told_failure = self._told_learning = self._told_restart = False
        self._told_first = self._told_widening = False
        self._told_failures = 0
        self._nothing_for: object = None  # the state of the trials for which nothing was to be done

    @property
    def unfinished_trials(self) -> list[int]:
        """Trials that were begun and wait to be resumed."""
        return sorted({*super().unfinished_trials, *self._parked})

    def on_begin(self) -> None:
        """Restore running trials; those that wait at a rung are set apart."""
        super().on_begin()
        self._parked = {run.number: run for run in self.waiting if self.parks(run)}
        for run in self._parked.values():
            self.study.mark_paused(run.number, self._place(run))
            self._timings.park(run.number)
        self.waiting = [run for run in self.waiting if run.number not in self._parked]

    def next_run(self) -> TrialRun | None:
        """Return a paused run that goes on, or the first run of a new trial."""
        if self.early_end.reason:
            super().next_run()  # says why
            self._end_parked()
            return None
        trials = sorted(self._trials(), key=lambda trial: trial.number)
        if trials == self._nothing_for:
            return None
        may_start = self.study.count < self._total
        decision = self._curves.decide(trials, self.study.is_new, may_start=may_start)
        self._tell_failure()
        self._tell_rungs()
        match decision:
            case GoOn(number, target):
                return self._go_on(number, target)
            case Start(values, target):
                self.proposed = values
                if (run := super().next_run()) is None:
                    return self.next_run()  # the space is used up, which sets the total
                self._targets[run.number] = target
                return run
        self._nothing_for = trials
        self._end_parked()
        return None

    def on_attempt(self, run: TrialRun, attempt: int) -> None:
        """Ask the run to pause after its rung; told before it begins, it goes no step further."""
        target = self._target(run.number)
        if run.first and target < self.search.last_step:
            run.folder.write_request(EndRequest("pause", attempt, after=target))

    def on_start(self, live: Live[TrialRun]) -> None:
        """Note when the trial got its worker."""
        super().on_start(live)
        if live.run.first:
            self._got_worker[live.run.number] = time.time()

    def as_stored(self, trial: Trial) -> Trial:
        """Return a trial with where it is left, and with its times, if it was ever paused."""
        rung, spans = self._left.get(trial.number, ""), tuple(self._spans.get(trial.number, ()))
        return replace(trial, rung=rung, spans=spans)

    def on_end(self, run: TrialRun, outcome: Outcome) -> None:
        """Record the end of a run, and how long it had its worker if it was paused before."""
        if self._spans.get(run.number):
            self._end_span(run)
        super().on_end(run, outcome)

    def on_adopt(self, live: Live[TrialRun]) -> None:
        """Take the rung of a trial that still runs from the request to it."""
        if live.run.first:
            request = live.run.folder.read_request(live.attempt)
            after = request.after if request is not None and request.kind == "pause" else 0
            self._targets[live.run.number] = after or self.search.last_step

    def parks(self, run: TrialRun) -> bool:
        """Return whether a paused run has reached its rung."""
        step = max(self.study.curves[run.number], default=0)
        return run.first and self._target(run.number) <= step < self.search.last_step

    def on_requeue(self, run: TrialRun, *, paused: bool) -> None:
        """Set a run that has reached its rung apart."""
        super().on_requeue(run, paused=paused)
        self._end_span(run)
        if paused and self.parks(run):
            self._parked[run.number] = run
            self._timings.park(run.number)
            self.study.mark_spans(run.number, self._spans[run.number])
            self.study.mark_paused(run.number, self._place(run))
            folders = {number: parked.folder for number, parked in self._parked.items()}
            self._states.limit(folders, self._curves.predicted)
            self.watch.on_trial_pause(self._as_paused(run), self.study_progress())

    def _go_on(self, number: int, target: int) -> TrialRun:
        run = self._parked.pop(number)
        self._states.forget(number, has_state=run.folder.checkpoints.is_dir())
        self._targets[number] = target
        self.study.mark_paused(number, "")
        if not run.folder.checkpoints.is_dir():
            self._say_restart(run)
        else:
            self._resumes[number] = max(self.study.curves[number], default=0)
        return run

    def on_report(self, live: Live[TrialRun], progress: Progress) -> None:
        """Store a report; say where a trial did not go on from its state, as of a damaged one."""
        number, step = live.run.number, progress.step
        if live.run.first and (paused := self._resumes.pop(number, None)) and step <= paused:
            self.notify(
                live.run,
                f"starts again: it could not go on from the state it was paused in, at {paused}",
            )
        super().on_report(live, progress)

    def _say_restart(self, run: TrialRun) -> None:
        if self._states.keeps_any:
            self.watch.notice(f"{run.name} starts again: the state it was paused in is gone")
        elif not self._told_restart:
            self._told_restart = True
            self.watch.notice(
                f"{run.name} starts again, as each trial that goes on: none has kept a state. A "
                "function keeps its own in report.folder, a script in tw.checkpoint_dir()"
            )

    def _tell_failure(self) -> None:
        if self._curves.failure and not self._told_failure:
            self._told_failure = True
            self.watch.notice(
                f"the model of the sampler curves could not be computed ({self._curves.failure}): "
                "points are drawn at random until it can"
            )
        if self._curves.learning_failure and not self._told_learning:
            self._told_learning = True
            self.watch.notice(
                "the hyper-parameters of the model of the sampler curves could not be learned "
                f"({self._curves.learning_failure}): the former ones stay"
            )

    def _tell_rungs(self) -> None:
        """Say once that the first rung follows the curves, and that more trials go on."""
        ladder, metric = self._curves.ladder, self.search.metric
        if ladder.steps[0] != self._curves.assumed[0] and not self._told_first:
            self._told_first = True
            self.watch.notice(
                f"trials are now paused at step {ladder.steps[0]} first, not "
                f"{self._curves.assumed[0]}: from there on {metric} ranks them as at the end "
                "(study.sampler.first_rung sets the step)"
            )
        if ladder.correlation is not None and ladder.factor < FACTOR and not self._told_widening:
            self._told_widening = True
            self.watch.notice(
                f"{metric} at step {ladder.judged} does not rank trials as at the end (estimated "
                f"rank correlation {ladder.correlation:.2f}): one of {ladder.factor} goes on from "
                f"each rung, not one of {FACTOR}"
            )

    def _target(self, number: int) -> int:
        """Return the step that a trial trains to; one of an earlier session, the next rung."""
        if number not in self._targets:
            step = max(self.study.curves[number], default=0)
            rungs = self._curves.rungs
            target = next((rung for rung in rungs if rung >= step), rungs[-1])
            folder = self.search.folder.trial(number)
            request = folder.read_request(folder.attempt)  # the rungs may have moved since then
            if request is not None and request.kind == "pause" and request.after >= max(1, step):
                target = request.after
            self._targets[number] = target
        return self._targets[number]

    def _place(self, run: TrialRun) -> str:
        step = max(self.study.curves[run.number], default=0)
        return f"at {step} of {self.search.last_step}"

    def _end_parked(self) -> None:
        """End the trials that wait at a rung, once no run is left that could make them go on."""
        if self.live or self.waiting:
            return
        if (failures := self._curves.failures) > self._told_failures:
            self._told_failures = failures
            self.watch.notice(f"{failures} decisions of the sampler curves had no model")
        if not self._parked:
            return
        folders = {number: run.folder for number, run in self._parked.items()}
        self._states.keep_best(folders, self._curves.predicted)
        for run in sorted(self._parked.values(), key=lambda run: run.number):
            paused = run.folder.read_outcome() or Outcome("paused", run.folder.attempt)
            self._left[run.number] = rung = self._place(run)
            self.on_end(run, replace(paused, state="pruned", reason=reason_of_left(rung)))
        self._parked.clear()
        left = [trial for trial in self._ended.values() if trial.rung]
        places = Counter(trial.rung for trial in sorted(left, key=lambda t: max(t.curve)))
        where = ", ".join(f"{count} {rung}" for rung, count in places.items())
        self.watch.notice(
            f"{len(left)} trials are left at a rung ({where}): others were predicted to end "
            "better; with more trials they may go on"
        )

    def _as_paused(self, run: TrialRun) -> Trial:
        number, spans = run.number, tuple(self._spans[run.number])
        seconds, place = sum(took for _, took in spans), self._place(run)
        curve = dict(self.study.curves[number])
        paused = Trial(number, "paused", run.values, None, curve, seconds=seconds)
        return replace(paused, rung=place, spans=spans)

    def _end_span(self, run: TrialRun) -> None:
        """Note that a trial has lost its worker; other seeds of it run after its own end."""
        if run.first and (began := self._got_worker.pop(run.number, None)) is not None:
            span = round(began, 6), round(max(0.0, time.time() - began), 6)
            self._spans.setdefault(run.number, []).append(span)

    def _trials(self) -> Iterator[CurveTrial]:
        last, curves = self.search.last_step, self.study.curves
        for trial in (*self._imported, *self._ended.values()):
            yield _as_ended(trial, length_of(trial.parameters, last))
        begun = {run.number: run for run in (*(live.run for live in self.live), *self.waiting)}
        for number, run in {**begun, **self._parked}.items():
            if number in self._ended:  # a cancelled run of it has not left its worker yet
                continue
            curve, target = dict(curves[number]), self._target(number)
            length = length_of(run.values, last)
            state: State = "paused" if number in self._parked else "running"
            yield CurveTrial(number, run.values, curve, target, length, state)


def length_of(values: Mapping[str, object], last: int) -> int:
    """Return the steps of a trial's training; `training.epochs` may be searched."""
    own = values.get(EPOCHS, last)
    return min(last, own) if isinstance(own, int) else last


def _as_ended(trial: Trial, last: int) -> CurveTrial:
    """Return a trial that has ended as the search sees it; one without a curve has its score."""
    curve = dict(trial.curve)
    if not curve and trial.score is not None:
        curve = {last: trial.score}
    reached = max(curve, default=0)
    if curve and trial.score is not None and len(trial.seeds) > 1:
        curve[reached] = trial.score  # the mean over the seeds; the curve is of the first one
    length = reached if trial.state == "done" and reached else last  # stopped early by itself
    return CurveTrial(
        trial.number,
        trial.parameters,
        curve,
        reached,
        length,
        "ended",
        feasible=trial.state != "infeasible",
        own=not trial.imported_from and trial.state != "failed",
    )
