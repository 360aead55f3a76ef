import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import SpaceError
from tunewright.spaces.domain import (
    Categorical,
    Float,
    Int,
    as_written,
    canonical,
    grid_steps,
    middle,
    nearest,
    on_grid,
    same,
)
from tunewright.spaces.sample import uniform

BOUNDS = st.floats(-1e6, 1e6)
STEPS = st.sampled_from([None, 0.1, 0.3, 1.0, 7.0])


@st.composite
def domains(draw):
    kind = draw(st.sampled_from(["choices", "float", "log", "int", "int log"]))
    if kind == "choices":
        values = st.one_of(st.booleans(), st.integers(), st.floats(-9, 9), st.text(max_size=3))
        return Categorical(
            tuple(draw(st.lists(values, min_size=1, max_size=5, unique_by=canonical)))
        )
    if kind == "float":
        low, high = sorted((draw(BOUNDS), draw(BOUNDS)))
        step = draw(STEPS)
        return Float(low, high, step=step if step and (high - low) / step < 1e6 else None)
    if kind == "log":
        low, high = sorted(draw(st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))))
        return Float(low, high, log=True)
    low, high = sorted(draw(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6))))
    if kind == "int log":
        return Int(low, high, log=True)
    return Int(low - 500, high, step=draw(st.integers(1, 9)))


@given(domains(), st.randoms(use_true_random=False))
def test_draws_lie_in_the_domain(domain, rng):
    assert all(domain.contains(uniform(domain, rng)) for _ in range(5))


@given(domains(), st.one_of(st.none(), st.booleans(), st.floats(-2e6, 2e6), st.text(max_size=2)))
def test_the_nearest_value_lies_in_the_domain(domain, value):
    found = nearest(domain, value)
    assert domain.contains(found)
    assert nearest(domain, found) == found


@given(domains())
def test_the_middle_lies_in_the_domain(domain):
    assert domain.contains(middle(domain))


@pytest.mark.parametrize(
    ("domain", "found"),
    [
        (Float(0.1, 0.2), 0.15),
        (Float(-1.0, 1.0), 0.0),
        (Float(1e-5, 1e-1, log=True), 1e-3),
        (Float(0.0, 1.0, step=0.3), 0.6),
        (Float(0.3, 0.3), 0.3),
        (Int(1, 9), 5),
        (Int(1, 4), 3),
        (Int(10, 20, step=4), 14),
        (Int(8, 512, log=True), 64),
        (Categorical(("b", "a")), "b"),
        (Categorical((1, None)), 1),
    ],
)
def test_middle(domain, found):
    value = middle(domain)
    assert value == found
    assert type(value) is type(found)


def test_every_step_of_a_grid_is_drawn():
    rng = random.Random(0)
    drawn = {round(uniform(Float(0.0, 0.3, step=0.1), rng), 6) for _ in range(100)}
    assert drawn == {0.0, 0.1, 0.2, 0.3}
    assert {uniform(Int(1, 8, step=3), rng) for _ in range(100)} == {1, 4, 7}


@pytest.mark.parametrize(
    ("domain", "value", "found"),
    [
        (Float(0.0, 0.3, step=0.1), 0.29, 0.3),
        (Float(0.0, 1.0, step=0.3), 1.0, 0.9),
        (Float(0.0, 1.0), 5, 1.0),
        (Int(10, 20, step=4), 19, 18),
        (Int(1, 9), 2.6, 3),
        (Categorical((256, 512)), 300, 256),
        (Categorical(("a", 512)), 300, "a"),
        (Float(0.5, 1.0), None, 0.75),
    ],
)
def test_nearest(domain, value, found):
    assert nearest(domain, value) == pytest.approx(found)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Categorical((1, 2)), True),
        (Categorical(("1",)), 1),
        (Int(1, 9), 2.0),
        (Int(1, 9), True),
        (Int(1, 9, step=2), 4),
        (Float(0.0, 1.0), True),
        (Float(0.0, 1.0), "0.5"),
        (Float(0.0, 1.0), float("nan")),
        (Float(0.0, 1.0, step=0.25), 0.3),
    ],
)
def test_what_only_looks_like_a_value(domain, value):
    assert not domain.contains(value)


