"""The declaration of `pairs`, and the study files of its guide as they are written there."""

import re

import numpy as np
import pytest

import tunewright
from tunewright.config.compose import compose
from tunewright.config.leaves import choices_of, leaves
from tunewright.errors import ConfigError, SpaceError, StudyError
from tunewright.recipes.pairs.config import METRICS, PairsConfig
from tunewright.recipes.pairs.data.pair_files import save_pairs
from tunewright.recipes.pairs.recipe import ALIASES, VALUE_ALIASES, translate_data_section
from tunewright.recipes.registry import find_recipe, recipe_names
from tunewright.request import parse_request
from tunewright.search.prepare import build_checked_space, stage

PAIRS = find_recipe("pairs")
ROWS, IMAGE, TEXT = 2048, 192, 128

DEFAULT = """
study_name: "xclip_siglip_tuning"
n_trials: 100
n_jobs: 3
storage: "sqlite:///optuna_study.db"
timeout: null

base_data_dir: "{folder}"
data:
  train_image_embeddings: "train_tuning_image_embeddings.pt"
  train_text_embeddings: "train_tuning_text_embeddings.pt"
  train_metadata: "train_tuning_metadata.json"
  val_image_embeddings: "val_image_embeddings.pt"
  val_text_embeddings: "val_text_embeddings.pt"
  val_metadata: "val2017_metadata.json"

search_space:
  head_type:
    type: categorical
    choices: ['siglip', 'clip', 'attention', 'mlp']
  output_dim:
    type: categorical
    choices: [256, 512, 768, 1024]
  dropout:
    type: float
    low: 0.0
    high: 0.3
  hidden_dim:
    type: categorical
    choices: [512, 1024, 2048]
  learnable_temp:
    type: categorical
    choices: [true, false]
  num_heads:
    type: categorical
    choices: [4, 8, 16]
  num_layers:
    type: categorical
    choices: [1, 2, 3]
  loss_type:
    type: categorical
    choices: ['sigmoid_infonce', 'softmax_infonce', 'queue_infonce']
  temperature:
    type: float
    low: 0.01
    high: 0.2
    log: true
  queue_size:
    type: categorical
    choices: [2048, 4096, 8192]
  batch_size:
    type: categorical
    choices: [2048, 4096, 8192]
  learning_rate:
    type: float
    low: 1.0e-5
    high: 1.0e-2
    log: true
  weight_decay:
    type: float
    low: 1.0e-6
    high: 1.0e-1
    log: true

pruner:
  type: SuccessiveHalvingPruner
  min_resource: 2
  reduction_factor: 2
  min_early_stopping_rate: 0
"""

FOCUSED = """
study_name: "attention_focused_tuning"
search_space:
  head_type:
    choices: ['attention']
  output_dim:
    choices: [768, 1024, 1536]
  num_heads:
    choices: [8, 12, 16, 20]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Embeddings like the guide's, only fewer and narrower."""
    place = tmp_path_factory.mktemp("pretrain_encoded")
    rng = np.random.default_rng(0)
    for number, (name, rows) in enumerate(
        {"train": ROWS + 8, "train_tuning": ROWS, "val": 40, "test": 40}.items()
    ):
        images = rng.standard_normal((rows, IMAGE)).astype(np.float16)
        texts = rng.standard_normal((rows, TEXT)).astype(np.float16)
        ids = [10_000 * number + row for row in range(rows)]
        save_pairs(place, name, images, texts, {"image_ids": ids})
    (place / "val_metadata.json").rename(place / "val2017_metadata.json")
    return place


def searched(tmp_path, text, *words):
    """What `tunewright space pairs FILE VALUE_ALIASES` finds: request, space, notices."""
    file = tmp_path / "study.yaml"
    file.write_text(text)
    request = parse_request(["pairs", str(file), *words], command="space")
    tree, config = stage(request.recipe, request.composed, "explore")
    return request, *build_checked_space(
        request.recipe, request.composed, tree, config, request.space
    )


