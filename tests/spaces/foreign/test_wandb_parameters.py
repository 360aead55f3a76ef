"""Each distribution of W&B becomes a domain that holds what W&B itself would draw, and no more."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import SpaceError
from tunewright.spaces.foreign.wandb_parameters import read_wandb_parameter
from tunewright.spaces.specification import domain_fields, read_domain

UNIT = st.floats(0.0, 1.0)
BOUNDS = st.tuples(st.floats(-1e3, 1e3), st.floats(0.0, 1e3)).map(lambda b: (b[0], b[0] + b[1]))
EXPONENTS = st.tuples(st.floats(-20.0, 10.0), st.floats(0.1, 10.0)).map(
    lambda b: (b[0], b[0] + b[1])
)


def read(**raw):
    return read_wandb_parameter("lr", raw)


def domain(**raw):
    found = read(**raw)
    assert found.fields is not None
    made = read_domain({"type": "categorical", **found.fields})
    assert read_domain(domain_fields(made)) == made  # stored and read again it is the same
    return made


def draw(raw, unit):
    """What W&B draws at a quantile: sweeps/params.py, HyperParameter.ppf."""
    kind, low, high = raw["distribution"], raw["min"], raw["max"]
    value = low + unit * (high - low)
    if kind.endswith("log_uniform"):
        value = math.exp(-value if kind.startswith("inv") else value)
    elif "log_uniform_values" in kind:
        value = math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
    if kind.startswith("q_"):
        q = raw.get("q", 1)
        value = round(value / q) * q
        return int(value) if isinstance(q, int) else float(value)
    return value


def holds(made, value):
    """Whether a domain has a value, but for the rounding of its bounds by exp and log."""
    slack = 1e-9 * max(1.0, abs(value))
    return made.contains(value) or any(abs(value - end) <= slack for end in made.ends)


@given(bounds=BOUNDS, unit=UNIT)
def test_uniform(bounds, unit):
    raw = {"distribution": "uniform", "min": bounds[0], "max": bounds[1]}
    made = domain(**raw)
    assert (made.low, made.high, made.log, made.step) == (*bounds, False, None)
    assert holds(made, draw(raw, unit))


@given(low=st.integers(-1000, 1000), more=st.integers(0, 1000))
def test_whole_bounds_without_a_distribution_are_whole_numbers(low, more):
    made = domain(min=low, max=low + more)
    assert made == domain(distribution="int_uniform", min=low, max=low + more)
    assert (type(made.low), made.low, made.high, made.step) == (int, low, low + more, 1)
    floats = domain(distribution="uniform", min=low, max=low + more)
    assert (type(floats.low), floats.step) == (float, None)  # said to be numbers, not whole ones


def test_one_bound_with_a_point_makes_numbers():
    made = domain(min=0, max=1.0)
    assert (made.low, made.high, made.step) == (0.0, 1.0, None)
    assert isinstance(made.low, float)


@given(low=st.integers(0, 200), more=st.integers(1, 400), q=st.integers(1, 40), unit=UNIT)
def test_steps_are_multiples_as_wandb_rounds_them(low, more, q, unit):
    raw = {"distribution": "q_uniform", "min": low, "max": low + more, "q": q}
    multiples = [n for n in range(low, low + more + 1) if n % q == 0]
    if not multiples:
        with pytest.raises(SpaceError, match="no multiple of q"):
            domain(**raw)
        return
    made = domain(**raw)
    assert isinstance(made.low, int)
    drawn = draw(raw, unit)
    assert holds(made, drawn) or not low <= drawn <= low + more  # W&B rounds over its bounds
    assert all(made.contains(value) for value in multiples)


@pytest.mark.parametrize(
    ("bounds", "q", "ends"),
    [
        ((0.0, 1.0), 0.1, (0.0, 1.0)),
        ((0.3, 0.95), 0.1, (0.3, 0.9)),
        ((0.05, 0.5), 0.05, (0.05, 0.5)),
    ],
)
def test_steps_of_a_fraction(bounds, q, ends):
    made = domain(distribution="q_uniform", min=bounds[0], max=bounds[1], q=q)
    assert (made.low, made.high, made.step) == (*ends, q)


@given(bounds=EXPONENTS, unit=UNIT, kind=st.sampled_from(["log_uniform", "inv_log_uniform"]))
def test_bounds_that_are_exponents(bounds, unit, kind):
    raw = {"distribution": kind, "min": bounds[0], "max": bounds[1]}
    found, made = read(**raw), domain(**raw)
    assert made.log
    assert holds(made, draw(raw, unit))
    ends = bounds if kind == "log_uniform" else (-bounds[1], -bounds[0])
    assert (made.low, made.high) == pytest.approx([math.exp(end) for end in ends])
    assert "natural exponents (log_uniform_values takes" in found.notice


@given(low=st.floats(1e-9, 1.0), more=st.floats(1.0, 1e6), unit=UNIT)
def test_bounds_that_are_values(low, more, unit):
    for kind in ("log_uniform_values", "inv_log_uniform_values"):
        raw = {"distribution": kind, "min": low, "max": low * more}
        made = domain(**raw)
        assert (made.low, made.high, made.log) == (low, low * more, True)
        assert holds(made, draw({**raw, "distribution": "log_uniform_values"}, unit))


@given(low=st.integers(1, 100), more=st.integers(0, 1000), unit=UNIT)
def test_whole_numbers_on_a_log_scale(low, more, unit):
    raw = {"distribution": "q_log_uniform_values", "min": low, "max": low + more, "q": 1}
    made = domain(**raw)
    assert (type(made.low), made.low, made.high, made.log) == (int, low, low + more, True)
    assert made.contains(draw(raw, unit))
    exponents = {"min": math.log(low), "max": math.log(low + more), "q": 1}
    assert domain(distribution="q_log_uniform", **exponents) == made


def test_values_and_what_is_fixed():
    assert read(value=[1, 2]).value == [1, 2]
    assert read(distribution="constant", value=None).value is None
    assert read(values=["adam"]).value == "adam"
    assert read(values=["adam", "sgd"]).fields == {"choices": ["adam", "sgd"]}
    weighted = read(
        distribution="categorical_w_probabilities", values=[1, 2], probabilities=[0.9, 0.1]
    )
    assert weighted.fields == {"choices": [1, 2]}
    assert "probabilities are not used" in weighted.notice
    twice = read(values=[1, 1.0, True, 2])
    assert twice.fields == {"choices": [1, True, 2]}
    assert "stand twice" in twice.notice


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"distribution": "normal", "mu": 5, "sigma": 2}, "distribution = normal.*min: 1, max: 9"),
        ({"mu": 0.0}, "distribution = normal: expected one that has bounds"),
        ({"distribution": "log_normal"}, r"log_uniform_values, min: 0\.1353, max: 7\.389"),
        ({"distribution": "q_normal"}, "distribution = q_normal"),
        ({"distribution": "q_log_normal"}, "distribution = q_log_normal"),
        ({"distribution": "beta", "a": 1, "b": 2}, "min: 0.0, max: 1.0` holds all its values"),
        ({"distribution": "q_beta"}, "distribution = q_beta"),
        (
            {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8},
            r"with q = 8: expected q = 1.*values: \[8, 16, 32, 64\]",
        ),
        (
            {"distribution": "q_log_uniform", "min": 0, "max": 4, "q": 0.5},
            r"with q = 0.5.*values: \[1, 2, 4, 8, 16, 32\]|values: \[1.0",
        ),
        ({"distribution": "uniforn", "min": 0, "max": 1}, "Did you mean 'uniform'"),
        ({"distribution": "uniform", "min": "1e-5", "max": 1}, "min = '1e-5': expected a number"),
        ({"distribution": "uniform", "min": 0}, "max = None: expected a number"),
        ({"min": 2, "max": 1}, "min = 2, max = 1: expected min <= max"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 1}, "expected whole numbers"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "expected min > 0"),
        ({"distribution": "log_uniform", "min": 1, "max": 1000}, "a number that is too large"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q = 0: expected a number"),
        ({"values": 3}, "values = 3: expected a list"),
        ({"values": []}, "expected a list"),
        ({"valeus": [1]}, "has 'valeus'.*Did you mean 'values'"),
        ({}, "has no fields: expected value, values, or min and max"),
        ({"max": 3}, "has max: expected value"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_name_with_the_remedy(raw, message):
    with pytest.raises(SpaceError, match=message) as error:
        read(**raw)
    assert "lr" in str(error.value)


def test_the_bounds_that_a_remedy_names_are_taken():
    with pytest.raises(SpaceError) as error:
        read(distribution="normal", mu=5, sigma=2)
    assert "`distribution: uniform, min: 1, max: 9`" in error.value.remedy
    assert domain(distribution="uniform", min=1, max=9).high == 9.0