def test_a_whole_float_is_the_number_it_shows():
    assert Categorical((2, 4)).contains(2.0)
    assert Float(0.0, 1.0).contains(1)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Categorical(()), "without choices"),
        (lambda: Categorical((1, 1.0)), "repeat a value"),
        (lambda: Float(1.0, 0.0), "low <= high"),
        (lambda: Float(0.0, float("inf")), "finite"),
        (lambda: Float(float("nan"), 1.0), "finite"),
        (lambda: Float(0.0, 1.0, log=True), "low > 0"),
        (lambda: Float(0.1, 1.0, log=True, step=0.1), "only one of them"),
        (lambda: Int(1, 9, step=0), "step > 0"),
        (lambda: Int(0, 9, log=True), "low > 0"),
    ],
)
def test_a_domain_that_cannot_be(make, complaint):
    with pytest.raises(SpaceError, match=complaint):
        make()


def test_domains_as_they_are_printed():
    assert str(Categorical(("clip", True, 2))) == "clip | true | 2"
    assert str(Float(1e-5, 1e-2, log=True)) == "1e-05 .. 0.01 (log)"
    assert str(Int(1, 9, step=2)) == "1 .. 9 (step 2)"


@given(st.integers(-300, 300), st.integers(1, 99), st.integers(0, 60))
def test_steps_are_the_decimals_that_a_person_writes(low, step, count):
    """In hundredths: no value is 0.30000000000000004, and none is missing at the end."""
    whole = [round((low + place * step) / 100, 2) for place in range(count + 1)]
    domain = Float(low / 100, whole[-1], step=step / 100)
    assert [on_grid(domain, place) for place in range(grid_steps(domain) + 1)] == whole
    assert all(domain.contains(value) for value in whole)
    computed = [low / 100 + place * (step / 100) for place in range(count + 1)]
    assert [nearest(domain, value) for value in computed] == whole


@pytest.mark.parametrize(
    ("domain", "computed", "written"),
    [
        (Float(0.0, 0.3), 0.1 * 3, 0.3),
        (Float(0.1 * 3, 1.0), 0.3, 0.1 * 3),
        (Float(0.0, 0.7, step=0.1), 7 * 0.1, 0.7),
        (Float(-0.3, 0.3, step=0.1), -0.3 + 3 * 0.1, 0.0),
        (Float(0.0, 1.0, step=1 / 3), 1 / 3 + 1 / 3, 2 / 3),
        (Categorical((0.3, 0.6)), 0.1 + 0.2, 0.3),
        (Categorical((1e-4, 3 * 1e-4)), 3e-4, 3 * 1e-4),
        (Categorical(([0.9, 0.3], [0.8, 0.2])), [0.9, 0.1 + 0.2], [0.9, 0.3]),
        (Categorical(({"a": 0.3}, {"a": 0.4})), {"a": 0.1 + 0.2}, {"a": 0.3}),
    ],
)
def test_what_differs_by_a_rounding_is_that_value(domain, computed, written):
    assert domain.contains(computed)
    assert nearest(domain, computed) == written


@pytest.mark.parametrize(
    ("one", "other"),
    [(0.3, 0.3001), (True, 1), (1, "1"), (2**60, 2**60 + 1), ([1, 2], [1]), ({"a": 1}, {"b": 1})],
)
def test_what_differs_by_more_is_another(one, other):
    assert not same(one, other)
    assert same(one, one)


@pytest.mark.parametrize(
    ("computed", "meant"),
    [(0.7 + 0.1, 0.8), (0.1 * 3, 0.3), (1 / 3, 1 / 3), (0.5, 0.5), (1e-5 * 3, 3e-5), (3.0, 3.0)],
)
def test_the_number_that_was_meant(computed, meant):
    assert as_written(computed) == meant
