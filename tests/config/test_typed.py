"""What a user types outweighs what ships, wherever it is typed and whatever ships it."""

from pathlib import Path
from typing import Any

import pytest

from tunewright.config.compose import Composition, compose
from tunewright.config.layers import Layer
from tunewright.config.overrides import quote_override
from tunewright.config.tree import flatten, get
from tunewright.errors import ConfigError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import dump_yaml, read_yaml, write_yaml

RECIPES = ("pairs", "longtail", "flowers", "compression")


def shipped(recipe: str, *words: str) -> Composition:
    return compose(find_recipe(recipe), words)


def layer(folder: Path, tree: dict[str, Any] | str, *, stored: bool = False) -> Layer:
    file = folder / "mine.yaml"
    text = tree if isinstance(tree, str) else dump_yaml(tree)
    file.write_text(text, encoding="utf-8")
    return Layer(file, read_yaml(file), stored)


def keys_of_stages() -> list[tuple[str, tuple[str, ...], str, Any]]:
    """Each key that a stage of a recipe ships, on its embedded data and on a user's."""
    found = []
    for recipe in RECIPES:
        for words in ((), ("data.dir=mine",)):
            stage = shipped(recipe, *words).tree["stages"]["explore"]
            found += [(recipe, words, path, value) for path, value in flatten(stage).items()]
    return found


STAGED = keys_of_stages()
OTHER = {
    "training.epochs": 7,
    "training.keep_last": 3,
    "training.patience": 4,
    "data.train": "all_of_it",
}


@pytest.mark.parametrize(("recipe", "words", "path", "value"), STAGED)
@pytest.mark.parametrize("how", ["override", "file", "group"])
def test_what_is_typed_holds_in_each_stage(
    tmp_path: Path, recipe: str, words: tuple[str, ...], path: str, value: Any, how: str
) -> None:
    section, _, key = path.partition(".")
    typed = {section: {key: OTHER[path]}}
    if how == "override":
        found = shipped(recipe, *words, f"{path}={OTHER[path]}")
    elif how == "file":
        found = compose(find_recipe(recipe), words, layers=[layer(tmp_path, typed)])
    else:
        (tmp_path / "extra").mkdir()
        text = "# @package _global_\n" + dump_yaml(typed)
        (tmp_path / "extra" / "mine.yaml").write_text(text)
        found = compose(find_recipe(recipe), (*words, "+extra=mine"), config_dir=tmp_path)
    assert get(found.tree, path) == OTHER[path]
    assert get(found.tree, f"stages.explore.{path}", ...) is ...
    assert found.outweighed == {"explore": {path: value}}
    others = {p: v for r, w, p, v in STAGED if (r, w) == (recipe, words) and p != path}
    assert flatten(found.tree["stages"]["explore"]) == others


@pytest.mark.parametrize(("recipe", "words", "path", "value"), STAGED)
def test_what_is_typed_for_the_stage_holds_there(
    tmp_path: Path, recipe: str, words: tuple[str, ...], path: str, value: Any
) -> None:
    both = [f"stages.explore.{path}={quote_override(value)}", f"{path}={OTHER[path]}"]
    section, _, key = path.partition(".")
    file = layer(tmp_path, {"stages": {"explore": {section: {key: value}}}})
    for found in (
        shipped(recipe, *words, *both),
        shipped(recipe, *words, *both[::-1]),
        compose(find_recipe(recipe), [*words, both[1]], layers=[file]),
    ):
        assert get(found.tree, f"stages.explore.{path}", ...) == value
        assert get(found.tree, path) == OTHER[path]
        assert found.outweighed == {}


def test_a_foreign_name_is_as_good(tmp_path: Path) -> None:
    file = layer(tmp_path, {"recipe": "pairs", "training": {"num_epochs": 9, "max_patience": 2}})
    found = compose(find_recipe("pairs"), layers=[file])
    assert found.outweighed == {"explore": {"training.epochs": 16, "training.patience": None}}


def test_a_typed_value_that_equals_the_shipped_one_is_typed() -> None:
    assert (
        get(shipped("pairs", "training.epochs=60").tree, "stages.explore.training.epochs") is None
    )


def test_a_group_that_is_chosen_by_hand_types_none_of_its_values() -> None:
    found = shipped("compression", "data.dir=mine", "training=paper")
    assert found.config.training.epochs == 3000
    assert found.config.stages.explore["training"]["epochs"] == 100


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_a_run_left_is_typed_where_somebody_changed_it(tmp_path: Path, recipe: str) -> None:
    whole = {k: v for k, v in shipped(recipe).tree.items() if k not in ("stages", "study", "space")}
    del whole["executor"]
    as_it_was = compose(find_recipe(recipe), layers=[layer(tmp_path, whole)])
    assert as_it_was.tree == shipped(recipe).tree
    assert as_it_was.outweighed == {}
    whole["training"]["epochs"] += 1
    changed = compose(find_recipe(recipe), layers=[layer(tmp_path, whole)])
    assert list(changed.outweighed["explore"]) == ["training.epochs"]


@pytest.mark.parametrize("typed", ["training.epochs=60", "training.patience=null", "seed=3"])
def test_a_whole_configuration_says_the_whole_of_its_stages(tmp_path: Path, typed: str) -> None:
    found = shipped("pairs", typed)
    again = compose(find_recipe("pairs"), layers=[layer(tmp_path, found.tree)])
    assert again.tree == found.tree


