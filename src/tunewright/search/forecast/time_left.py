"""How long the rest of a study takes: from what its trials took, and how far they came.

How many steps a new trial makes is learned as survival is: of the trials that came to a step,
which share went on (Kaplan & Meier 1958). A running trial counts with the steps that it has made,
and what a pruner is assumed to stop weighs as much as `PRIOR_TRIALS` trials until it is learned.
"""

import heapq
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tunewright.search.study.pruners import Halving, Hyperband, Patient, Percentile, Pruner

PRIOR_TRIALS = 4.0
"""Trials whose weight the assumed share of pruning has against the share that is seen."""
SIMULATED = 512
"""Trials up to which their turns on the slots are played through one by one."""


@dataclass(frozen=True)
class TrialTime:
    """What one trial has taken so far.

    steps: epochs completed. training_seconds: what these took, all attempts together.
    slot_seconds: how long it has had a slot in this session; None for one of an earlier session.
    idle_seconds: since its last report, for a trial that runs.
    """

    steps: int
    training_seconds: float
    slot_seconds: float | None = None
    idle_seconds: float = 0.0


@dataclass(frozen=True)
class RemainingWork:
    """A study as an estimate needs it. new: trials that have not begun.

    running: in slots now. waiting: begun, and to be taken up again. assumed: the share that
    the pruner is believed to stop at a step, until it is seen (`assumed_stops`).
    """

    last_step: int
    slots: int
    new: int
    ended: Sequence[TrialTime] = ()
    running: Sequence[TrialTime] = ()
    waiting: Sequence[TrialTime] = ()
    assumed: Mapping[int, float] = field(default_factory=dict)


def seconds_left(work: RemainingWork, pace: "Pace | None" = None) -> float | None:
    """Until the last trial of `work` has ended; None before anything has been measured.

    pace: in place of what the trials of `work` show.
    """
    if work.new == 0 and not work.running and not work.waiting:
        return 0.0
    pace = pace or pace_of(work)
    if pace is None:
        return None
    free = sorted(pace.rest(spent) for spent in work.running)[: work.slots]
    free = [0.0] * (work.slots - len(free)) + free
    heapq.heapify(free)
    for spent in work.waiting:
        heapq.heappush(free, heapq.heappop(free) + pace.startup + pace.rest_of_steps(spent))
    each = pace.startup + pace.seconds_a_step * pace.steps_from(0)
    played = min(work.new, SIMULATED)
    for _ in range(played):
        heapq.heappush(free, heapq.heappop(free) + each)
    return max(free) + (work.new - played) * each / work.slots


@dataclass(frozen=True)
class Pace:
    """What trials of a study take, in seconds. startup: seconds in a slot that are not training.

    going_on: for each step at which a trial was seen or assumed to end, the share that went on.
    """

    last_step: int
    seconds_a_step: float
    startup: float
    going_on: Mapping[int, float]

    def steps_from(self, step: int) -> float:
        """Steps that a trial which has completed `step` is still expected to make."""
        if step >= self.last_step:
            return 0.0
        expected, alive, at = 0.0, 1.0, step
        for end in sorted(s for s in self.going_on if step <= s < self.last_step):
            expected += alive * (end - at)
            alive *= self.going_on[end]
            at = end
        return expected + alive * (self.last_step - at)

    def rest_of_steps(self, spent: TrialTime) -> float:
        """Seconds of training that a begun trial still needs, at its own pace if it has one."""
        own = spent.training_seconds / spent.steps if spent.steps else self.seconds_a_step
        return own * self.steps_from(spent.steps)

    def rest(self, spent: TrialTime) -> float:
        """Seconds that a running trial still has its slot."""
        if spent.steps:
            return max(0.0, self.rest_of_steps(spent) - spent.idle_seconds)
        whole = self.startup + self.seconds_a_step * self.steps_from(0)
        return max(0.0, whole - (spent.slot_seconds or 0.0))

    @property
    def share_to_end(self) -> float:
        """The share of the trials that make all steps."""
        return math.prod(s for step, s in self.going_on.items() if step < self.last_step)

    @property
    def share_of_steps(self) -> float:
        """The mean length of a trial, as a share of the full one."""
        return self.steps_from(0) / self.last_step


