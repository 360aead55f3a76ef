"""Rungs that follow the curves: the first one where scores rank, wider quotas where none do."""

import numpy as np

from tunewright.search.curves.curve_search import CurveSearch, CurveTrial, GoOn
from tunewright.search.curves.ladder import fitting_ladder
from tunewright.spaces.domain import Float
from tunewright.spaces.space import Parameter, Space

LINE = Space((Parameter("x", Float(0.0, 1.0)),))
ASSUMED = (3, 12, 52)


def curves(ranks_from: int, count: int = 40, finished: int = 20) -> dict[int, dict[int, float]]:
    """Curves whose scores are noise before a step and final from it on."""
    rng = np.random.default_rng(0)
    ends, noise = rng.random(count), rng.random((count, 53))
    return {
        n: {s: float(ends[n] if s >= ranks_from else noise[n, s]) for s in range(1, last + 1)}
        for n in range(count)
        for last in [52 if n < finished else 12]
    }


def test_the_assumed_rungs_hold_until_trials_have_finished() -> None:
    assert fitting_ladder(ASSUMED, {}, ()).steps == ASSUMED
    found = fitting_ladder(ASSUMED, curves(1), [])
    assert (found.steps, found.factor) == (ASSUMED, 4)
    assert fitting_ladder((1,), curves(1), range(20)).steps == (1,)


def test_the_first_rung_is_the_smallest_step_that_ranks() -> None:
    assert fitting_ladder(ASSUMED, curves(1), range(20)).steps == (1, 4, 16, 52)
    assert fitting_ladder(ASSUMED, curves(6), range(20)).steps == (6, 24, 52)


def test_where_no_rung_ranks_more_trials_go_on() -> None:
    found = fitting_ladder(ASSUMED, curves(50), range(20))
    assert found.factor == 2
    assert found.correlation is not None
    assert found.correlation < 0.5
    assert found.judged == found.steps[0], "of two rungs, the first has to rank"


def trial(number: int, step: int, state: str = "paused") -> CurveTrial:
    curve = {s: number / 100 + s / 1000 for s in range(1, step + 1)}
    return CurveTrial(number, {"x": number / 50}, curve, step, 52, state)  # type: ignore[arg-type]


def test_trials_of_an_earlier_first_rung_go_on_from_where_they_wait() -> None:
    """After the first rung has moved from 2 to 3, and from 3 to 2."""
    for step, rungs in ((2, (3, 12, 52)), (3, (2, 8, 32, 52))):
        search = CurveSearch(LINE, rungs, startup=4)
        decision = search.decide([trial(n, step) for n in range(8)], lambda _: True)
        assert isinstance(decision, GoOn)
        assert decision.target == rungs[1]


def test_given_rungs_stay() -> None:
    trials = [trial(n, 52, "ended") for n in range(20)]
    fixed, follows = CurveSearch(LINE, ASSUMED), CurveSearch(LINE, ASSUMED, adapts=True)
    for search in (fixed, follows):
        search.decide(trials, lambda _: True)
    assert fixed.rungs == ASSUMED
    assert follows.rungs == (1, 4, 16, 52), "all of these curves rank from their first step on"
