"""Beliefs about the optimum: drawn from, borne out or given up, and decaying."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tunewright.search.curves.curve_search import CurveSearch, CurveTrial, Start
from tunewright.search.curves.encoding import Encoder
from tunewright.search.curves.prior import Prior
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Parameter, Space

PLANE = Space((Parameter("x", Float(0.0, 1.0)), Parameter("y", Float(0.0, 1.0))))
MIXED = Space(
    (
        Parameter("kind", Categorical(("a", "b"))),
        Parameter("n", Int(1, 64, log=True)),
        Parameter("depth", Float(0.0, 1.0), when=(Condition("kind", ("b",)),)),
    )
)


def test_without_beliefs_there_is_nothing() -> None:
    prior = Prior(Encoder(PLANE), ())
    assert not prior
    assert not prior.trust(np.zeros((3, 2)), np.zeros(3)).any()


def test_a_belief_is_given_up_when_the_trials_near_it_lose() -> None:
    prior = Prior(Encoder(PLANE), ({"x": 0.2, "y": 0.2}, {"x": 0.8, "y": 0.8}))
    tried = np.array([[0.2, 0.25], [0.8, 0.75], [0.2, 0.8], [0.8, 0.2], [0.5, 0.99]])
    assert prior.trust(tried[:0], np.zeros(0)).tolist() == [1.0, 1.0], "nothing is known yet"
    good, bad = prior.trust(tried, np.array([1.0, 0.0, 0.5, 0.4, 0.6]))
    assert good > 0.9
    assert bad == 0.0
    even = prior.trust(tried, np.array([0.5, 0.5, 0.5, 0.5, 0.5]))
    assert even.tolist() == pytest.approx([even[0], even[0]])
    assert 0 < even[0] < good


def test_points_are_drawn_near_a_believed_one_and_only_trusted_ones() -> None:
    encoder = Encoder(MIXED)
    prior = Prior(encoder, ({"kind": "a", "n": 8}, {"kind": "b", "n": 8, "depth": 0.9}))
    rng = np.random.default_rng(0)
    rows = prior.draw(np.array([0.0, 1.0]), rng, 300)
    assert rows.min() >= 0
    assert rows.max() <= 1
    points = [encoder.point(row) for row in rows]
    deep = [point["depth"] for point in points if point["kind"] == "b"]
    assert len(deep) > 200, "a choice moves once in as many times as there are parameters"
    assert np.mean(np.abs(np.array(deep) - 0.9) < 0.3) > 0.9
    raised = prior.raised(rows, np.array([0.0, 1.0]))
    assert raised.max() <= 1
    assert raised.mean() > prior.raised(rng.random((300, 3)), np.array([0.0, 1.0])).mean()


def test_the_same_belief_twice_counts_once() -> None:
    prior = Prior(Encoder(MIXED), [{"kind": "a", "n": 8}] * 3)
    assert len(prior.trust(np.empty((0, 3)), np.empty(0))) == 1


def found(believed: list[dict[str, float]], seed: int) -> tuple[float, list[CurveTrial]]:
    """Run 24 trials of one step; return the best score of the first ten and all trials."""

    def score(values: Mapping[str, Any]) -> float:
        return -((values["x"] - 0.2) ** 2) - (values["y"] - 0.8) ** 2

    search = CurveSearch(PLANE, (1,), seed=seed, believed=believed)
    rng, trials = random.Random(seed), []
    for number in range(24):
        decision = search.decide(trials, lambda _: True)
        assert isinstance(decision, Start)
        values = decision.values or {"x": rng.random(), "y": rng.random()}
        if number < len(believed):
            values = believed[number]
        curve = {1: score(values)}
        trials.append(CurveTrial(number, values, curve, 1, 1, "ended"))
    return max(t.curve[1] for t in trials[:10]), trials


def test_every_second_one_of_the_first_trials_is_near_what_is_believed_until_it_loses() -> None:
    right = [found([{"x": 0.22, "y": 0.78}], seed)[1] for seed in range(3)]
    near = [abs(t.values["x"] - 0.22) < 0.4 for trials in right for t in trials[1:10:2]]
    assert all(near)
    wrong = [found([{"x": 0.95, "y": 0.05}], seed)[1] for seed in range(3)]
    near = [t.values["x"] > 0.7 and t.values["y"] < 0.3 for trials in wrong for t in trials[4:]]
    assert sum(near) <= 6, "of 60: it is given up at once"
    blank = np.mean([found([], seed)[0] for seed in range(5)])
    assert np.mean([found([{"x": 0.22, "y": 0.78}], seed)[0] for seed in range(5)]) > blank
