"""Successive halving with a first rung that follows from the curves."""

import random

from tunewright.config.study_schema import AshaConfig
from tunewright.search.study.pruners import pruner
from tunewright.search.study.stopping_rules import Halving

LAST = 32
Curves = dict[int, dict[int, float]]


def search(noise: dict[int, float], trials: int, seed: int = 0) -> tuple[Curves, set[int]]:
    """Run a search whose values at a step miss the final one by a deviation `noise`."""
    rng, made = random.Random(seed), pruner(AshaConfig(), LAST, "max")
    curves: Curves = {}
    done: set[int] = set()
    for number in range(trials):
        final = rng.gauss(0, 1)
        curves[number] = {}
        for step in range(1, LAST + 1):
            curves[number][step] = final + noise.get(step, 0.0) * rng.gauss(0, 1)
            if step < LAST and not made.keeps(number, step, curves, done):
                break
        else:
            done.add(number)
    return curves, done


def first_stops(curves: Curves, *, since: int) -> set[int]:
    """Return the steps at which the trials from a number on were stopped."""
    return {max(curve) for n, curve in curves.items() if n >= since and max(curve) < LAST}


class TestFirstRung:
    def test_is_two_at_first(self) -> None:
        made = pruner(AshaConfig(), LAST, "max")
        curves = {n: {1: float(n), 2: float(n)} for n in range(8)}
        assert made.keeps(0, 1, {0: {1: 0.0}, **{n: curves[n] for n in range(1, 8)}}, ())
        assert not made.keeps(0, 2, curves, ())
        assert made.reason(0, 2) == "not among the best 1/2 at rung 2"
        assert made.keeps(7, 2, curves, ())

    def test_moves_to_one_where_the_first_epoch_ranks(self) -> None:
        curves, _ = search({}, 60)
        assert min(first_stops(curves, since=40)) == 1

    def test_moves_up_where_the_early_epochs_do_not_rank(self) -> None:
        late = dict.fromkeys(range(1, 6), 30.0)
        curves, _ = search(late, 80)
        assert min(first_stops(curves, since=40)) >= 6

    def test_stays_where_it_was_given(self) -> None:
        assert pruner(AshaConfig(min_resource=2), LAST, "max") == Halving(2, 2, 1.0)


def test_a_trial_that_an_earlier_ladder_stopped_is_a_rival_at_the_next_rung() -> None:
    made = pruner(AshaConfig(), LAST, "max")
    whole = {n: {s: float(n) for s in range(1, LAST + 1)} for n in range(20, 40)}
    stopped = {n: {1: n / 100, 2: n / 100} for n in range(20)}  # by a first rung of 2
    # With the first rung at 1, a step that ranks here, the next ones are 2, 4, ...
    curves = {**whole, **stopped, 40: {1: 25.5, 2: 25.5, 3: 25.5, 4: 25.5}}
    assert not made.keeps(40, 4, curves, set(whole))  # 14 of the 20 that passed are better
    gone = {n: {s: v for s, v in c.items() if s <= 3} for n, c in stopped.items()}
    late = {n: {**c, 3: c[2]} for n, c in gone.items()}  # stopped at 3, which is no rung now
    assert made.keeps(40, 4, {**curves, **late}, set(whole))  # 14 of 41


def test_decisions_follow_from_the_curves_alone() -> None:
    curves, done = search({1: 2.0, 2: 2.0}, 40)
    again, same = search({1: 2.0, 2: 2.0}, 40)
    assert (curves, done) == (again, same)
    fresh = pruner(AshaConfig(), LAST, "max")
    for number, curve in curves.items():
        before = {n: c for n, c in curves.items() if n <= number}
        ended = {n for n in done if n < number}
        assert fresh.keeps(number, max(curve), before, ended) == (number in done)


def test_a_short_training_has_a_rung_before_its_end() -> None:
    made = pruner(AshaConfig(), 3, "min")
    curves = {n: {1: float(n), 2: float(n), 3: float(n)} for n in range(10)}
    assert made.keeps(0, 2, curves, set(range(10)))
    assert not made.keeps(9, 2, {**curves, 9: {1: 9.0, 2: 9.0}}, set(range(9)))
