from tunewright.config.apply import with_values
from tunewright.config.leaves import choices_of, leaves, open_section, without_foreign_keys
from tunewright.config.schema import RunConfig
from tunewright.recipes.pairs.config import PairsConfig


def test_a_leaf_knows_its_default_and_the_kinds_that_have_it():
    known = leaves(PairsConfig)
    assert known["optim.lr"].kinds == {"optim": ("adamw", "sgd")}
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


def test_a_changed_kind_keeps_what_it_shares_and_takes_defaults_for_the_rest():
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


def test_an_open_section_has_the_leaves_that_were_named_and_takes_any_key():
    schema = open_section(["copy", "optim.lr", "_x"])
    assert list(leaves(schema)) == ["copy", "optim.lr", "_x"]
    tree, _ = with_values({}, {"optim.lr": 0.1, "_x": 2, "other": 3}, schema)
    assert tree == {"optim": {"lr": 0.1}, "_x": 2, "other": 3}
