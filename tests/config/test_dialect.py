"""Names of the guides that this version lacks, at each door through which they come."""

import re

import pytest

from tunewright.config.dialect import NOT_BUILT, missing_name
from tunewright.config.leaves import leaves
from tunewright.errors import ConfigError, SpaceError, TunewrightError
from tunewright.recipes.registry import find_recipe
from tunewright.request import parse_request
from tunewright.search.prepare import prepare

RECIPES = ("compression", "flowers", "longtail", "pairs", "retina")


def complaint(*words: str) -> str:
    with pytest.raises(TunewrightError) as refused:
        parse_request(words, command="train")
    return str(refused.value)


@pytest.mark.parametrize("name", list(NOT_BUILT["compression"]))
def test_no_name_is_guessed_where_the_table_knows_it(name):
    for word in (f"--{name}", f"--{name.replace('_', '-')}", f"{name}=1", f"training.{name}=1"):
        text = complaint("compression", word)
        assert "is not in this version" in text
        assert "Did you mean" not in text


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ["save-dir", "max-steps"])
def test_names_of_other_guides_are_known_everywhere(recipe, name):
    assert "is not in this version" in complaint(recipe, f"--{name}", "1")
    assert "Did you mean" not in complaint(recipe, f"{name.replace('-', '_')}=1")


def test_a_misspelt_key_is_still_guessed():
    assert "Did you mean 'training.epochs'" in complaint("pairs", "training.epoch=1")
    assert missing_name("training.epoch", NOT_BUILT["compression"]) is None


def test_in_a_space_file(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text("search_space: {save_dir: {type: float, low: 0.001, high: 0.01}}\n")
    request = parse_request(["compression", str(file)], command="space")
    with pytest.raises((SpaceError, ConfigError), match="save_dir is not in this version"):
        prepare(request.recipe, request.composed, given=request.space, runs=tmp_path)


@pytest.mark.parametrize(
    ("guide", "name"), [(guide, name) for guide, names in NOT_BUILT.items() for name in names]
)
def test_what_stands_in_for_a_name_exists(guide, name):
    recipes = [guide] if guide in RECIPES else RECIPES
    for key in re.findall(r"\b([a-z]+\.[a-z_]+)\b", NOT_BUILT[guide][name]):
        for recipe in recipes:
            assert key in leaves(find_recipe(recipe).config), (recipe, key)


def test_the_keys_of_the_checkpoint_manager():
    for word in ("keep_last_n=3", "training.keep_last_n=3"):
        request = parse_request(["compression", word], command="train")
        assert request.composed.config.training.keep_last == 3
