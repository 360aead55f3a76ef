"""Which weights stay on the disk while trials end, in any order."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Goal, StudyRecord, Trial
from tunewright.search.loop.best_checkpoint import BestWeights

NOTHING = StudyRecord("s", "r", "a", "max", (), (Goal("b", "min"),))


def with_weights(folder, number):
    (folder.trial(number).checkpoints).mkdir(parents=True, exist_ok=True)


def kept(folder, trials):
    return [t.number for t in trials if folder.trial(t.number).checkpoints.exists()]


def judged(folder, trials, order):
    """End the trials in this order; the weights that are then left, and the best."""
    found = BestWeights(folder, NOTHING)
    for place in order:
        with_weights(folder, trials[place].number)
        found.judge(trials[place])
    return kept(folder, trials), found.best


def trial(number, score, other, state="done"):
    return Trial(number, state, {}, score, {}, others={"b": other})


def test_of_equal_trials_the_first_keeps_its_weights_whichever_ends_first(tmp_path):
    trials = [trial(0, 0.5, 1.0), trial(1, 0.75, 1.0), trial(2, 0.75, 1.0)]
    for n, order in enumerate(([0, 1, 2], [2, 1, 0], [2, 0, 1])):
        left, best = judged(StudyFolder(tmp_path / str(n)), trials, order)
        assert (left, best) == ([1], trials[1])


def test_what_did_not_finish_keeps_nothing(tmp_path):
    trials = [trial(0, 0.5, 1.0), trial(1, 0.9, 1.0, "infeasible"), trial(2, None, 0.0, "failed")]
    assert judged(StudyFolder(tmp_path), trials, [1, 0, 2]) == ([0], trials[0])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_best_trial_of_the_record_has_its_weights(tmp_path_factory, data):
    pairs = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-2, 2))
    trials = []
    for n, (a, b, away) in enumerate(data.draw(st.lists(pairs, min_size=1, max_size=6))):
        score = 0.1 * a + 0.7
        for _ in range(abs(away)):
            score = math.nextafter(score, math.copysign(math.inf, away))
        trials.append(trial(n, score, float(b)))
    order = data.draw(st.permutations(range(len(trials))))
    folder = StudyFolder(tmp_path_factory.mktemp("study"))
    left, best = judged(folder, trials, order)
    record = replace(NOTHING, trials=tuple(trials))
    assert best == record.best
    assert record.best.number in left
    for one in left:  # no more than rounding leaves open
        assert abs(trials[one].score - record.best.score) < 1e-12
    again = BestWeights(folder, record)
    assert again.best == record.best
    assert kept(folder, trials) == left
