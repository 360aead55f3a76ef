import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from tunewright.config.check import validate
from tunewright.config.compose import compose
from tunewright.config.dialect import Dialect
from tunewright.config.sources import Source
from tunewright.config.tree import merge
from tunewright.errors import ConfigError
from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.registry import find_recipe

FILE = Path("a.yaml")


def complaint(tree, **options):
    with pytest.raises(ConfigError) as caught:
        validate(tree, PairsConfig, **options)
    return str(caught.value)


def test_a_checked_configuration_is_frozen():
    config = validate({"optim": {"type": "adamw", "lr": 1}}, PairsConfig)
    assert config.optim.lr == 1.0
    with pytest.raises(ValidationError, match="frozen"):
        config.optim.lr = 2.0


@pytest.mark.parametrize(
    ("tree", "nearest"),
    [
        ({"optim": {"type": "adamw", "lrr": 1}}, "optim.lrr is not a known key.*'optim.lr'"),
        ({"optm": {"lr": 1}}, "optm is not a known key.*'optim'"),
        ({"epochs": 3}, "Did you mean 'training.epochs'"),
        ({"optim": {"type": "adamw", "batch_size": 3}}, "Did you mean 'training.batch_size'"),
        ({"epoch": 3}, "Did you mean 'training.epochs'"),
        ({"patience": 5}, "Did you mean 'training.patience' or 'study.patience' or"),
        ({"optim": {"type": "adamw", "patience": 5}}, "mean 'training.patience' or 'study.pat"),
        ({"data": {"zzz": 3}}, "Known here: dir, positives, test"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(tree, nearest):
    assert re.search(nearest, complaint(tree))


@pytest.mark.parametrize(
    ("tree", "nearest"),
    [
        ({"sampler": "balanced"}, "Did you mean 'study.sampler.type'"),
        ({"optim": {"type": "adamw", "name": "x"}}, "Known here: "),
        ({"optim": {"type": "adamw", "jobs": 2}}, "Known here: "),
        ({"study": {"nmae": "x"}}, "Did you mean 'study.name'"),
    ],
)
def test_a_guess_is_of_the_same_kind_of_setting(tree, nearest):
    assert nearest in complaint(tree)


def test_foreign_spellings_are_suggested_too():
    text = complaint({"n_trails": 3}, dialect=Dialect({"n_trials": "study.trials"}))
    assert "Did you mean 'n_trials'?" in text


def test_a_key_of_another_kind_names_that_kind():
    text = complaint({"model": {"type": "clip", "num_heads": 4}})
    assert "expected model.type to be attention" in text
    assert "it is clip" in text
    assert text.endswith("Leave it out, or set model.type=attention.")


def test_the_place_is_named_where_it_is_known():
    tree = {"optim": {"type": "adamw", "lr": "fast"}}
    assert "(set in a.yaml:7)" in complaint(tree, sources={"optim.lr": Source(FILE, 7)})
    assert "set in" not in complaint(tree)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("optim.lr", "fast", 'optim.lr = "fast": expected a valid number'),
        ("optim.lr", -1.0, "optim.lr = -1.0: expected greater than 0"),
        ("optim.lr", float("nan"), "expected a finite number"),
        ("training.epochs", 2.5, "expected a valid integer"),
        ("training.epochs", True, "expected a valid integer"),
        ("model.dropout", 1.5, "less than or equal to 1"),
        ("optim.type", "lionn", "expected one of adamw, adam, cautious_adam, sgd, "),
        ("optim.type", "lionn", "Did you mean 'lion'?"),
        ("data.positives", "images", "Did you mean 'image'?"),
        ("training", [1], "training = [1]: expected a mapping (key: value)"),
        ("optim", "sgd", "Write optim.type=sgd."),
        ("seeds", 1, "seeds = 1: expected a list, such as [1, 2]"),
        ("optim", None, "optim = null: expected a mapping (key: value)"),
    ],
)
def test_a_wrong_value_is_shown_with_what_was_expected(path, value, expected):
    tree = PairsConfig().model_dump(mode="json")
    *parents, last = path.split(".")
    node = tree
    for parent in parents:
        node = node[parent]
    node[last] = value
    assert expected in complaint(tree)


def test_a_section_without_its_kind():
    tree = merge(PairsConfig().model_dump(mode="json"), {})
    del tree["loss"]["type"]
    assert "loss.type" in complaint(tree)
    assert "expected one of sigmoid, softmax, queue" in complaint(tree)


def test_all_mistakes_are_told_at_once():
    text = complaint({"seed": "x", "goal": 3, "colour": 1})
    assert text.startswith("3 invalid settings:")
    assert all(f"\n  {name}" in text for name in ("seed", "goal", "colour"))


def test_the_refused_key_is_not_what_is_suggested():
    with pytest.raises(ConfigError) as refused:
        validate(
            {"training": {"learning_rate": 0.1}},
            PairsConfig,
            dialect=Dialect({"training.learning_rate": "optim.lr"}),
        )
    assert "Did you mean 'training.learning_rate'" not in str(refused.value)


def test_a_disabled_tracker_of_an_absent_package_is_left_out() -> None:
    recipe = find_recipe("pairs")
    tree = compose(recipe).tree
    elsewhere = {**tree, "trackers": {**tree["trackers"], "absent": None}}
    assert "absent" not in validate(elsewhere, recipe.config).trackers.model_dump()
    enabled = {**tree, "trackers": {"absent": {}}}
    with pytest.raises(ConfigError, match=r"trackers\.absent is not a known key"):
        validate(enabled, recipe.config)


@pytest.mark.parametrize(
    ("words", "section", "kind"),
    [
        (["balance.schedule.type=step"], "balance", "famo"),
        (["balance=famo", "balance.schedule.window=3"], "balance.schedule", "adaptive"),
    ],
)
def test_the_wrong_one_of_nested_kinds_is_named(words, section, kind):
    with pytest.raises(ConfigError) as caught:
        compose(find_recipe("compression"), words)
    assert f"expected {section}.type to be {kind}" in str(caught.value)
    assert f"set {section}.type={kind}." in str(caught.value)
