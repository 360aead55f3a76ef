from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from tunewright.config.apply import set_in, with_values
from tunewright.config.leaves import (
    choices_of,
    kind_at,
    leaves,
    open_section,
    without_foreign_keys,
)
from tunewright.config.schema import RunConfig
from tunewright.recipes.pairs.config import PairsConfig


def test_a_leaf_knows_its_default_and_the_kinds_that_have_it():
    known = leaves(PairsConfig)
    assert known["optim.lr"].kinds["optim"][:3] == ("adamw", "adam", "cautious_adam")
    assert known["optim.beta1"].kinds == {"optim": ("adamw", "adam", "cautious_adam")}
    assert known["optim.momentum"].kinds == {"optim": ("sgd",)}
    assert known["model.hidden_dim"].kinds == {"model": ("clip", "mlp")}
    assert known["training.epochs"].default == 50
    assert known["training.epochs"].kinds == {}


def test_every_kind_is_a_leaf_itself():
    assert {p for p in leaves(RunConfig) if p.endswith(".type")} == {
        "optim.type",
        "schedule.type",
        "study.sampler.type",
        "study.pruner.type",
        "study.pruner.wrapped.type",
        "executor.type",
    }


def test_choices_of_kinds_and_of_literals():
    assert choices_of(PairsConfig, "model.type") == ("siglip", "clip", "mlp", "attention")
    assert choices_of(PairsConfig, "training.precision") == ("auto", "fp32", "bf16", "fp16")
    assert choices_of(PairsConfig, "training.epochs") == ()
    assert choices_of(PairsConfig, "nowhere.type") == ()


def test_foreign_keys_are_dropped_and_unknown_ones_are_left_for_the_check():
    tree = {"model": {"type": "siglip", "hidden_dim": 4, "tokens": 2, "typo": 1}, "other": {"a": 1}}
    kept, foreign = without_foreign_keys(tree, PairsConfig)
    assert kept == {"model": {"type": "siglip", "typo": 1}, "other": {"a": 1}}
    assert foreign == {"model.hidden_dim": "clip, mlp", "model.tokens": "attention"}


def test_a_changed_kind_keeps_what_was_set_and_takes_defaults_for_the_rest():
    tree = PairsConfig().model_dump(mode="json")
    tree["model"] = {"type": "siglip", "output_dim": 64, "dropout": 0.25}
    changed, config = with_values(tree, {"model.type": "clip", "optim.lr": 0.5}, PairsConfig)
    assert changed["model"] == {
        "type": "clip",
        "output_dim": 64,
        "hidden_dim": 1024,
        "dropout": 0.25,
    }
    assert config.optim.lr == 0.5
    assert tree["model"]["type"] == "siglip"
    assert PairsConfig.model_validate(changed) == config


class Mild(BaseModel):
    type: Literal["mild"] = "mild"
    strength: float = 0.5
    pair: tuple[float, float] = (0.0, 1.0)


class Wild(BaseModel):
    type: Literal["wild"] = "wild"
    strength: float = 2.0
    pair: tuple[float, float] = (1.0, 3.0)


class Inner(BaseModel):
    effect: Annotated[Mild | Wild, Field(discriminator="type")] = Mild()


class Outer(BaseModel):
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("given", "values", "after"),
    [
        ({}, {}, (2.0, [1.0, 3.0])),
        ({"strength": 0.7}, {}, (0.7, [1.0, 3.0])),
        ({"pair": (0.0, 2.0)}, {}, (2.0, [0.0, 2.0])),
        ({}, {"inner.effect.strength": 0.5}, (0.5, [1.0, 3.0])),
    ],
)
@pytest.mark.parametrize("type_first", [True, False])
def test_what_was_not_set_becomes_the_default_of_the_new_kind(given, values, after, type_first):
    tree = Outer(inner=Inner(effect=Mild(**given))).model_dump(mode="json")
    kind = {"inner.effect.type": "wild"}
    changed, _ = with_values(tree, {**kind, **values} if type_first else {**values, **kind}, Outer)
    strength, pair = after
    assert changed == {"inner": {"effect": {"type": "wild", "strength": strength, "pair": pair}}}


def test_the_same_kind_again_changes_nothing():
    tree = Outer(inner=Inner(effect=Wild(strength=0.5))).model_dump(mode="json")
    assert with_values(tree, {"inner.effect.type": "wild"}, Outer)[0] == tree


def test_what_is_set_in_a_section_is_what_its_kind_does_not_have_by_default():
    assert set_in(Wild()) == {}
    assert set_in(Wild(strength=0.5)) == {"strength": 0.5}


def test_the_kind_at_a_path():
    tree = Outer().model_dump(mode="json")
    assert kind_at(tree, Outer, "inner") is Inner
    assert kind_at(tree, Outer, "inner.effect") is Mild
    for nowhere in ("inner.effect.strength", "inner.other", "other.effect"):
        assert kind_at(tree, Outer, nowhere) is None


def test_an_open_section_has_the_leaves_that_were_named_and_takes_any_key():
    schema = open_section(["copy", "optim.lr", "_x"])
    assert list(leaves(schema)) == ["copy", "optim.lr", "_x"]
    tree, _ = with_values({}, {"optim.lr": 0.1, "_x": 2, "other": 3}, schema)
    assert tree == {"optim": {"lr": 0.1}, "_x": 2, "other": 3}
