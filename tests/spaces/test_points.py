"""Points in a fixed order: grids, and sequences that fill a space evenly."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.errors import SpaceError
from tunewright.spaces.domain import Categorical, Domain, Float, Int
from tunewright.spaces.points import at, grid, identity, list_values, quasi_random
from tunewright.spaces.rules import Condition, ForbidRule
from tunewright.spaces.space import Parameter, Space

finite = st.one_of(
    st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True).map(
        lambda choices: Categorical(tuple(choices))
    ),
    st.builds(lambda low, size, step: Int(low, low + size, step=step), *[st.integers(1, 4)] * 3),
    st.builds(
        lambda size, step: Float(0.1, 0.1 + size * step, step=step),
        st.integers(0, 3),
        st.sampled_from([0.1, 0.25, 1.0]),
    ),
)
domains = (
    finite
    | st.builds(
        lambda low, factor, log: Float(low, low * factor, log=log),
        st.floats(1e-4, 10.0),
        st.floats(1.0, 1000.0),
        st.booleans(),
    )
    | st.builds(
        lambda low, size: Int(low, low + size, log=True), st.integers(1, 5), st.integers(0, 60)
    )
)


@st.composite
def spaces(draw, of=finite) -> Space:
    """Up to four parameters, the later ones conditional and combinations forbidden."""
    parameters: list[Parameter] = []
    for name in "abcd"[: draw(st.integers(1, 4))]:
        when = ()
        if parameters and draw(st.booleans()):
            earlier = draw(st.sampled_from(parameters))
            when = (Condition(earlier.path, bounds={"at_least": draw(st.integers(0, 5))}),)
        parameters.append(Parameter(name, draw(of), when=when))
    forbid = ()
    if draw(st.booleans()):
        named = draw(st.sampled_from(parameters)).path
        forbid = (
            ForbidRule(
                (Condition("a", bounds={"above": 2}), Condition(named, bounds={"above": 1}))
            ),
        )
    return Space(tuple(parameters), forbid)


@settings(deadline=None)
@given(spaces())
def test_a_grid_is_every_allowed_point_once(space: Space) -> None:
    found = list(grid(space))
    assert all(space.contains(values) for values in found)
    wanted = set()
    columns = [list_values(p.path, p.domain) for p in space.parameters]
    for row in itertools.product(*columns):
        chosen = dict(zip((p.path for p in space.parameters), row, strict=True))
        values = space.draw(lambda p, chosen=chosen: chosen[p.path])  # type: ignore[misc]
        if space.broken_rule(values) is None:
            wanted.add(identity(space, values))
    assert {identity(space, values) for values in found} == wanted
    assert len(found) == len(wanted)


def test_the_last_parameter_changes_fastest() -> None:
    space = Space((Parameter("a", Int(1, 2)), Parameter("b", Categorical(("x", "y")))))
    assert [tuple(values.values()) for values in grid(space)] == [
        (1, "x"),
        (1, "y"),
        (2, "x"),
        (2, "y"),
    ]


def test_a_grid_is_listed_lazily() -> None:
    wide = Space(tuple(Parameter(f"p{n}", Int(1, 100)) for n in range(20)))
    assert len(list(itertools.islice(grid(wide), 5))) == 5


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (Float(0.0, 1.0), r"optim.lr is any number in 0 .. 1.*Give optim.lr choices or a step"),
        (Float(1e-3, 1.0, log=True), r"any number in 0.001 .. 1 \(log\)"),
        (Int(1, 5000), r"has 5000 values.*at most 1000 values.*larger step"),
        (Float(0.0, 1.0, step=1e-6), "has 1000001 values"),
    ],
)
def test_a_domain_that_cannot_be_listed_is_refused_before_the_first_point(
    domain: Domain, message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        grid(Space((Parameter("x", Int(1, 2)), Parameter("optim.lr", domain))))


def test_one_value_is_a_grid_too() -> None:
    assert list(grid(Space((Parameter("x", Float(0.5, 0.5)),)))) == [{"x": 0.5}]


@settings(deadline=None)
@given(domains, st.floats(0.0, 1.0, exclude_max=True))
def test_a_fraction_of_a_domain_lies_in_it(domain: Domain, fraction: float) -> None:
    assert domain.contains(at(domain, fraction))


@given(finite)
def test_equal_parts_lead_to_each_value_alike(domain: Domain) -> None:
    values = list_values("x", domain)
    found = [at(domain, (place + 0.5) / len(values)) for place in range(len(values))]
    assert found == values


def test_a_log_scale_is_even_in_the_logarithm() -> None:
    assert at(Float(1e-4, 1.0, log=True), 0.5) == pytest.approx(1e-2)
    assert {at(Int(1, 3, log=True), n / 100) for n in range(100)} == {1, 2, 3}


@settings(deadline=None, max_examples=50)
@given(spaces(of=domains), st.integers(0, 2**31))
def test_a_sequence_is_allowed_distinct_and_repeatable(space: Space, seed: int) -> None:
    found = list(itertools.islice(quasi_random(space, seed), 20))
    assert all(space.contains(values) for values in found)
    assert len({identity(space, values) for values in found}) == len(found)
    assert found == list(itertools.islice(quasi_random(space, seed), 20))


def test_a_sequence_fills_the_space_more_evenly_than_chance() -> None:
    space = Space((Parameter("x", Float(0.0, 1.0)), Parameter("y", Float(0.0, 1.0))))
    points = list(itertools.islice(quasi_random(space, 3), 64))
    cells = {(math.floor(v["x"] * 8), math.floor(v["y"] * 8)) for v in points}
    assert len(cells) >= 60, "64 random points fill about 41 of 64 cells"


def test_a_small_space_is_spent_and_a_forbidden_one_empty() -> None:
    small = Space((Parameter("x", Int(1, 3)), Parameter("y", Categorical(("a", "b")))))
    assert len(list(quasi_random(small, 0))) == 6
    empty = Space((Parameter("x", Float(0.0, 1.0)),), forbid=(ForbidRule(fits="x > 2"),))
    assert list(quasi_random(empty, 0)) == []


def test_rounding_makes_no_new_point() -> None:
    space = Space((Parameter("x", Float(0.1, 0.4, step=0.1)),))
    assert identity(space, {"x": 0.30000000000000004}) == identity(space, {"x": 0.3})
    assert identity(space, {"x": 0.3}) != identity(space, {"x": 0.2})


def test_rules_know_a_value_whoever_added_its_steps_up() -> None:
    """Optuna and studies of older versions add in binary."""
    space = Space(
        (
            Parameter("x", Float(-0.3, 0.6, step=0.1)),
            Parameter("y", Int(1, 2), when=(Condition("x", among=(0.0, 0.3)),)),
        ),
        forbid=(ForbidRule((Condition("x", bounds={"at_least": 0.6}),)),),
        derived={"z": "10 * x"},
    )
    assert {v["x"] for v in grid(space) if "y" in v} == {0.0, 0.3}
    assert max(v["x"] for v in grid(space)) == 0.5
    assert space.contains({"x": -0.3 + 3 * 0.1, "y": 1})
    assert space.contains({"x": -0.3 + 6 * 0.1, "y": 2})
    assert not space.contains({"x": -0.3 + 9 * 0.1})
    assert space.complete({"x": -0.3 + 6 * 0.1, "y": 1})["z"] == 3.0
