"""Points as vectors: what is far apart, what is missing, and the way back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.search.curves.encoding import Encoder, fraction
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Parameter, Space

SPACE = Space(
    (
        Parameter("lr", Float(1e-4, 1e-1, log=True)),
        Parameter("layers", Int(1, 5)),
        Parameter("optimizer", Categorical(("sgd", "adam", "lion"))),
        Parameter("momentum", Float(0.0, 1.0), when=(Condition("optimizer", ("sgd",)),)),
    )
)


def test_numbers_lie_on_their_own_scale_and_choices_are_one_apart() -> None:
    encoder = Encoder(SPACE)
    sgd = encoder.encode({"lr": 1e-4, "layers": 1, "optimizer": "sgd", "momentum": 0.25})
    adam = encoder.encode({"lr": 10**-2.5, "layers": 5, "optimizer": "adam"})
    np.testing.assert_allclose(sgd[[0, 1, 5, 6]], [0.0, 0.1, 0.25, 1.0], atol=1e-12)
    np.testing.assert_allclose(adam[[0, 1, 5, 6]], [0.5, 0.9, 0.5, 0.0], atol=1e-12)
    assert math.dist(sgd[2:5], adam[2:5]) == pytest.approx(1.0)
    assert encoder.groups.tolist() == [0, 1, 2, 2, 2, 3, 4], "choices share a length scale"


@given(st.floats(0.0, 1.0, exclude_max=True), st.floats(0.0, 1.0, exclude_max=True))
def test_a_point_is_found_again_from_the_places_of_its_values(one: float, other: float) -> None:
    encoder = Encoder(SPACE)
    point = encoder.point(np.array([one, other, one, other]))
    again = encoder.point(np.nan_to_num(encoder.places(point)))
    assert again.keys() == point.keys()
    assert again["layers"] == point["layers"]
    assert again["optimizer"] == point["optimizer"]
    assert again["lr"] == pytest.approx(point["lr"])
    assert SPACE.contains(again)


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Int(3, 3), [3]),
        (Int(1, 1000, log=True), [1, 2, 30, 1000]),
        (Int(8, 64, step=8), [8, 16, 64]),
        (Float(0.0, 1.0, step=0.25), [0.0, 0.25, 1.0]),
        (Float(0.5, 0.5), [0.5]),
        (Categorical((True, 1, "1", None)), [True, 1, "1", None]),
    ],
)
def test_grids_and_single_values_have_places_inside(domain: object, values: list[object]) -> None:
    space = Space((Parameter("p", domain),))  # type: ignore[arg-type]
    for value in values:
        place = fraction(domain, value)  # type: ignore[arg-type]
        assert 0.0 <= place <= 1.0
        assert Encoder(space).point(np.array([place]))["p"] == value
