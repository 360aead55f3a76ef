"""What a recipe declares: capabilities, a dialect, and arguments of former versions."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from tunewright.config.dialect import Dialect
from tunewright.config.schema import RunConfig
from tunewright.errors import ConfigError, DataError
from tunewright.recipes.capabilities import find_capability, recipes_with
from tunewright.recipes.recipe import CAPABILITIES, Recipe
from tunewright.recipes.registry import find_recipe


def recipe(**given) -> Recipe:
    return Recipe(name="mine", config=RunConfig, conf=Path(), space=None, metrics={}, **given)


@pytest.mark.parametrize("name", ["longtail", "pairs", "compression", "flowers"])
def test_every_capability_of_a_shipped_recipe_is_known(name):
    assert find_recipe(name).capabilities.keys() <= CAPABILITIES.keys()


def test_a_missing_capability_names_the_recipes_that_have_it(tmp_path):
    with pytest.raises(ConfigError, match="pairs does not compress pictures: expected compression"):
        find_capability(find_recipe("pairs"), "compressor")
    with pytest.raises(DataError, match=r"no classifier \(set in .*: expected a run of flowers or"):
        find_capability(find_recipe("pairs"), "classifier", run=tmp_path)


def test_a_recipe_may_offer_what_only_another_package_asks_for():
    assert find_capability(recipe(capabilities={"explain": "mine:explain"}), "explain")
    with pytest.raises(
        ConfigError, match="does not offer 'explain': expected a recipe that offers"
    ):
        find_capability(recipe(), "explain")


def test_a_broken_recipe_does_not_hide_the_others(monkeypatch):
    def find(name):
        if name == "pairs":
            raise ImportError(name)
        return find_recipe(name)

    monkeypatch.setattr("tunewright.recipes.capabilities.find_recipe", find)
    assert "compression" in recipes_with("evaluate")
    assert "pairs" not in recipes_with("evaluate")


@pytest.mark.parametrize(
    ("argument", "place"),
    [
        ("classifier", 'classifier into capabilities={"classifier": ...}'),
        ("aliases", "aliases into dialect=Dialect(aliases=...)"),
    ],
)
def test_an_argument_of_a_former_version_says_where_it_moved(argument, place):
    with pytest.raises(ConfigError) as refused:
        recipe(**{argument: "mine:function"})
    assert "'mine' was written for an older version" in str(refused.value)
    assert place in refused.value.remedy


def test_a_recipe_can_be_changed_and_sent():
    changed = replace(recipe(), dialect=Dialect(aliases={"lr": "optim.lr"}))
    assert changed.dialect.aliases == {"lr": "optim.lr"}
    assert pickle.loads(pickle.dumps(find_recipe("flowers"))) == find_recipe("flowers")


def test_each_recipe_says_how_its_best_configuration_is_used():
    for name in ("compression", "flowers", "function", "longtail", "pairs"):
        again = "tunewright train" in find_recipe(name).usage
        assert again == (name != "function")