def test_it_is_found_by_name():
    assert "pairs" in recipe_names()
    assert PAIRS.name == "pairs"
    assert PAIRS.config is PairsConfig


def test_every_alias_leads_to_a_key():
    known = leaves(PairsConfig)
    assert {name for name, path in ALIASES.items() if path not in known} == set()
    assert {name for name in ALIASES if name in known and name != ALIASES[name]} == set()


def test_every_word_stands_for_a_choice():
    for path, words in VALUE_ALIASES.items():
        assert set(words.values()) <= set(choices_of(PairsConfig, path))


def test_every_group_file_is_complete():
    for group in ("model", "loss"):
        for file in (PAIRS.conf / group).glob("*.yaml"):
            found = compose(PAIRS, [f"{group}={file.stem}"])
            kind = type(getattr(found.config, group))
            assert found.tree[group]["type"] == file.stem
            written = {path for path, source in found.sources.items() if source.file == file}
            assert written == {f"{group}.{name}" for name in kind.model_fields}
            assert getattr(found.config, group) == kind()


def test_goals():
    assert PAIRS.goal("val_recall_1") == ("val_recall_1", "max")
    assert PAIRS.goal("val_i2t_median_rank") == ("val_i2t_median_rank", "min")
    assert PAIRS.goal("val_recall_1:min") == ("val_recall_1", "min")
    with pytest.raises(ConfigError, match="Did you mean 'val_recall_1'"):
        PAIRS.goal("val_recal_1")
    with pytest.raises(ConfigError, match="expected val_recall_1:max or val_recall_1:min"):
        PAIRS.goal("val_recall_1:up")
    assert set(METRICS.values()) == {"max", "min"}


def test_the_guides_default_study_is_accepted(tmp_path, folder):
    request, space, notices = searched(tmp_path, DEFAULT.format(folder=folder))
    config = request.composed.config
    assert (config.study.name, config.study.trials, config.study.jobs) == (
        "xclip_siglip_tuning",
        100,
        3,
    )
    assert config.study.storage == "sqlite:///optuna_study.db"
    assert config.study.pruner.type == "asha"
    assert (config.data.dir, config.data.train, config.data.valid) == (str(folder), "train", "val")
    assert config.data.valid_metadata == "val2017_metadata.json"
    assert config.stages.explore["data"] == {"train": "train_tuning"}
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
        "training.batch_size": "2048",
        "optim.lr": "1e-05 .. 0.01 (log)",
        "optim.weight_decay": "1e-06 .. 0.1 (log)",
    }
    assert notices == [
        "training.batch_size: dropped [4096, 8192], which fail value <= rows (rows = 2048)",
        "model.num_heads is not searched: it needs model.tokens above 1, and it is 1",
    ]
    assert request.composed.notices == ()
    assert PAIRS.check_data(config) == []


def test_the_guides_focused_study_inherits_the_rest(tmp_path, folder):
    words = [f"data.dir={folder}", "data.valid_metadata=val2017_metadata.json"]
    _, space, notices = searched(tmp_path, FOCUSED, *words)
    assert space["model.type"].domain.choices == ("attention",)
    assert space["model.output_dim"].domain.choices == (768, 1024, 1536)
    assert "optim.lr" in space
    assert "model.hidden_dim" not in space
    assert any(n.startswith("model.num_heads is not searched: it needs") for n in notices)


def test_heads_that_do_not_divide_are_dropped_and_refused_only_when_none_is_left(tmp_path, folder):
    words = [f"data.dir={folder}", "data.valid_metadata=val2017_metadata.json"]
    words += ["model=attention", "model.tokens=4"]
    _, space, notices = searched(tmp_path, FOCUSED, *words)
    assert space["model.num_heads"].domain.choices == (8, 16)
    assert any(n.startswith("model.num_heads: dropped [12, 20], which fail") for n in notices)
    with pytest.raises(SpaceError, match=r"no choice of model\.num_heads works on this data"):
        searched(tmp_path, FOCUSED.replace("[8, 12, 16, 20]", "[12, 20]"), *words)