def test_what_a_study_stored_was_not_typed_now(tmp_path: Path) -> None:
    before = shipped("pairs", "stages.explore.training.epochs=5", "training.epochs=9")
    stored = layer(tmp_path, before.tree, stored=True)
    assert compose(find_recipe("pairs"), layers=[stored]).tree == before.tree
    now = compose(find_recipe("pairs"), ["training.epochs=7"], layers=[stored])
    assert now.outweighed == {"explore": {"training.epochs": 5}}
    assert compose(find_recipe("pairs"), layers=[stored]).written == {}


def test_the_users_group_outweighs_a_shipped_one_that_comes_later(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    mine = {"epochs": 5, "batch_size": 16}
    write_yaml(tmp_path / "training" / "mine.yaml", mine)
    found = compose(find_recipe("flowers"), ["training=mine"], config_dir=tmp_path)
    training = found.config.training  # data/drawn.yaml comes after it, with 30 and 32
    assert (training.epochs, training.batch_size, training.patience) == (5, 16, 10)
    assert str(found.sources["training.epochs"]).endswith("training/mine.yaml:1")
    assert (
        compose(
            find_recipe("flowers"), ["training=mine", "training.epochs=6"], config_dir=tmp_path
        ).config.training.epochs
        == 6
    )


def test_the_order_that_a_user_wrote_is_the_order(tmp_path: Path) -> None:
    for name, order in (("last", ["flowers", "_self_"]), ("first", ["_self_", "flowers"])):
        top = {"defaults": order, "training": {"epochs": 5}}
        write_yaml(tmp_path / f"{name}.yaml", top)
    for name, epochs in (("last", 5), ("first", 30)):
        found = compose(find_recipe("flowers"), config_dir=tmp_path, config_name=name)
        assert found.config.training.epochs == epochs


@pytest.mark.parametrize(
    ("file", "typed", "holds"),
    [
        ({"warmup_epochs": 5}, "schedule.warmup_fraction=0.1", {"warmup_fraction": 0.1}),
        ({"warmup_steps": 50}, "schedule.warmup_epochs=2", {"warmup_epochs": 2.0}),
        ({"warmup_steps": 50}, "schedule={warmup_fraction: 0.2}", {"warmup_fraction": 0.2}),
        ({"warmup_epochs": 5}, "schedule.warmup_steps=null", {"warmup_epochs": 5.0}),
        ({}, "training.warmup_epochs=3", {"warmup_epochs": 3.0}),
    ],
)
def test_the_last_way_to_say_a_warmup_holds(
    tmp_path: Path, file: dict[str, Any], typed: str, holds: dict[str, Any]
) -> None:
    layers = [layer(tmp_path, {"recipe": "flowers", "schedule": file})] if file else []
    schedule = compose(find_recipe("flowers"), [typed], layers=layers).config.schedule
    assert schedule.warmup_steps is None
    said = {"warmup_epochs": schedule.warmup_epochs, "warmup_fraction": schedule.warmup_fraction}
    assert {key: said[key] for key in holds} == holds
    if "warmup_fraction" in holds:
        assert schedule.warmup_epochs is None


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (0.1, "0.1"), ([1, "a"], "[1,'a']")]
)
def test_values_as_they_are_typed(value: Any, text: str) -> None:
    assert quote_override(value) == text


@pytest.mark.parametrize(
    ("words", "search", "training"),
    [
        ((), 0, 42),
        (("seed=7",), 7, 7),
        (("training.seed=7",), 7, 7),  # the guides' name
        (("study.seed=7",), 7, 42),
        (("seed=7", "study.seed=3"), 3, 7),
        (("seed=-1",), 2**32 - 1, -1),
    ],
)
def test_a_typed_seed_varies_the_search_too(
    words: tuple[str, ...], search: int, training: int
) -> None:
    found = shipped("pairs", *words)
    assert (found.config.study.seed, found.config.seed) == (search, training)
    said = [notice for notice in found.notices if "study.seed" in notice]
    assert bool(said) is (words == ("study.seed=7",))
    assert all("trainings keep seed = 42" in notice for notice in said)


def test_a_seed_of_a_file_counts_if_somebody_typed_it(tmp_path: Path) -> None:
    pairs = find_recipe("pairs")
    file = layer(tmp_path, {"seed": 7})
    assert compose(pairs, layers=[file]).config.study.seed == 7
    assert compose(pairs, layers=[layer(tmp_path, {"seed": 7}, stored=True)]).config.study.seed == 0
    assert compose(pairs, ["seed=8"], layers=[file]).config.study.seed == 8
    whole = {**shipped("pairs").tree, "study": {"seed": 5}}  # as a study keeps it
    both = compose(pairs, ["seed=8"], layers=[layer(tmp_path, whole, stored=True)])
    assert (both.config.study.seed, both.config.seed) == (8, 8)


def test_a_seed_that_is_no_number_is_refused_once() -> None:
    with pytest.raises(ConfigError, match=r"^seed") as refused:
        shipped("pairs", "seed=seven")
    assert "study.seed" not in str(refused.value)