def pace_of(work: RemainingWork) -> Pace | None:
    """What is known of the trials so far; None while no step and no trial has ended.

    A step takes the mean over all steps, so that long trials weigh more than short ones. The
    start-up is a median, without the first trial of each slot: that one waits for its worker to
    start. While there are no others, the least that a running one shows is taken, or nothing.
    """
    begun = [*work.ended, *work.running, *work.waiting]
    timed = [spent for spent in begun if spent.steps and spent.training_seconds > 0.0]
    steps = sum(spent.steps for spent in timed)
    whole = [s.slot_seconds - s.training_seconds for s in work.ended if s.slot_seconds is not None]
    if not steps and not whole:
        return None
    warm = sorted(whole[work.slots :])
    if not steps:  # trials that report nothing: all that they take is in here, so the mean counts
        warm = warm or whole
        startup = sum(warm) / len(warm)
    elif warm:
        startup = max(0.0, warm[(len(warm) - 1) // 2])
    else:
        least = min(map(_around, work.running), default=math.inf)
        startup = max(0.0, least) if whole and least < math.inf else 0.0
    seconds = sum(spent.training_seconds for spent in timed)
    return Pace(work.last_step, seconds / steps if steps else 0.0, startup, _going_on(work))


def each_seed(pace: Pace, seeds: int) -> Pace:
    """What trains to its end trains again with each further seed, one run after another."""
    whole = pace.startup + pace.seconds_a_step * pace.last_step
    return replace(pace, startup=pace.startup + (seeds - 1) * pace.share_to_end * whole)


@dataclass(frozen=True)
class FinalStageCost:
    """What comes after the search. steps: epochs of the final training.

    cost: what an epoch of it takes, in epochs of the search; more rows make it dearer. rounds:
    trainings one after another, when several seeds share the slots. evaluation: seconds.
    """

    steps: int = 0
    cost: float = 1.0
    rounds: int = 1
    evaluation: float = 0.0

    def training_seconds(self, pace: Pace, winner: TrialTime | None = None) -> float:
        """The final training. winner: the best trial, whose own pace counts if it is known."""
        own = winner.training_seconds / winner.steps if winner and winner.steps else 0.0
        each = pace.startup + self.steps * self.cost * (own or pace.seconds_a_step)
        return self.rounds * each if self.steps else 0.0


NO_FINAL_STAGE = FinalStageCost()


def assumed_stops(pruner: Pruner, last_step: int) -> dict[int, float]:
    """The share of its trials that a pruner is believed to stop at each step.

    Halving stops all but one in `factor` at a rung. A percentile stops the share that it
    names, once: trials below it at one step are mostly below it at the next.
    """
    match pruner:
        case Halving():
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


def _around(spent: TrialTime) -> float:
    """Seconds in its slot that a running trial did not train."""
    if not spent.steps or spent.slot_seconds is None:
        return math.inf
    return spent.slot_seconds - spent.idle_seconds - spent.training_seconds


def _going_on(work: RemainingWork) -> dict[int, float]:
    """The share that went on after each step at which a trial ended before the last one."""
    ends: dict[int, float] = {}
    for spent in work.ended:
        if spent.steps < work.last_step:
            ends[spent.steps] = ends.get(spent.steps, 0.0) + 1.0
    begun = sorted(spent.steps for spent in [*work.ended, *work.running, *work.waiting])
    shares, below = {}, 0
    for step in sorted({*ends, *work.assumed}):
        while below < len(begun) and begun[below] < step:
            below += 1
        # A running trial that is just at the step has been decided on, or soon will be.
        came = len(begun) - below
        assumed = work.assumed.get(step)
        weight = 0.0 if assumed is None else PRIOR_TRIALS
        stopped = ends.get(step, 0.0) + weight * (assumed or 0.0)
        shares[step] = 1.0 - stopped / (came + weight)
    return shares
