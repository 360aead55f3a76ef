"""Whether a space has an end depends on what its rules and conditions leave."""

import math

import pytest

from tunewright.errors import SpaceError
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.points import grid, is_finite
from tunewright.spaces.rules import Condition, ForbidRule
from tunewright.spaces.space import Parameter, Space

KIND = Parameter("kind", Categorical(("a", "b")))
RATE = Float(0.0, 1.0)


def needs(**values):
    return tuple(Condition(path, among=(value,)) for path, value in values.items())


def test_a_range_in_a_forbidden_branch_is_never_drawn():
    space = Space(
        (KIND, Parameter("depth", Int(1, 2)), Parameter("rate", RATE, when=needs(kind="b"))),
        forbid=(ForbidRule(needs(kind="b")),),
    )
    assert is_finite(space)
    assert [tuple(point.values()) for point in grid(space)] == [("a", 1), ("a", 2)]


def test_a_rule_may_close_a_branch_of_a_branch():
    inner = Parameter("inner", Categorical((1, 2)), when=needs(kind="b"))
    rate = Parameter("rate", RATE, when=needs(inner=2))
    closed = ForbidRule(fits="inner < 2")
    assert is_finite(Space((KIND, inner, rate), forbid=(closed,)))
    assert not is_finite(Space((KIND, inner, rate)))


def test_a_condition_that_no_step_meets():
    share = Parameter("share", Float(0.0, 1.0, step=0.3))
    above = Condition("share", bounds={"above": 0.95})
    assert is_finite(Space((share, Parameter("rate", RATE, when=(above,)))))
    above = Condition("share", bounds={"above": 0.85})
    assert not is_finite(Space((share, Parameter("rate", RATE, when=(above,)))))


def test_a_range_of_a_few_numbers():
    high = math.nextafter(math.nextafter(1e-3, 1.0), 1.0)
    space = Space((Parameter("rate", Float(1e-3, high, log=True)),))
    assert [point["rate"] for point in grid(space)] == [1e-3, math.nextafter(1e-3, 1.0), high]


def test_an_open_range_is_refused_before_the_first_point():
    with pytest.raises(SpaceError, match=r"rate is any number in 0 .. 1"):
        grid(Space((KIND, Parameter("rate", RATE))))
