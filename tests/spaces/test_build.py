"""A written space meets a configuration and its data: checked, fitted, or refused."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tunewright.config.tree import merge
from tunewright.errors import SpaceError
from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import dump_yaml
from tunewright.spaces.build import build_space
from tunewright.spaces.domain import Float
from tunewright.spaces.parameter import Surroundings
from tunewright.spaces.points import list_values
from tunewright.spaces.read import SpaceFile, parse_space, read_space
from tunewright.spaces.sample import draw
from tunewright.spaces.specification import specification

PAIRS = find_recipe("pairs")
SHIPPED = read_space(PAIRS.space)
COCO = {"rows": 100_000, "valid_rows": 25_000, "image_width": 1536, "text_width": 4096}
TOKENS = {"model": {"type": "attention", "tokens": 4}}


def around(tree=None, facts=COCO, typed=()):
    default = PairsConfig().model_dump(mode="json")
    whole = PairsConfig.model_validate(merge(default, tree)) if tree else PairsConfig()
    return Surroundings(
        whole.model_dump(mode="json"),
        PairsConfig,
        facts,
        frozenset(typed),
        PAIRS.dialect.aliases,
        PAIRS.dialect.value_aliases,
    )


def given(parameters, **rest):
    return parse_space({"parameters": parameters, **rest}, Path("mine.yaml"), PAIRS.dialect.aliases)


def built(parameters=None, place=None, **rest):
    spec = given(parameters, **rest) if parameters else None
    return build_space(SHIPPED, spec, place or around())


def alone(parameters, place=None, **rest):
    return built(parameters, place, inherit=False, **rest)


def attention(**model):
    """Surroundings in which only attention over four tokens is configured."""
    tree = PairsConfig().model_dump(mode="json")
    tree["model"] = {"type": "attention", "tokens": 4, **model}
    config = PairsConfig.model_validate(tree).model_dump(mode="json")
    return Surroundings(
        config, PairsConfig, COCO, frozenset(), PAIRS.dialect.aliases, PAIRS.dialect.value_aliases
    )


def test_the_shipped_space_is_the_guides_on_the_guides_data():
    space, notices = built()
    assert {p.path: str(p.domain) for p in space.parameters} == {
        "model.type": "siglip | clip | attention | mlp",
        "model.output_dim": "256 | 512 | 768 | 1024",
        "model.dropout": "0 .. 0.3",
        "model.hidden_dim": "512 | 1024 | 2048",
        "model.num_layers": "1 | 2 | 3",
        "loss.type": "sigmoid | softmax | queue",
        "loss.temperature": "0.01 .. 0.2 (log)",
        "loss.learnable_temp": "true | false",
        "loss.queue_size": "2048 | 4096 | 8192",
        "training.batch_size": "2048 | 4096 | 8192",
        "optim.lr": "1e-05 .. 0.01 (log)",
        "optim.weight_decay": "1e-06 .. 0.1 (log)",
    }
    [notice] = notices
    assert notice == ("model.num_heads is not searched: it needs model.tokens above 1, and it is 1")


def test_small_data_shrink_the_shipped_choices():
    space, notices = built(
        place=around(facts=COCO | {"rows": 1078, "image_width": 32, "text_width": 32})
    )
    assert space["training.batch_size"].domain.choices == (64, 128, 256)
    assert space["model.output_dim"].domain.choices == (32, 64, 96, 128)
    assert sum("shrunk" in notice for notice in notices) == 4


def test_the_default_shrinks_with_its_choices():
    """Trial 0 has the guide's default in proportion, not the largest choice left."""
    shipped = {
        "training.batch_size": {
            "type": "categorical",
            "choices": [224, 256, 288],
            "default": 224,
            "shrink_to": "rows",
        }
    }
    for rows, configured, first in ((80, 4096, 56), (80, 64, 64), (8, 4096, 3), (1, 4096, 1)):
        place = around({"training": {"batch_size": configured}}, facts=COCO | {"rows": rows})
        space, _ = build_space(SpaceFile(shipped), None, place)
        found = space.default()
        assert found is not None
        assert found["training.batch_size"] == first


