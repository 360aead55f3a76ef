import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import SpaceError
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.rules import Condition, ForbidRule, conditions

NUMBERS = st.integers(-4, 12)
BOUNDS = st.dictionaries(
    st.sampled_from(["above", "below", "at_least", "at_most"]), NUMBERS, min_size=1
)


def only(raw):
    [condition] = conditions(raw, "when")
    return condition


@pytest.mark.parametrize(
    ("raw", "holding", "failing"),
    [
        ("clip", ["clip"], ["mlp", None]),
        (["clip", "mlp"], ["clip", "mlp"], ["siglip"]),
        (1, [1, 1.0], [True, "1", 2]),
        (True, [True], [1, "true"]),
        ({"above": 1}, [2, 1.5], [1, "2", True, None]),
        ({"at_least": 1, "below": 3}, [1, 2.9], [0.9, 3]),
        ({"not": "clip"}, ["mlp", 3, None], ["clip"]),
        ({"not": [1, 2]}, [3, True], [1, 2.0]),
    ],
)
def test_conditions(raw, holding, failing):
    condition = only({"path": raw})
    assert all(condition.holds(value) for value in holding)
    assert not any(condition.holds(value) for value in failing)


@given(BOUNDS, st.lists(NUMBERS, min_size=2, max_size=2).map(sorted))
def test_possible_means_that_a_whole_number_satisfies_it(bounds, ends):
    condition = Condition("n", bounds=bounds)
    low, high = ends
    holding = any(condition.holds(number) for number in range(low, high + 1))
    assert condition.possible(Int(low, high)) == holding


@given(BOUNDS, st.lists(NUMBERS, min_size=2, max_size=2).map(sorted))
def test_possible_means_that_a_real_number_satisfies_it(bounds, ends):
    condition = Condition("x", bounds=bounds)
    low, high = ends
    steps = [low + k / 4 for k in range(4 * (high - low) + 1)]  # bounds are whole numbers
    assert condition.possible(Float(low, high)) == any(map(condition.holds, steps))


def test_possible_choices():
    domain = Categorical(("clip", "mlp"))
    assert only({"t": ["mlp", "x"]}).possible(domain)
    assert only({"t": {"not": "mlp"}}).possible(domain)
    assert not only({"t": {"not": ["mlp", "clip"]}}).possible(domain)
    assert not only({"t": {"above": 1}}).possible(domain)
    assert only({"t": [0.5]}).possible(Float(0.0, 1.0))


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ([], "expected a mapping"),
        ({}, "expected a mapping"),
        ("clip", "expected a mapping"),
        ({"a": {"abvoe": 1}}, "Did you mean 'above'"),
        ({"a": {"above": "1e"}}, "a above '1e': expected a number"),
        ({"a": {"below": True}}, "expected a number"),
    ],
)
def test_conditions_that_cannot_be_read(raw, complaint):
    with pytest.raises(SpaceError, match=complaint):
        conditions(raw, "when of b")


def test_a_rule_is_violated_when_all_of_it_holds():
    rule = ForbidRule(conditions({"a": 1, "b": {"above": 2}}, "forbid"))
    assert rule.is_violated_by({"a": 1, "b": 3})
    assert not rule.is_violated_by({"a": 1, "b": 2})
    assert not rule.is_violated_by({"a": 1})
    assert str(rule) == "a = 1, b above 2"


def test_a_fit_is_violated_when_it_is_false_and_all_of_its_names_are_there():
    rule = ForbidRule(fits="width % heads == 0")
    assert rule.is_violated_by({"width": 32, "heads": 12})
    assert not rule.is_violated_by({"width": 32, "heads": 8})
    assert not rule.is_violated_by({"width": 32})
    assert str(rule) == "not (width % heads == 0)"


@given(st.integers(1, 40), st.sampled_from([0.05, 0.1, 0.2, 0.7]))
def test_conditions_forgive_the_rounding_of_a_computed_number(count, step):
    computed, meant = sum([step] * count), round(step * 100) * count / 100
    for value, wanted in ((computed, meant), (meant, computed)):
        assert only({"x": wanted}).holds(value)
        assert only({"x": [-1, wanted]}).holds(value)
        assert only({"x": {"at_most": wanted, "at_least": wanted}}).holds(value)
        for name in ("above", "below", "not"):
            assert not only({"x": {name: wanted}}).holds(value)
    assert only({"x": {"above": meant - step / 2, "below": meant + step / 2}}).holds(computed)


@pytest.mark.parametrize(
    ("bounds", "domain", "possible"),
    [
        ({"at_least": 0.1 * 3}, Float(0.0, 0.3), True),
        ({"above": 0.3}, Float(0.0, 0.1 * 3), False),
        ({"at_least": 0.1 * 3 * 10}, Int(1, 3), True),
        ({"above": 0.1 * 3 * 10}, Int(1, 3), False),
    ],
)
def test_possible_forgives_it_too(bounds, domain, possible):
    assert only({"x": bounds}).possible(domain) == possible
