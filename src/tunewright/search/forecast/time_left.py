"""Forecast of the remaining time of a study, from the durations and lengths of its trials.

The number of steps of a new trial is estimated like survival: of the trials that reached a step,
which share went on (Kaplan & Meier 1958). A running trial counts with the steps it has made. The
stops assumed of a pruner weigh as much as `PRIOR_TRIALS` trials until they are observed.
"""

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tunewright.search.study.pruning.ranked_halving import RankedHalving
from tunewright.search.study.stopping_rules import Halving, Hyperband, Patient, Percentile, Pruner

PRIOR_TRIALS = 4.0
"""Weight, in trials, of the assumed share of pruning against the observed share."""
SIMULATED = 512
"""Number of trials up to which each turn on the slots is simulated one by one."""


@dataclass(frozen=True)
class TrialTime:
    """The time that one trial has taken so far.

    steps: epochs completed. training_seconds: for these, all attempts together. slot_seconds: time
    in a slot in this session; None for a trial of an earlier session. idle_seconds: since its last
    report, for a running trial.
    """

    steps: int
    training_seconds: float
    slot_seconds: float | None = None
    idle_seconds: float = 0.0


@dataclass(frozen=True)
class RemainingWork:
    """The state of a study, as the time forecast needs it. new: trials that have not begun.

    running: in slots now. waiting: begun, and to be resumed. assumed: the share of trials that the
    pruner is assumed to stop at a step, until observed (`assumed_stops`). parked: paused at a rung,
    of which so many go on that the assumed shares come true.
    """

    last_step: int
    slots: int
    new: int
    ended: Sequence[TrialTime] = ()
    running: Sequence[TrialTime] = ()
    waiting: Sequence[TrialTime] = ()
    assumed: Mapping[int, float] = field(default_factory=dict)
    parked: Sequence[TrialTime] = ()


def seconds_left(work: RemainingWork, pace: "Pace | None" = None) -> float | None:
    """Return the seconds until the last trial of `work` ends; None before anything was measured.

    pace: used in place of the one estimated from the trials of `work`.
    """
    if work.new == 0 and not work.running and not work.waiting and not work.parked:
        return 0.0
    pace = pace or pace_of(work)
    if pace is None:
        return None
    free = sorted(pace.rest(spent) for spent in work.running)[: work.slots]
    free = [0.0] * (work.slots - len(free)) + free
    heapq.heapify(free)
    for spent in work.waiting:
        heapq.heappush(free, heapq.heappop(free) + pace.startup + pace.rest_of_steps(spent))
    for spent, chance in _further_parked(work):
        alive = pace.survival.get(spent.steps) or 1.0  # which `rest_of_steps` counts as well
        further = pace.startup + pace.rest_of_steps(spent) / alive
        heapq.heappush(free, heapq.heappop(free) + chance * further)
    each = pace.startup + pace.seconds_a_step * pace.steps_from(0)
    played = min(work.new, SIMULATED)
    for _ in range(played):
        heapq.heappush(free, heapq.heappop(free) + each)
    return max(free) + (work.new - played) * each / work.slots


@dataclass(frozen=True)
class Pace:
    """Estimated durations of the trials of a study, in seconds.

    startup: seconds in a slot that are not training. survival: for each step at which a trial was
    observed or assumed to end, the share of trials that went on.
    """

    last_step: int
    seconds_a_step: float
    startup: float
    survival: Mapping[int, float]

    def steps_from(self, step: int) -> float:
        """Return the expected number of further steps of a trial that has completed `step`."""
        if step >= self.last_step:
            return 0.0
        expected, alive, at = 0.0, 1.0, step
        for end in sorted(s for s in self.survival if step <= s < self.last_step):
            expected += alive * (end - at)
            alive *= self.survival[end]
            at = end
        return expected + alive * (self.last_step - at)

    def rest_of_steps(self, spent: TrialTime) -> float:
        """Return the training seconds that a begun trial still needs, at its own pace if known."""
        own = spent.training_seconds / spent.steps if spent.steps else self.seconds_a_step
        return own * self.steps_from(spent.steps)

    def rest(self, spent: TrialTime) -> float:
        """Return the seconds that a running trial will still occupy its slot."""
        if spent.steps:
            return max(0.0, self.rest_of_steps(spent) - spent.idle_seconds)
        whole = self.startup + self.seconds_a_step * self.steps_from(0)
        return max(0.0, whole - (spent.slot_seconds or 0.0))

    @property
    def share_to_end(self) -> float:
        """The share of the trials that complete all steps."""
        return math.prod(s for step, s in self.survival.items() if step < self.last_step)

    @property
    def share_of_steps(self) -> float:
        """The mean length of a trial, as a share of the full one."""
        return self.steps_from(0) / self.last_step