def test_own_choices_are_never_shrunk_only_dropped_where_they_cannot_work():
    small = around(facts=COCO | {"rows": 1078})
    space, notices = built({"batch_size": {"choices": [512, 2048]}}, small)
    assert space["training.batch_size"].domain.choices == (512,)
    assert "training.batch_size: dropped [2048], which fail value <= rows (rows = 1078)" in notices
    with pytest.raises(SpaceError, match=r"no choice of training.batch_size works on this data"):
        built({"batch_size": {"choices": [2048]}}, small)


def test_a_partial_file_inherits_what_it_leaves_out():
    space, _ = built(
        {"lr": {"high": 1e-3}, "dropout": {"default": 0.1}, "head_type": {"default": "mlp"}}
    )
    assert len(space["model.type"].domain.choices) == 4
    assert space["model.type"].default == "mlp"
    assert str(space["optim.lr"].domain) == "1e-05 .. 0.001 (log)"
    assert space["model.dropout"].default == 0.1
    assert "model.hidden_dim" in space
    ours, _ = alone({"lr": {"low": 1e-5, "high": 1e-3}})
    assert [p.path for p in ours.parameters] == ["optim.lr"]


def test_a_file_inherits_from_the_space_that_it_names_and_not_from_the_shipped_one(tmp_path):
    lr = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
    whole = {
        "inherit": False,
        "parameters": {"optim.lr": lr, "model.dropout": {"low": 0.0, "high": 0.2}},
    }
    (tmp_path / "space.yaml").write_text(dump_yaml(whole))
    file = tmp_path / "wider.yaml"
    spec = parse_space(
        {"inherit": "space.yaml", "parameters": {"optim.lr": {"high": 0.1}}}, file, {}
    )
    space, _ = build_space(SHIPPED, spec, around())
    assert [p.path for p in space.parameters] == ["optim.lr", "model.dropout"]
    assert space["optim.lr"].domain == Float(1e-4, 0.1, log=True)


def test_a_domain_of_another_kind_replaces_the_shipped_one():
    space, _ = built(
        {"lr": {"choices": [1e-4, 8e-4]}, "hidden_dim": {"type": "int", "low": 8, "high": 64}}
    )
    assert space["optim.lr"].domain.choices == (1e-4, 8e-4)
    assert str(space["model.hidden_dim"].domain) == "8 .. 64"
    assert [str(c) for c in space["model.hidden_dim"].when] == ["model.type = clip or mlp"]


def test_what_is_set_by_hand_or_in_the_file_is_not_searched():
    space, notices = built(
        {"lr": {"high": 1e-3}}, around(typed=["model.dropout"]), settings={"loss_type": "softmax"}
    )
    assert "model.dropout" not in space
    assert "model.dropout is not searched: it is set by hand" in notices
    assert "loss.type is not searched: it is set in mine.yaml" in notices
    with pytest.raises(SpaceError, match=r"optim.lr is both searched and set"):
        built({"lr": {"high": 1e-3}}, settings={"learning_rate": 1e-4})


def test_a_key_exists_where_its_kind_does():
    space, notices = built(
        {"hidden_dim": {"choices": [64], "when": {"head_type": ["clip", "attention"]}}}
    )
    assert [str(c) for c in space["model.hidden_dim"].when] == ["model.type = clip"]
    assert (
        "model.hidden_dim is not searched where model.type is attention, which has no such key"
        in notices
    )
    space, _ = built({"hidden_dim": {"choices": [64], "when": {"head_type": {"not": "clip"}}}})
    assert [str(c) for c in space["model.hidden_dim"].when] == ["model.type = mlp"]


