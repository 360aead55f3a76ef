"""The three dialects of space files."""

from pathlib import Path

import pytest

from tunewright.errors import ConfigError, SpaceError
from tunewright.runs.atomic import dump_yaml
from tunewright.spaces.read import is_space_file, parse_space, read_space

FILE = Path("mine.yaml")
LR = {"type": "float", "low": 1e-5, "high": 1e-2, "log": True}
ALIASES = {"lr": "optim.lr", "learning_rate": "optim.lr", "head_type": "model.type"}


def read(folder, text, aliases=ALIASES):
    file = folder / "mine.yaml"
    file.write_text(text)
    return read_space(file, aliases)


def test_our_own_dialect(tmp_path):
    spec = read(
        tmp_path,
        """
parameters:
  optim.lr: {low: 1e-5, high: 1e-2, log: true}
  model:
    type: {choices: [clip, mlp]}
    dropout: {type: float, low: 0, high: 1}
forbid:
  - {model.type: clip, optim.lr: {above: 1e-3}}
derived: {model.hidden_dim: 2 * model.output_dim}
settings: {study.trials: 7}
inherit: false
""",
    )
    assert spec.parameters == {
        "optim.lr": {"low": 1e-5, "high": 1e-2, "log": True},
        "model.type": {"choices": ["clip", "mlp"]},
        "model.dropout": {"type": "float", "low": 0, "high": 1},
    }
    assert spec.forbid == ({"model.type": "clip", "optim.lr": {"above": 1e-3}},)
    assert spec.derived == {"model.hidden_dim": "2 * model.output_dim"}
    assert spec.settings == {"study.trials": 7}
    assert not spec.inherit
    assert spec.where["optim.lr"] == f"{tmp_path / 'mine.yaml'}:3"
    assert spec.where["model.dropout"] == f"{tmp_path / 'mine.yaml'}:6"


def test_the_flat_dialect(tmp_path):
    spec = read(
        tmp_path,
        """
study_name: xclip
n_trials: 100
timeout: null
data: {train_image_embeddings: train_tuning_image_embeddings.pt}
pruner: {type: SuccessiveHalvingPruner, min_resource: 2}
sampler: TPE
search_space:
  head_type: {type: categorical, choices: ['siglip', 'clip']}
  learning_rate: {type: float, low: 1.0e-5, high: 1.0e-2, log: true}
""",
    )
    assert spec.parameters == {
        "model.type": {"type": "categorical", "choices": ["siglip", "clip"]},
        "optim.lr": LR,
    }
    assert spec.settings == {
        "study_name": "xclip",
        "n_trials": 100,
        "data": {"train_image_embeddings": "train_tuning_image_embeddings.pt"},
        "study": {
            "pruner": {"type": "SuccessiveHalvingPruner", "min_resource": 2},
            "sampler": {"type": "TPE"},
        },
    }
    assert spec.inherit


def test_the_dialect_with_blocks(tmp_path):
    spec = read(
        tmp_path,
        """
study:
  name: colornet
  direction: maximize
  metric: val_acc
  n_trials: 150
  n_jobs: 2
  timeout: null
  sampler: {type: TPE}
  pruner: {type: null}
hyperparameters:
  lr: {type: "float", low: 8e-4, high: 1.5e-3, log: true}
fixed: {epochs: 200}
""",
    )
    assert spec.parameters == {"optim.lr": {**LR, "low": 8e-4, "high": 1.5e-3}}
    assert spec.settings == {
        "epochs": 200,
        "goal": "val_acc:max",
        "study": {
            "name": "colornet",
            "trials": 150,
            "jobs": 2,
            "sampler": {"type": "TPE"},
            "pruner": {"type": "none"},
        },
    }


def test_a_space_file_is_told_by_its_keys():
    assert is_space_file({"search_space": {}})
    assert is_space_file({"hyperparameters": {}, "study": {}})
    assert is_space_file({"parameters": {}})
    assert not is_space_file({"model": {"type": "clip"}})


