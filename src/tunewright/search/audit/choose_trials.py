"""Which configurations an audit trains: a spread over the ranking, not only winners."""

from collections.abc import Sequence

from tunewright.analysis.findings.trial_table import is_ranked, order_ended
from tunewright.runs.record import StudyRecord, Trial
from tunewright.spaces.domain import canonical


def rankable_trials(record: StudyRecord) -> list[Trial]:
    """Return the trials that have a rank, best first: finished ones, then pruned ones.

    Of several trials of one configuration the best stays.
    """
    trials = [trial for trial in record.trials if is_ranked(trial)]
    order = order_ended(trials, record.goals[0].sign)
    ranked = [trials[i] for i in sorted(range(len(trials)), key=lambda i: (-order[i], i))]
    distinct = {canonical(dict(trial.parameters)): trial for trial in reversed(ranked)}
    kept = {trial.number for trial in distinct.values()}
    return [trial for trial in ranked if trial.number in kept]


def choose_trials(ranked: Sequence[Trial], count: int, before: Sequence[int] = ()) -> list[Trial]:
    """Return `count` trials, best first: the best, and others evenly over the ranking.

    before: those of an earlier audit, which stay; further ones fill the largest gaps between them.
    """
    places = {trial.number: place for place, trial in enumerate(ranked)}
    taken = {places[number] for number in before if number in places}
    if not taken and count > 1:
        last, steps = len(ranked) - 1, min(count, len(ranked)) - 1
        taken = {round(step * last / max(1, steps)) for step in range(steps + 1)}
    taken |= {0} if ranked else set()
    while len(taken) < min(count, len(ranked)):
        free = [place for place in range(len(ranked)) if place not in taken]
        taken.add(max(free, key=lambda place: min(abs(place - one) for one in taken)))
    return [ranked[place] for place in sorted(taken)]