def test_conditions_and_rules_speak_foreign_words_too():
    space, _ = built(
        {"queue_size": {"choices": [64], "when": {"loss_type": {"not": ["softmax_infonce"]}}}},
        forbid=[{"loss_type": "sigmoid_infonce", "temperature": {"above": 0.1}}],
    )
    assert [str(c) for c in space["loss.queue_size"].when] == ["loss.type = queue"]
    assert str(space.forbid[0]) == "loss.type = sigmoid, loss.temperature above 0.1"


def test_fits_over_a_searched_path_become_a_rule():
    space, _ = built({"tokens": {"choices": [1, 4]}}, attention())
    [rule] = space.forbid
    assert "model.num_heads" in str(rule)
    rng = random.Random(0)
    drawn = [draw(space, rng) for _ in range(50)]
    assert {"model.num_heads" in values for values in drawn} == {True, False}
    assert all(
        (1536 / values["model.tokens"]) % values["model.num_heads"] == 0
        for values in drawn
        if "model.num_heads" in values
    )


def test_derived_values_follow_the_drawn_ones():
    space, _ = built(
        {"output_dim": {"choices": [256, 512]}},
        derived={"model.hidden_dim": "4 * model.output_dim", "study.seed": "2 * model.num_layers"},
    )
    assert space.complete({"model.output_dim": 256}) == {
        "model.output_dim": 256,
        "model.hidden_dim": 1024,
    }


def test_the_first_point_is_the_configuration_itself():
    place = around({"optim": {"lr": 3e-4}, "training": {"batch_size": 3000}})
    space, _ = built({"weight_decay": {"default": 0.05}}, place)
    first = space.default()
    assert first["optim.lr"] == 3e-4
    assert first["training.batch_size"] == 2048
    assert first["optim.weight_decay"] == 0.05
    assert space.contains(first)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"hed_type": {"choices": ["clip"]}}, "hed_type in the space .*Did you mean 'head_type'"),
        ({"optim.lrr": {"low": 1e-5, "high": 1}}, "Did you mean 'optim.lr'"),
        ({"backbone": {"choices": ["a"]}}, "`tunewright show` lists every key"),
        ({"study.trials": {"type": "int", "low": 1, "high": 9}}, "a key that a training run reads"),
        ({"seed": {}}, "seed in the space is empty"),
        ({"lr": {"type": "flaot", "low": 1, "high": 2}}, "optim.lr: type = 'flaot'.*'float'"),
        ({"lr": {"low": "1e", "high": 1.0}}, "optim.lr: low = '1e' .*: expected a number"),
        ({"seed": {"low": 1.0}}, "seed: high = None .*: expected a number"),
        ({"lr": {"low": 1.0, "high": 0.1}}, "optim.lr: low = 1.0, high = 0.1"),
        ({"dropout": {"high": 1.5}}, "model.dropout cannot be 1.5: .*less than or equal to 1"),
        (
            {"batch_size": {"type": "float", "low": 1, "high": 9}},
            "training.batch_size cannot be 1.0",
        ),
        ({"batch_size": {"type": "int", "low": 1, "high": 9.5}}, "expected whole numbers"),
        ({"head_type": {"choices": ["clip", "clop"]}}, "model.type cannot be clop: .*Did you mean"),
        ({"head_type": {"choices": "clip"}}, "choices = 'clip' .*: expected a list"),
        ({"head_type": {"choices": []}}, "model.type: a categorical domain without choices"),
        ({"head_type": {"choices": ["clip", "clip"]}}, "repeat a value"),
        (
            {"dropout": {"default": 0.9}},
            "default = 0.9 .*: expected a value of 0 .. 0.3",
        ),
        (
            {"dropout": {"when": {"model.typ": "clip"}}},
            "names model.typ, .*Did you mean 'model.type'",
        ),
        ({"dropout": {"when": {"model.type": "clop"}}}, "model.dropout is never reached"),
        ({"dropout": {"when": {"lr": {"above": 1}}}}, "never reached: it needs optim.lr above 1"),
        ({"dropout": {"when": {"model.type": {"abvoe": 1}}}}, "Did you mean 'above'"),
        ({"output_dim": {"fits": "value <= widht"}}, "fits of model.output_dim names widht"),
        ({"head_type": {"choices": ["clip"], "shrink_to": "rows"}}, "expected whole numbers"),
        (
            {"lr": {"when": {"dropout": {"above": 0}}}, "dropout": {"when": {"lr": {"above": 0}}}},
            "model.dropout, optim.lr refer to each other",
        ),
    ],
)
def test_a_parameter_that_cannot_be_searched(parameters, complaint):
    with pytest.raises(SpaceError, match=complaint):
        built(parameters)


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ({"forbid": [{"model.typ": "clip"}]}, "forbid names model.typ.*Did you mean 'model.type'"),
        ({"forbid": ["clip"]}, "forbid: 'clip': expected a mapping"),
        ({"forbid": [{"fits": "widht > 1"}]}, "forbid names widht"),
        ({"forbid": [{"fits": "rows < 1"}]}, "the forbid rules leave no combination"),
        (
            {"derived": {"model.hiden_dim": "2"}},
            "derived names model.hiden_dim.*'model.hidden_dim'",
        ),
        (
            {"derived": {"model.hidden_dim": "2 * output_dmi"}},
            "derived model.hidden_dim names output",
        ),
        ({"derived": {"model.hidden_dim": "2 *"}}, "expected arithmetic"),
    ],
)
def test_rules_that_cannot_be_meant(rest, complaint):
    with pytest.raises(SpaceError, match=complaint):
        built({"lr": {"high": 1e-3}}, **rest)


