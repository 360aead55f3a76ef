"""The step from which on running trials are ranked as they will end."""

import numpy as np
import pytest

from tunewright.analysis.rank_correlation import candidate_steps, first_rung, rank_correlations

LAST = 32


def simulated(noise: dict[int, float], *, count: int, stop_at: int = 0, seed: int = 0):
    """Return curves of which the values at a step miss the final one by a deviation `noise`.

    stop_at: the step after which only the better half of the trials goes on.
    """
    rng = np.random.default_rng(seed)
    final = rng.standard_normal(count)
    curves = {
        n: {s: float(v + noise.get(s, 0.0) * rng.standard_normal()) for s in range(1, LAST + 1)}
        for n, v in enumerate(final)
    }
    finished = set(curves)
    if stop_at:
        middle = np.median([curve[stop_at] for curve in curves.values()])
        finished = {n for n, curve in curves.items() if curve[stop_at] >= middle}
        curves = {
            n: c if n in finished else {s: v for s, v in c.items() if s <= stop_at}
            for n, c in curves.items()
        }
    return curves, finished


class TestFirstRung:
    def test_is_the_one_assumed_before_anything_has_finished(self):
        assert first_rung({}, (), last=52, fallback=2) == 2
        assert first_rung({0: {1: 0.1, 2: 0.3}}, (), last=52, fallback=3) == 3

    def test_is_earlier_where_the_first_epoch_ranks(self):
        curves, finished = simulated({}, count=20)
        assert first_rung(curves, finished, last=LAST, fallback=2) == 1

    def test_is_later_where_the_assumed_one_does_not_rank(self):
        curves, finished = simulated({1: 9.0, 2: 9.0, 3: 9.0}, count=30)
        assert first_rung(curves, finished, last=LAST, fallback=2) == 4

    def test_is_never_behind_a_quarter_of_a_training_unless_it_was_assumed(self):
        curves, finished = simulated(dict.fromkeys(range(1, LAST), 50.0), count=40)
        assert first_rung(curves, finished, last=LAST, fallback=2) == LAST // 4
        assert first_rung(curves, finished, last=LAST, fallback=9) == 9
        assert first_rung({}, (), last=1, fallback=1) == 1

    def test_few_trials_do_not_speak_against_the_assumption(self):
        curves, finished = simulated({2: 9.0}, count=3)
        assert first_rung(curves, finished, last=LAST, fallback=2) == 2


class TestRankCorrelations:
    @pytest.mark.parametrize("noise", [0.3, 1.0])
    def test_survivors_tell_of_all_trials(self, noise):
        true = 1 / np.sqrt(1 + noise**2)
        found = [
            rank_correlations(*simulated({2: noise}, count=200, stop_at=2, seed=s), [2], fallback=2)
            for s in range(20)
        ]
        assert np.mean([each[2] for each in found]) == pytest.approx(true, abs=0.05)

    def test_a_score_without_a_rank_counts_as_nothing(self):
        curves = {n: {1: 0.5, 2: float(n), LAST: float(n)} for n in range(12)}
        curves[3][1] = float("nan")
        curves[12] = {}
        found = rank_correlations(curves, range(13), [1, 2], fallback=2)
        assert found[1] < 0.3 < 0.8 < found[2]

    def test_only_ranks_count(self):
        curves, finished = simulated({2: 0.5}, count=30)
        large = {n: {s: np.sinh(20 * v) for s, v in c.items()} for n, c in curves.items()}
        assert rank_correlations(large, finished, [2], fallback=2) == rank_correlations(
            curves, finished, [2], fallback=2
        )


def test_candidates_reach_the_assumed_step():
    assert candidate_steps(52, 3) == (1, 2, 3, 4, 6, 8, 12)
    assert candidate_steps(4, 2) == (1, 2)
    assert candidate_steps(8, 5) == (1, 2, 3, 4, 5)
