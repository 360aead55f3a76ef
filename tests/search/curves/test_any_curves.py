"""Whatever the curves are, the search decides something and raises nothing."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.search.curves.curve_search import CurveModel, CurveSearch, CurveTrial, GoOn, Start
from tunewright.search.curves.model import Observations
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Parameter, Space

SPACE = Space(
    (
        Parameter("kind", Categorical(("a", "b"))),
        Parameter("n", Int(1, 8)),
        Parameter("depth", Float(0.0, 1.0), when=(Condition("kind", ("b",)),)),
    )
)
POINTS = [{"kind": "a", "n": n} for n in (1, 4, 8)] + [
    {"kind": "b", "n": n, "depth": d} for n, d in ((1, 0.0), (4, 0.5), (4, 0.5), (8, 1.0))
]
SCORES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 0.5, 1e30, -1e-30, -1e308, 1e308, 5e-324]),
)


@st.composite
def trials(draw: st.DrawFn, last: int = 16) -> list[CurveTrial]:
    found = []
    for number in range(draw(st.integers(0, 24))):
        step = draw(st.sampled_from([0, 1, 2, 4, last]))
        curve = {s: draw(SCORES) for s in range(1, step + 1)} if step < 3 else {}
        if step >= 3:
            curve = {1: draw(SCORES), 4: draw(SCORES), step: draw(SCORES)}
        feasible = draw(st.integers(0, 4)) > 0
        state = "ended" if step == last or not feasible else "paused" if step else "running"
        values = draw(st.sampled_from(POINTS))
        one = CurveTrial(number, values, curve, max(step, 1), last, state, feasible)  # type: ignore[arg-type]
        found.append(one)
    return found


@settings(max_examples=40, deadline=None)
@given(trials(), st.sampled_from([1.0, -1.0]), st.booleans())
def test_any_curves_lead_to_a_decision(
    given: list[CurveTrial], sign: float, may_start: bool
) -> None:
    search = CurveSearch(SPACE, (1, 4, 16), sign=sign, adapts=True, startup=4, believed=POINTS[:2])
    decision = search.decide(given, lambda _: True, may_start=may_start)
    again = CurveSearch(SPACE, (1, 4, 16), sign=sign, adapts=True, startup=4, believed=POINTS[:2])
    assert again.decide(given, lambda _: True, may_start=may_start) == decision
    match decision:
        case Start(values, target):
            assert may_start
            assert values is None or SPACE.contains(values)
            assert target in search.rungs
        case GoOn(number, target):
            assert given[number].state == "paused"
            assert target > given[number].reached
        case None:
            assert not may_start


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-1, 0), st.integers(0, 3)), min_size=1),
    st.floats(0, 1),
)
def test_predictions_are_finite_and_deviations_positive(
    rows: list[tuple[float, float, int]], place: float
) -> None:
    z, t, trial = (np.array(column) for column in zip(*rows, strict=True))
    data = Observations(np.full((len(z), 1), place), t, trial.astype(np.intp), z)
    model = CurveModel(np.array([0]))
    model.learn(data)
    model.condition(data)
    means, deviations = model.predict(
        np.array([[0.0], [place], [1.0]]), np.zeros(3), np.array([-1, 0, -1])
    )
    assert np.all(np.isfinite(means))
    assert np.all(deviations > 0)


@pytest.mark.parametrize("broken", ["condition", "predict", "most_probable"])
def test_whatever_fails_in_the_model_the_study_goes_on(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: Any) -> None:
        raise OverflowError("too large")

    monkeypatch.setattr(CurveModel, broken, fail)
    search, given = CurveSearch(SPACE, (1,), startup=2), []
    for number in range(12):
        decision = search.decide(given, lambda _: True)
        assert isinstance(decision, Start)
        curve = {1: math.sin(number)}
        given.append(CurveTrial(number, POINTS[number % 7], curve, 1, 1, "ended"))
    if broken == "most_probable":
        assert search.learning_failure == "too large"
        assert search.failures == 0
    else:
        assert search.failure == "too large"
        assert search.failures == 10, "counted, one by one"