@pytest.mark.parametrize(
    ("tree", "complaint"),
    [
        ({}, "mine.yaml has the keys none: expected `parameters:`"),
        ({"parameter": {}}, "has the keys parameter"),
        ({"parameters": [{"lr": LR}]}, "is a YAML list: expected a mapping .* without a dash"),
        ({"parameters": {}}, "parameters in mine.yaml is empty"),
        ({"parameters": None}, "parameters in mine.yaml is None"),
        ({"search_space": {"lr": [1, 2]}}, r"search_space.lr = \[1, 2\] in mine.yaml"),
        ({"parameters": {"lr": {"hihg": 1}}}, "has 'hihg' in mine.yaml.*Did you mean 'high'"),
        ({"parameters": {"lr": LR}, "forbdi": []}, "'forbdi' in mine.yaml.*Did you mean 'forbid'"),
        ({"parameters": {"lr": LR}, "forbid": {"a": 1}}, "forbid in mine.yaml: expected a list"),
        (
            {"parameters": {"lr": LR}, "derived": [1]},
            r"derived = \[1\] in mine.yaml: expected a map",
        ),
        (
            {"parameters": {"lr": LR}, "settings": 3},
            "settings = 3 in mine.yaml: expected a mapping",
        ),
        ({"parameters": {"lr": LR, "learning_rate": LR}}, "optim.lr is listed twice"),
        (
            {"search_space": {"lr": LR}, "pruner": [1]},
            r"pruner = \[1\] in mine.yaml: expected a name",
        ),
        ({"hyperparameters": {"lr": LR}, "fixed": [1]}, r"fixed = \[1\] in mine.yaml"),
        ({"hyperparameters": {"lr": LR}, "study": "x"}, "study = 'x' in mine.yaml"),
        ({"hyperparameters": {"lr": LR}, "study": {"n_trails": 1}}, "Did you mean 'n_trials'"),
        ({"hyperparameters": {"lr": LR}, "extra": 1}, "'extra' in mine.yaml"),
        (
            {"hyperparameters": {"lr": LR}, "study": {"metric": "a", "direction": "up"}},
            "study.direction = 'up' in mine.yaml: expected maximize or minimize",
        ),
    ],
)
def test_a_file_that_cannot_be_meant(tree, complaint):
    with pytest.raises(SpaceError, match=complaint):
        parse_space(tree, FILE, ALIASES)


def test_the_second_of_two_names_is_placed(tmp_path):
    text = dump_yaml({"parameters": {"lr": LR, "learning_rate": LR}})
    with pytest.raises(SpaceError, match=r"set in .*mine.yaml:2 and .*mine.yaml:7"):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_space(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        read_space(tmp_path)


def test_a_file_may_inherit_from_the_space_of_a_study(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/space.yaml").write_text(
        "inherit: false\n"
        "parameters: {optim.lr: {low: 1e-5, high: 1e-2, log: true}}\n"
        "settings: {space: {avoid: forbid}}\n"
    )
    spec = read(tmp_path, "inherit: runs/space.yaml\nparameters: {optim.lr: {high: 0.1}}\n")
    assert spec.parameters == {"optim.lr": {"high": 0.1}}
    assert spec.inherit
    assert spec.base is not None
    assert spec.base.parameters == {"optim.lr": {"low": 1e-5, "high": 1e-2, "log": True}}
    assert spec.settings == {"space": {"avoid": "forbid"}}


def test_a_space_to_inherit_from_is_complete(tmp_path):
    (tmp_path / "part.yaml").write_text("parameters: {optim.lr: {low: 1e-5, high: 1e-2}}\n")
    with pytest.raises(SpaceError, match="inherits from another space itself"):
        read(tmp_path, "inherit: part.yaml\nparameters: {optim.lr: {high: 0.1}}\n")
