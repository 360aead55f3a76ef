import inspect

import pytest

from tunewright import errors
from tunewright.errors import ConfigError, TunewrightError, did_you_mean


def test_an_error_says_what_came_where_what_was_expected_and_what_to_do():
    error = ConfigError(
        'optim.lr = "fast"', expected="a number", where="a.yaml:3", remedy="Write 1e-3."
    )
    assert str(error) == 'optim.lr = "fast" (set in a.yaml:3): expected a number. Write 1e-3.'


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "it broke."),
        ({"where": "a.yaml"}, "it broke (set in a.yaml)."),
        ({"remedy": "Mend it."}, "it broke. Mend it."),
        ({"expected": "a whole one"}, "it broke: expected a whole one."),
    ],
)
def test_parts_that_are_left_out_leave_no_trace(parts, text):
    assert str(TunewrightError("it broke", **parts)) == text


def test_the_tree_in_the_docstring_is_the_tree():
    def drawn(kind):
        return [kind.__name__, *(name for below in kind.__subclasses__() for name in drawn(below))]

    here = {kind.__name__ for _, kind in inspect.getmembers(errors, inspect.isclass)}
    words = [word for word in errors.__doc__.split() if word in here]
    assert words == [name for name in drawn(TunewrightError) if name in here]


def test_the_nearest_name_is_suggested_behind_its_stem():
    assert did_you_mean("lrr", ["lr", "eps"]) == "Did you mean 'lr'?"
    assert did_you_mean("lrr", ["lr", "eps"], stem="optim.") == "Did you mean 'optim.lr'?"
    assert did_you_mean("momentum", ["lr", "eps"]) == ""


def test_a_name_that_was_typed_is_not_suggested():
    assert did_you_mean("lt", ["lt"]) == ""
    assert did_you_mean("lt", iter(["lt", "lt-2"])) == "Did you mean 'lt-2'?"
    assert did_you_mean("lr", ["lr"], stem="optim.") == ""


def test_a_word_that_switches_is_no_misspelling():
    assert did_you_mean("on", ["none", "famo"]) == ""
    assert did_you_mean("Yes", ["ye", "yes"]) == ""
