"""Groups, files and overrides become one configuration whose every value knows its origin."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from tunewright.cli.output.configuration import yaml_lines
from tunewright.config.compose import compose
from tunewright.config.layers import Layer
from tunewright.config.sources import source_of
from tunewright.config.tree import get
from tunewright.errors import ConfigError, UsageError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import dump_yaml, read_yaml

PAIRS = find_recipe("pairs")


def composed(*overrides, **options):
    return compose(PAIRS, overrides, **options)


def layer(folder: Path, text: str, name: str = "mine.yaml") -> Layer:
    file = folder / name
    file.write_text(text)
    return Layer(file, read_yaml(file))


def source(found, path):
    return str(source_of(found.sources, path))


def test_the_shipped_configuration_says_where_each_value_stands():
    found = composed()
    assert found.config.model.type == "siglip"
    assert source(found, "goal").endswith("pairs/conf/pairs.yaml:11")
    assert source(found, "model.output_dim").endswith("conf/model/siglip.yaml:2")
    assert source(found, "optim.weight_decay").endswith("config/conf/optim/adamw.yaml:2")
    assert source(found, "optim.lr").endswith("conf/data/digits.yaml:16")
    assert source(found, "optim.eps") == "default"
    assert found.typed == frozenset()
    assert not GlobalHydra.instance().is_initialized()


def test_overrides_win_over_files_and_files_over_groups(tmp_path):
    found = composed("seed=3", layers=[layer(tmp_path, "seed: 2\ntraining:\n  epochs: 7\n")])
    assert (found.config.seed, found.config.training.epochs) == (3, 7)
    assert source(found, "seed") == "override 'seed=3'"
    assert source(found, "training.epochs") == f"{tmp_path / 'mine.yaml'}:3"


@pytest.mark.parametrize("number", ["1e-4", "8e-4", "1E-4", ".1e-3"])
def test_numbers_without_a_point_are_numbers_everywhere(tmp_path, number):
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "quick.yaml").write_text(f"type: adamw\nlr: {number}\n")
    in_group = composed("optim=quick", "data=folder", config_dir=tmp_path)
    in_file = composed(layers=[layer(tmp_path, f"optim: {{lr: {number}}}")])
    typed = composed(f"optim.lr={number}")
    assert in_group.config.optim.lr == in_file.config.optim.lr == typed.config.optim.lr
    assert typed.config.optim.lr == float(number)


def test_a_typed_kind_starts_from_its_group_file(tmp_path):
    wanted = composed("model=clip").tree["model"]
    assert wanted["dropout"] == 0.1
    assert composed("model.type=clip").tree["model"] == wanted
    assert composed("head_type=clip").tree["model"] == wanted
    in_file = composed(layers=[layer(tmp_path, "model: {type: clip}")])
    assert in_file.tree["model"] == wanted
    assert in_file.notices == ()
    assert composed("loss_type=queue_infonce").tree["loss"]["queue_size"] == 4096


def test_a_group_typed_by_hand_outweighs_a_file(tmp_path):
    mine = layer(tmp_path, "model: {type: clip, hidden_dim: 64}\nseed: 5")
    found = composed("model=mlp", layers=[mine])
    assert found.tree["model"] == composed("model=mlp").tree["model"]
    assert source(found, "model.type").endswith("conf/model/mlp.yaml:1")
    assert found.config.seed == 5


def test_what_is_typed_is_remembered_leaf_by_leaf():
    found = composed("model=attention", "optim={lr: 1e-3}", "lr=1e-3", "schedule=cosine")
    assert found.typed == {"model.type", "optim.lr", "schedule.type"}


def test_a_mapping_typed_by_hand_is_merged():
    found = composed("optim={lr: 0.5}")
    assert found.config.optim.lr == 0.5
    assert source(found, "optim.lr") == "override 'optim={lr: 0.5}'"
    assert source(found, "optim.weight_decay").endswith("adamw.yaml:2")


def test_own_data_do_not_start_from_the_embedded_ones(tmp_path):
    found = composed("data.dir=somewhere")
    assert found.config.training.batch_size == 512
    assert found.config.stages.explore["data"] == {"train": "train_tuning"}
    in_file = composed(layers=[layer(tmp_path, "base_data_dir: somewhere")])
    assert in_file.tree == found.tree
    back = composed("data.dir=null", layers=[layer(tmp_path, "data: {dir: somewhere}")])
    assert back.tree == composed().tree


def test_foreign_keys_and_words_are_read_as_ours(tmp_path):
    guide = """
