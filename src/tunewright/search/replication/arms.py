"""The configurations that are replicated, and what their run folders hold already."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from tunewright.analysis.winner.race import ROUNDS, count_arms
from tunewright.analysis.winner.replicates import Arm
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import COSTS, Goal, Outcome, StudyRecord, Trial
from tunewright.search.study.constraints import Constraint

FIRST_SEED = 1000
"""Distance of the replicates' seeds from those of the search, which they must not share."""


@dataclass(frozen=True)
class RaceField:
    """What is raced: arms by their trials, common seeds, and what counts.

    trials: the arms' own. searched: the scores of all finished trials, signs turned so that more is
    better.
    """

    folder: StudyFolder
    goal: Goal
    constraints: Sequence[Constraint]
    trials: Mapping[int, Trial]
    arms: Sequence[Arm]
    seeds: Sequence[int]
    affordable: int
    searched: Sequence[float]

    def outcome(self, trial: int, seed: int) -> Outcome | None:
        """Return how a replicate ended; None while it runs, or where it is to be resumed."""
        found = self.folder.replicate(trial, seed).read_outcome()
        if found is None or found.state == "paused" or found.cause == "interrupted":
            return None
        return found

    def with_outcomes(self, ended: Mapping[tuple[int, int], Outcome]) -> list[Arm]:
        """Return the arms with their replicates. ended: by trial and seed."""
        found = []
        for arm in self.arms:
            own = {seed: outcome for (trial, seed), outcome in ended.items() if trial == arm.trial}
            found.append(with_outcomes(arm, own, self.goal, self.constraints))
        return found


def with_outcomes(
    arm: Arm, outcomes: Mapping[int, Outcome], goal: Goal, constraints: Sequence[Constraint]
) -> Arm:
    """Return an arm with its replicates. outcomes: by seed.

    One that failed puts the arm out, since a configuration that fails with one seed of three cannot
    be relied on; so does a constraint that the means violate.
    """
    done = {seed: one.all_metrics for seed, one in outcomes.items() if one.state == "done"}
    name = goal.metric
    scores = {seed: goal.sign * found[name] for seed, found in done.items() if name in found}
    scores = {seed: score for seed, score in scores.items() if math.isfinite(score)}
    failure = ""
    for seed, outcome in outcomes.items():
        if outcome.state != "done":
            failure = failure or f"seed {seed}: {outcome.reason or outcome.cause or outcome.state}"
        elif seed not in scores:
            failure = failure or f"seed {seed}: {name} was not measured"
    measured = list(done.values())
    common = [one for one in (measured or [{}])[0] if all(one in found for found in measured)]
    means = {one: fmean(found[one] for found in measured) for one in common}
    broken = [one.text for one in constraints if one.excess(means) > 0.0]
    if broken and not failure:
        failure = f"the means of its replicates violate {'; '.join(broken)}"
    costs = {one: value for one, value in means.items() if one in COSTS}
    return replace(arm, scores=scores, costs=costs, failure=failure)


def pick_arms(record: StudyRecord, default: Trial | None, affordable: int) -> list[Arm]:
    """Return the best trials by score and the defaults, as many as replicates can be paid for.

    default: the trial that tried the defaults, also where it was pruned; None where there is none
    that could run to its end.
    """
    goal = record.goals[0]
    finished = [trial for trial in record.of_state("done") if trial.score is not None]
    ranked = sorted(finished, key=lambda one: (-goal.sign * _score(one), one.number))
    count = count_arms(affordable)
    among = [trial.number for trial in ranked[:count]]
    kept = ranked[:count]
    if default is not None and count and default.number not in among:
        kept = [*ranked[: count - 1], default]
    first = None if default is None else default.number
    return [
        Arm(
            trial.number,
            goal.sign * _score(trial),
            is_default=trial.number == first,
            among_best=trial.number in among,
        )
        for trial in kept
    ]


def _score(trial: Trial) -> float:
    return math.nan if trial.score is None else trial.score


def count_trainings(record: StudyRecord, last_step: int) -> float:
    """Return how many whole trainings the trials of a study were worth, by their epochs.

    A finished trial counts as one for each of its seeds, whatever it reported.
    """
    lengths = [max(trial.curve) for trial in record.of_state("done") if trial.curve]
    whole = min(last_step, median(lengths)) if lengths else last_step
    total = 0.0
    for trial in record.own:
        steps = max(trial.curve, default=0)
        part = 1.0 if trial.state == "done" else min(1.0, steps / whole)
        total += part * max(1, len(trial.seeds))
    return total


def replicate_seeds(seed: int, seeds: int) -> list[int]:
    """Return the seeds of the rounds. seed, seeds: the first seed of the search, and how many."""
    return [seed + seeds - 1 + FIRST_SEED + place for place in range(ROUNDS)]