def pace_of(work: RemainingWork) -> Pace | None:
    """Estimate the pace from the trials so far; None while no step and no trial has ended.

    The time of a step is the mean over all steps, so that long trials weigh more than short ones.
    The start-up is a median without the first trial of each slot, which waits for its worker to
    start. While there are no other trials, the smallest start-up of a running trial is taken, or
    zero.
    """
    begun = [*work.ended, *work.running, *work.waiting, *work.parked]
    timed = [spent for spent in begun if spent.steps and spent.training_seconds > 0.0]
    steps = sum(spent.steps for spent in timed)
    whole = [s.slot_seconds - s.training_seconds for s in work.ended if s.slot_seconds is not None]
    if not steps and not whole:
        return None
    warm = sorted(whole[work.slots :])
    if not steps:  # no reports: all the time is start-up, so take the mean
        warm = warm or whole
        startup = sum(warm) / len(warm)
    elif warm:
        startup = max(0.0, warm[(len(warm) - 1) // 2])
    else:
        least = min(map(_startup_seconds, work.running), default=math.inf)
        startup = max(0.0, least) if whole and least < math.inf else 0.0
    seconds = sum(spent.training_seconds for spent in timed)
    return Pace(work.last_step, seconds / steps if steps else 0.0, startup, _survival(work))


def each_seed(pace: Pace, seeds: int) -> Pace:
    """Return the pace of trials that are repeated with each further seed, one run after another."""
    whole = pace.startup + pace.seconds_a_step * pace.last_step
    return replace(pace, startup=pace.startup + (seeds - 1) * pace.share_to_end * whole)


@dataclass(frozen=True)
class FinalStageCost:
    """The cost of what comes after the search. steps: epochs of the final training.

    cost: of one of these epochs, in epochs of the search; it grows with the number of rows. rounds:
    trainings one after another, when several seeds share the slots. evaluation: seconds. stops:
    whether `training.patience` may end the training before its last epoch. alike: whether it is
    that of the trials, whose lengths then tell that of the training. report: whether the study
    writes one. seeds: of the final training. replicate: `study.replicate`.
    """

    steps: int = 0
    cost: float = 1.0
    rounds: int = 1
    evaluation: float = 0.0
    stops: bool = False
    alike: bool = False
    report: bool = False
    seeds: int = 1
    replicate: float = 0.0

    def training_seconds(
        self, pace: Pace, winner: TrialTime | None = None, share: float = 1.0
    ) -> float:
        """Return the seconds of the final training.

        winner: the best trial, whose own pace is used if known. share: of its epochs that will be
        trained.
        """
        own = winner.training_seconds / winner.steps if winner and winner.steps else 0.0
        each = pace.startup + share * self.steps * self.cost * (own or pace.seconds_a_step)
        return self.rounds * each if self.steps else 0.0


NO_FINAL_STAGE = FinalStageCost()


def assumed_stops(pruner: Pruner, last_step: int) -> dict[int, float]:
    """Return the share of trials that a pruner is assumed to stop at each step.

    Halving stops all but one in `factor` at a rung. A percentile pruner stops its share once:
    trials below the bar at one step are mostly below it at the next.
    """
    match pruner:
        case Halving() | RankedHalving():
            rungs = itertools.takewhile(lambda rung: rung < last_step, pruner.steps())
            return dict.fromkeys(rungs, 1.0 - 1.0 / pruner.factor)
        case Hyperband():
            count = len(pruner.brackets)
            weights = [pruner.factor**s / (s + 1) for s in reversed(range(count))]
            stops: dict[int, float] = {}
            for weight, bracket in zip(weights, pruner.brackets, strict=True):
                for step, share in assumed_stops(bracket, last_step).items():
                    stops[step] = stops.get(step, 0.0) + share * weight / sum(weights)
            return stops
        case Percentile():
            first = next(pruner.steps())
            return {first: 1.0 - pruner.kept / 100.0} if first < last_step else {}
        case Patient(wrapped=inner) if inner is not None:
            earliest = next((s for s in pruner.steps() if s < last_step), None)
            shares = assumed_stops(inner, last_step)
            return {} if earliest is None else {s: v for s, v in shares.items() if s >= earliest}
    return {}


def _startup_seconds(spent: TrialTime) -> float:
    """Return the seconds that a running trial spent in its slot without training."""
    if not spent.steps or spent.slot_seconds is None:
        return math.inf
    return spent.slot_seconds - spent.idle_seconds - spent.training_seconds


def _further_parked(work: RemainingWork) -> Iterator[tuple[TrialTime, float]]:
    """Yield the trials that wait at a rung, each with the chance that it goes on."""
    begun = [*work.ended, *work.running, *work.waiting, *work.parked]
    for step in {spent.steps for spent in work.parked}:
        here = [spent for spent in work.parked if spent.steps == step]
        came = sum(spent.steps >= step for spent in begun)
        went = sum(spent.steps > step for spent in begun)
        left = math.floor((1.0 - work.assumed.get(step, 0.0)) * came + 1e-9) - went
        yield from ((spent, min(1.0, max(0, left) / len(here))) for spent in here)


def _survival(work: RemainingWork) -> dict[int, float]:
    """Return, for each step before the last at which trials ended, the share that went on.

    Trials that wait at a rung have not ended, and most of them never go on: there the shares are
    the assumed ones, which a quota makes true.
    """
    if work.parked:
        return {step: 1.0 - share for step, share in work.assumed.items()}
    ends: dict[int, float] = {}
    for spent in work.ended:
        if spent.steps < work.last_step:
            ends[spent.steps] = ends.get(spent.steps, 0.0) + 1.0
    begun = sorted(spent.steps for spent in [*work.ended, *work.running, *work.waiting])
    shares, below = {}, 0
    for step in sorted({*ends, *work.assumed}):
        while below < len(begun) and begun[below] < step:
            below += 1
        # A running trial at this very step has been judged, or soon will be.
        came = len(begun) - below
        assumed = work.assumed.get(step)
        weight = 0.0 if assumed is None else PRIOR_TRIALS
        stopped = ends.get(step, 0.0) + weight * (assumed or 0.0)
        shares[step] = 1.0 - stopped / (came + weight)
    return shares
