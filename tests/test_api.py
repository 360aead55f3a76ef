"""The functions of the package, as a notebook calls them."""

import pytest

import tunewright
from tunewright.errors import UsageError


def test_words_are_a_recipe_and_a_callable_is_a_function(tmp_path):
    fast = ("executor.type=inline", "study.final=false")
    typed = tunewright.tune("quadratic", *fast, trials=1, runs_dir=tmp_path)
    assert typed.record.recipe == "quadratic"
    called = tunewright.tune(
        lambda params, report: params["x"],
        space={"x": {"low": 0.0, "high": 1.0}},
        name="called",
        trials=1,
        runs_dir=tmp_path,
    )
    assert called.record.recipe == "function"
    assert called.record.goal == "value"


def test_what_only_functions_have_is_no_option_of_the_command(tmp_path):
    with pytest.raises(UsageError, match="--goals") as caught:
        tunewright.tune("quadratic", "--goals", "loss", runs_dir=tmp_path)
    assert "--goal'" not in str(caught.value)
