"""The loop of a search that pauses trials at rungs and goes on with the promising ones."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tunewright.runs.record import EndRequest, Outcome, Trial
from tunewright.search.callbacks import StudyCallback
from tunewright.search.curves.curve_search import CurveSearch, CurveTrial, GoOn, Start, State
from tunewright.search.curves.rungs import assumed_pauses
from tunewright.search.loop.lease import Lease
from tunewright.search.loop.paused_states import PausedStates
from tunewright.search.loop.run_loop import Live
from tunewright.search.loop.study_loop import StudyLoop
from tunewright.search.loop.trial_runs import Search, TrialRun
from tunewright.search.study.study import Study

EPOCHS = "training.epochs"
"""Path of the length of a training."""


class CurveLoop(StudyLoop):
    """One session of a search by learning curves.

    A trial that has reached its rung is paused with its whole state, and takes no worker. In the
    storage it stays RUNNING, with the user attribute `paused`. When the study has all its trials
    and enough of them are trained to the end, those that still wait end as pruned.
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
        self._imported = [t for t in study.record().trials if t.imported_from]
        self._parked: dict[int, TrialRun] = {}
        self._targets: dict[int, int] = {}
        self._states = PausedStates(search.folder.path, search.paused_gib, watch.notice)
        self._told_failure = False
        self._nothing_for: object = None  # the state of the trials for which nothing was to be done

    @property
    def unfinished_trials(self) -> list[int]:
        """Trials that were begun and wait to be resumed."""
        return sorted({*super().unfinished_trials, *self._parked})

    def on_begin(self) -> None:
        """Restore running trials; those that wait at a rung are set apart."""
        super().on_begin()
        self._parked = {run.number: run for run in self.waiting if self.parks(run)}
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
        if paused and self.parks(run):
            self._parked[run.number] = run
            self.study.mark_paused(run.number, self._place(run))
            folders = {number: parked.folder for number, parked in self._parked.items()}
            self._states.limit(folders, self._curves.predicted)

    def _go_on(self, number: int, target: int) -> TrialRun:
        run = self._parked.pop(number)
        self._states.forget(number)
        self._targets[number] = target
        self.study.mark_paused(number, "")
        if not run.folder.checkpoints.is_dir():
            self.watch.notice(f"{run.name} starts again: the state it was paused in is gone")
        return run

    def _tell_failure(self) -> None:
        if self._curves.failure and not self._told_failure:
            self._told_failure = True
            self.watch.notice(
                f"the model of the sampler curves could not be computed ({self._curves.failure}): "
                "points are drawn at random until it can"
            )

    def _target(self, number: int) -> int:
        """Return the step that a trial trains to; one of an earlier session, the next rung."""
        if number not in self._targets:
            step = max(self.study.curves[number], default=0)
            rungs = self._curves.rungs
            self._targets[number] = next((rung for rung in rungs if rung >= step), rungs[-1])
        return self._targets[number]

    def _place(self, run: TrialRun) -> str:
        step = max(self.study.curves[run.number], default=0)
        return f"at {step} of {self.search.last_step}"

    def _end_parked(self) -> None:
        """End the trials that wait at a rung, once no run is left that could make them go on."""
        if self.live or self.waiting:
            return
        for run in sorted(self._parked.values(), key=lambda run: run.number):
            paused = run.folder.read_outcome() or Outcome("paused", run.folder.attempt)
            reason = f"paused {self._place(run)}; others were predicted to end better"
            self.on_end(run, replace(paused, state="pruned", reason=reason))
        self._parked.clear()

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
    length = reached if trial.state == "done" and reached else last  # stopped early by itself
    return CurveTrial(
        trial.number,
        trial.parameters,
        curve,
        reached,
        length,
        "ended",
        feasible=trial.state != "infeasible",
        own=not trial.imported_from,
    )