def test_an_error_names_the_line(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("search_space:\n  lr:\n    low: 1e-5\n  batch_size: {choices: [0]}\n")
    with pytest.raises(SpaceError, match=r"training.batch_size cannot be 0.*mine.yaml:4"):
        build_space(SHIPPED, read_space(file, PAIRS.dialect.aliases), around())


def test_nothing_left_to_search():
    with pytest.raises(SpaceError, match="nothing is left to search"):
        alone({"lr": {"low": 1e-5, "high": 1e-3}}, around(typed=["optim.lr"]))


def test_a_condition_on_what_the_configuration_does_not_have():
    # tokens = 1 is the default of attention, but no trial here has the key
    spec = {"dropout": {"low": 0.0, "high": 0.1}, "lr": {"low": 1e-5, "high": 1e-3}}
    spec["lr"]["when"] = {"model.tokens": 1}
    space, notices = alone(spec)
    assert "optim.lr" not in space
    assert any("model.tokens does not exist unless it is searched" in n for n in notices)


@pytest.mark.parametrize("place", [around(), attention()])
def test_a_specification_reads_back_as_the_same_space(place):
    space, _ = built(
        {
            "dropout": {"type": "float", "low": 0.0, "high": 1.0, "step": 1.0},
            "hidden_dim": {"type": "int", "low": 8, "high": 64, "step": 8},
            "tokens": {"choices": [1, 4], "default": 4},
        },
        place,
        forbid=[{"model.type": "clip", "lr": {"above": 1e-3}}],
        derived={"seed": "model.output_dim + 1"},
    )
    again, notices = build_space(SHIPPED, parse_space(specification(space), Path("x"), {}), place)
    assert again == space
    assert notices == []


def test_a_default_that_the_data_do_not_allow_is_forgotten():
    space, _ = built(
        {"batch_size": {"choices": [64, 4096], "default": 4096}}, around(facts=COCO | {"rows": 100})
    )
    assert space["training.batch_size"].default is None
    assert isinstance(parse_space(specification(space), Path("x"), {}), SpaceFile)


def test_a_computed_bound_is_the_step_that_it_names():
    space, _ = alone({"optim.weight_decay": {"low": 0.1 * 3, "high": 0.7 + 0.1, "step": 0.1}})
    assert list_values("x", space["optim.weight_decay"].domain) == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def test_what_is_derived_is_not_searched_as_well():
    space, notices = built(
        {"model.output_dim": {"choices": [256, 512]}},
        derived={"model.hidden_dim": "4 * model.output_dim"},
    )
    assert "model.hidden_dim" not in space
    assert "model.hidden_dim is not searched: it is derived, 4 * model.output_dim" in notices


# --- what a file of the user's sets -----------------------------------------------------------


def begun_at(written, parameters=None, **tree):
    place = replace(around(tree), written=dict.fromkeys(written, "mine.yaml:3"))
    return built(parameters, place)


def test_a_search_begins_at_what_a_file_sets():
    paths = ["optim.lr", "model.output_dim"]
    space, notices = begun_at(paths, optim={"lr": 0.002}, model={"output_dim": 768})
    assert (space["optim.lr"].default, space["model.output_dim"].default) == (0.002, 768)
    assert space.default()["optim.lr"] == 0.002
    assert not any("lies outside" in notice for notice in notices)


def test_a_default_of_the_users_space_is_where_it_begins():
    space, _ = begun_at(["optim.lr"], {"optim.lr": {"default": 0.005}}, optim={"lr": 0.002})
    assert space["optim.lr"].default == 0.005


def test_a_value_that_is_not_searched_is_said_with_what_is_tried():
    space, notices = begun_at(["model.output_dim"], model={"output_dim": 300})
    [told] = [notice for notice in notices if "lies outside" in notice]
    assert "model.output_dim = 300 (set in mine.yaml:3)" in told
    assert told.endswith("the first trial takes 256")
    assert space.default()["model.output_dim"] == 256


def test_what_is_inert_stays_as_a_file_sets_it():
    fields = {**SHIPPED.parameters["optim.weight_decay"], "default": 0.05, "inert": "for a test"}
    shipped = given({**SHIPPED.parameters, "optim.weight_decay": fields})
    place = around({"optim": {"weight_decay": 0.02}})
    space, _ = build_space(shipped, None, replace(place, written={"optim.weight_decay": "x"}))
    assert "optim.weight_decay" not in space.derived
    unset, _ = build_space(shipped, None, place)
    assert unset.derived["optim.weight_decay"] == "0.05"


def test_what_is_set_by_hand_is_not_derived():
    fields, derived = {"optim.lr": {"low": 0.1, "high": 1.0}}, {"loss.temperature": "optim.lr / 2"}
    space, notices = alone(fields, around(typed=["loss.temperature"]), derived=derived)
    assert space.derived == {}
    assert "loss.temperature is not derived: it is set by hand" in notices
    assert alone(fields, derived=derived)[0].derived == derived


def test_a_rule_does_not_forbid_what_was_set_by_hand():
    spec = {"lr": {"low": 1e-5, "high": 1e-3}}
    forbid = [{"model.dropout": {"above": 0.2}, "model.type": "siglip"}]
    tree = PairsConfig().model_dump(mode="json")
    tree["model"] |= {"type": "siglip", "dropout": 0.25}
    place = replace(around(typed=["model.dropout", "model.type"]), tree=tree)
    space, notices = alone(spec, place, forbid=forbid)
    assert space.forbid == ()
    assert any("rule against model.dropout above 0.2" in notice for notice in notices)
    # Of a value that is searched the rule says what can be tried.
    place = replace(place, typed=frozenset(["model.type"]))
    searched, _ = alone(spec | {"model.dropout": {"choices": [0.1, 0.25]}}, place, forbid=forbid)
    assert len(searched.forbid) == 1


def test_rules_that_leave_nothing_are_named():
    rules = [{"model.output_dim": {"below": 600}}, {"model.output_dim": {"above": 500}}]
    with pytest.raises(SpaceError, match=r"no combination \(model.output_dim below 600; model"):
        alone({"output_dim": {"choices": [256, 512, 768]}}, forbid=rules)