model: {type: attention, output_dim: 1024, hidden_dim: 512, num_heads: 16, num_layers: 1}
loss: {type: softmax_infonce, temperature: 0.03817}
training: {batch_size: 4096, learning_rate: 0.0001106, weight_decay: 0.000005939, num_epochs: 50}
"""
    found = composed(layers=[layer(tmp_path, guide)])
    assert found.config.loss.type == "softmax"
    assert found.config.optim.lr == 0.0001106
    assert found.config.training.epochs == 50
    assert source(found, "optim.lr") == f"{tmp_path / 'mine.yaml'}:4"
    [notice] = found.notices
    assert "model.hidden_dim (set in" in notice
    assert "is ignored: only clip, mlp has it, and model.type is attention" in notice


def test_a_key_is_taken_out():
    found = composed("~optim.lr")
    assert found.config.optim.lr == 1e-4
    assert source(found, "optim.lr") == "default"
    with pytest.raises(ConfigError, match=r"Did you mean 'optim\.lr'"):
        composed("~optim.lrr")


def test_the_users_own_groups_and_tops_come_first(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "wide.yaml").write_text("type: clip\noutput_dim: 2048\n")
    (tmp_path / "mine.yaml").write_text("defaults: [pairs, _self_]\nseed: 7\n")
    found = composed("model=wide", config_dir=tmp_path, config_name="mine.yaml")
    assert (found.config.model.output_dim, found.config.seed) == (2048, 7)
    assert source(found, "seed") == f"{tmp_path / 'mine.yaml'}:2"
    assert source(found, "model.output_dim") == f"{tmp_path / 'model' / 'wide.yaml'}:2"
    assert source(found, "goal").endswith("pairs/conf/pairs.yaml:11")


def test_a_group_file_of_the_user_shadows_the_shipped_one(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "clip.yaml").write_text("type: clip\nhidden_dim: 77\n")
    found = composed("model=clip", config_dir=tmp_path)
    assert found.config.model.hidden_dim == 77


def test_a_misspelt_key_inside_a_group_file_names_its_line(tmp_path):
    (tmp_path / "optim").mkdir()
    file = tmp_path / "optim" / "mine.yaml"
    file.write_text("type: adamw\nwieght_decay: 0.1\n")
    with pytest.raises(ConfigError) as caught:
        composed("optim=mine", config_dir=tmp_path)
    assert f"optim.wieght_decay is not a known key (set in {file}:2)" in str(caught.value)
    assert "Did you mean 'optim.weight_decay'?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("optim:\n  - lr: 1", r"optim = .* \(set in .*mine.yaml:1\): expected a mapping"),
        ("training:", r"training = null \(set in .*mine.yaml:1\): expected a mapping"),
        (
            "optim: {lr: fast}",
            r'optim.lr = "fast" \(set in .*mine.yaml:1\): expected a valid number',
        ),
        ("recipe: flowers", r"recipe = \"flowers\" \(set in .*mine.yaml:1\)"),
        ("seed: ${nowhere}", "an interpolation cannot be resolved"),
    ],
)
def test_a_file_with_a_wrong_value(tmp_path, text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        composed(layers=[layer(tmp_path, text)])


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("optim.lrr=1", "optim.lrr is not a known key .set in override 'optim.lrr=1'.*'optim.lr'"),
        ("++optim.foo=1", "Known here: beta1, beta2"),
        (
            "model=clp",
            "model=clp .*expected one of attention, clip, mlp, siglip. Did you mean 'clip'",
        ),
        ("optim.lr=", 'optim.lr = "" .*: expected a valid number'),
        ("hydra.run.dir=x", "hydra is not a known key"),
    ],
)
def test_an_override_of_what_is_not_there(override, complaint):
    with pytest.raises(ConfigError, match=complaint):
        composed(override)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("optim.lr=[1", r"override 'optim.lr=\[1' cannot be read"),
        ("optim.lr=1e-3,1e-4", "lists several values.*--space FILE"),
        ("optim.lr=range(1,3)", "lists several values"),
    ],
)
def test_an_override_that_is_none(override, complaint):
    with pytest.raises(UsageError, match=complaint):
        composed(override)


def test_a_key_of_another_kind_is_refused_when_it_is_typed():
    with pytest.raises(ConfigError, match=r"expected model\.type to be attention"):
        composed("model.type=clip", "model.num_heads=4")


def test_a_kind_that_is_not_said_is_the_default_one():
    pruner = composed("study.pruner.min_resource=3").config.study.pruner
    assert (pruner.type, pruner.min_resource) == ("asha", 3)


def test_what_a_stage_replaces_is_checked_before_it_begins(tmp_path):
    with pytest.raises(ConfigError, match=r"training.epoch is not a known key \(set in override"):
        composed("stages.explore.training.epoch=3")
    mine = layer(tmp_path, "stages:\n  final:\n    optim: {lr: fast}\n")
    with pytest.raises(ConfigError, match=r'optim.lr = "fast" \(set in .*mine.yaml:3\)'):
        composed(layers=[mine])


def test_folders_and_tops_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="expected an existing folder"):
        composed(config_dir=tmp_path / "none")
    with pytest.raises(ConfigError, match="Did you mean 'pairs'"):
        composed(config_name="pears")


@pytest.mark.parametrize("text", ["a: [", "- a\n- b", "lr: 1\nlr: 2", "defaults:\n  - model: none"])
def test_a_top_level_file_that_cannot_be_read(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match="mine"):
        composed(config_dir=tmp_path, config_name="mine")


def test_a_configuration_that_is_stored_composes_to_itself(tmp_path):
    found = composed("model=attention", "model.tokens=4", "lr=3e-5", "loss=queue")
    again = composed(layers=[layer(tmp_path, dump_yaml(found.tree))])
    assert again.tree == found.tree
    assert again.config == found.config
    assert again.notices == ()


def test_what_is_shown_reads_back_as_the_configuration(tmp_path):
    found = composed("lr=8e-4")
    lines = list(yaml_lines(found))
    again = composed(layers=[layer(tmp_path, "\n".join(line for line, _ in lines))])
    assert again.config == found.config
    assert ("  lr: 0.0008", "override 'lr=8e-4'") in lines
    assert ("optim:", "") in lines
    assert lines.index(("optim:", "")) + 1 == next(
        i for i, (line, _) in enumerate(lines) if line == "  type: adamw"
    )


def test_a_file_of_a_recipe_that_is_edited_is_read_again(tmp_path):
    recipe = replace(PAIRS, conf=shutil.copytree(PAIRS.conf, tmp_path / "conf"))
    before = compose(recipe)
    assert compose(recipe) == before
    file = recipe.conf / "pairs.yaml"
    file.write_text(file.read_text().replace("seed: 42", "seed: 7"))
    assert (before.config.seed, compose(recipe).config.seed) == (42, 7)


@pytest.mark.parametrize(
    "name",
    ["naïve/日本", "x (2) [a], b", "o'clock", 'a"b', "1e3", "true", "a&b#c=d", "~x", " x ", "${"],
)
@pytest.mark.parametrize("key", ["data.dir", "++data.dir", "data.valid_dir", "model.weights"])
def test_a_path_is_what_was_typed(name, key):
    if name == "${":
        pytest.skip("an interpolation stays one")
    composed = compose(find_recipe("compression"), [f"{key}={name}"])
    path = key.lstrip("+")
    assert get(composed.tree, path) == name
    assert str(source_of(composed.sources, path)) == f"override {f'{key}={name}'!r}"


def test_quotes_escapes_and_null_keep_their_meaning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = find_recipe("flowers")
    for typed, meant in (("'a, b'", "a, b"), ("a\\ b", "a b"), ("null", None), ("${goal}", "x")):
        composed = compose(recipe, [f"data.dir={typed}", "goal=x"])
        assert composed.config.data.dir == meant
    for name in ("null", "'q'", "c\\d"):
        (tmp_path / name).mkdir()
        assert compose(recipe, [f"data.dir={name}"]).config.data.dir == name


def test_a_name_that_is_no_path_still_follows_the_grammar():
    with pytest.raises(UsageError, match="lists several values"):
        compose(find_recipe("flowers"), ["study.name=a, b"])


@pytest.mark.parametrize(
    "defaults", ["[7]", "[{optim: [1]}]", "{a: b}", "[{a: b, c: d}]", "x", "[[[]]]", "[null]"]
)
def test_defaults_of_another_form(tmp_path, defaults):
    (tmp_path / "top.yaml").write_text(f"defaults: {defaults}\nrecipe: pairs\n")
    with pytest.raises(ConfigError, match="top"):
        compose(find_recipe("pairs"), config_dir=tmp_path, config_name="top")


def test_a_group_file_beyond_the_limits(tmp_path):
    (tmp_path / "optim").mkdir()
    wide = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"{name}: &{name} [{', '.join(['*' + chr(ord(name) - 1)] * 10)}]\n" for name in "bcdefgh"
    )
    (tmp_path / "optim" / "wide.yaml").write_text(wide)
    (tmp_path / "top.yaml").write_text("defaults: [pairs, {override optim: wide}, _self_]\n")
    with pytest.raises(ConfigError, match=r"wide\.yaml .* more than 50,000 values"):
        compose(find_recipe("pairs"), config_dir=tmp_path, config_name="top")
    with pytest.raises(ConfigError, match=r"wide\.yaml .* more than 50,000 values"):
        compose(find_recipe("pairs"), ["optim=wide"], config_dir=tmp_path)


def test_a_wrong_value_is_quoted_in_part():
    with pytest.raises(ConfigError) as caught:
        compose(find_recipe("pairs"), [f"optim.lr={'z' * 10_000}"])
    assert len(str(caught.value)) < 10_700  # once in part, once as the override that set it