def test_the_data_section_names_sets():
    assert translate_data_section(
        {
            "train_image_embeddings": "train_tuning_image_embeddings.pt",
            "train_text_embeddings": "train_tuning_text_embeddings.pt",
            "val_image_embeddings": "val2017_image_embeddings.pt",
            "test_image_embeddings": "test_image_embeddings.pt",
            "val_metadata": "val2017_metadata.json",
            "base_data_dir": "pretrain_encoded",
        }
    ) == {
        "stages": {"explore": {"data": {"train": "train_tuning"}}},
        "data": {
            "valid": "val2017",
            "test": "test",
            "val_metadata": "val2017_metadata.json",
            "base_data_dir": "pretrain_encoded",
        },
    }


@pytest.mark.parametrize(
    "data",
    [
        {"train_image_embeddings": "embeddings.pt"},
        {
            "train_image_embeddings": "a_image_embeddings.pt",
            "train_text_embeddings": "b_text_embeddings.pt",
        },
    ],
)
def test_files_that_name_no_set(data):
    with pytest.raises(ConfigError, match=r"data\.train_.* = '.*': expected a file <name>_"):
        translate_data_section(data)


def test_embedded_digits_are_used_until_a_folder_is_named():
    config = compose(PAIRS).config
    assert PAIRS.data_facts(config)["rows"] == 1078
    assert any("the embedded digits are used" in notice for notice in PAIRS.check_data(config))


def test_a_study_does_not_go_on_with_embeddings_that_were_replaced(tmp_path):
    rng = np.random.default_rng(3)
    data = tmp_path / "data"
    data.mkdir()
    for name, start in (("train_tuning", 0), ("val", 200)):
        images, texts = (rng.normal(size=(64, 16)).astype("float32") for _ in range(2))
        save_pairs(data, name, images, texts, {"image_ids": [*range(start, start + 64)]})
    words = (
        "pairs",
        f"data.dir={data}",
        "training.batch_size=32",
        "study.final=false",
        "executor.type=inline",
        "stages.explore.training.epochs=3",
    )
    options = {
        "trials": 1,
        "name": "kept",
        "runs_dir": tmp_path,
        "space": {"parameters": {"optim.lr": {"type": "float", "low": 1e-4, "high": 1e-2}}},
    }
    for _ in range(2):
        tunewright.tune(*words, **options)
    file = data / "val_image_embeddings.npy"
    np.save(file, np.load(file)[::-1].copy())
    with pytest.raises(StudyError, match="begun on other data: val changed since"):
        tunewright.tune(*words, **options)


def test_data_that_are_not_typed_again_are_named(tmp_path):
    rng = np.random.default_rng(3)
    data = tmp_path / "my data"
    data.mkdir()
    for name, start in (("train", 0), ("train_tuning", 0), ("val", 200), ("test", 400)):
        images, texts = (rng.normal(size=(64, 16)).astype("float32") for _ in range(2))
        save_pairs(data, name, images, texts, {"image_ids": [*range(start, start + 64)]})
    words = ["pairs", "training.batch_size=32", "study.final=false", "executor.type=inline"]
    words.append("stages.explore.training.epochs=3")
    options = {"trials": 1, "name": "kept", "runs_dir": tmp_path}
    tunewright.tune(*words, f"data.dir={data}", **options)
    with pytest.raises(StudyError, match=r"data\.dir was .* and is now None") as refused:
        tunewright.tune(*words, **options)
    advice = re.search(r"Type (data\.dir=.+) to go on", refused.value.remedy)
    assert advice is not None
    tunewright.tune(*words, advice[1], **options)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_a_batch_of_one_pair_is_refused_since_it_has_no_negatives(loss: str) -> None:
    config = compose(PAIRS, [f"loss={loss}", "training.batch_size=1"]).config
    with pytest.raises(ConfigError, match="a pair alone has no negatives"):
        PAIRS.check_data(config)
    queued = compose(PAIRS, ["loss=queue", "training.batch_size=1"]).config
    assert isinstance(PAIRS.check_data(queued), list)
