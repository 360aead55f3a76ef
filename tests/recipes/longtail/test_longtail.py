"""`longtail`: the embedded digits, the guide's own file, and what its losses are told."""

import csv
import random
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import yaml

import tunewright
from tunewright.classification.losses.config import LogitAdjustmentConfig
from tunewright.config.apply import with_values
from tunewright.config.compose import compose
from tunewright.recipes.longtail.digits import write_digits
from tunewright.recipes.registry import find_recipe
from tunewright.search.callbacks import StudyCallback
from tunewright.spaces.advice import good_points
from tunewright.spaces.sample import draw

GUIDE = """
study:
  name: colornet
  direction: maximize
  n_trials: 4
  sampler: {type: TPE}
  pruner: {type: MedianPruner, n_startup_trials: 5, n_warmup_steps: 10}
hyperparameters:
  backbone: {type: categorical, choices: [colornet_v1]}
  fusion: {type: categorical, choices: [msff, global_concat, simple_concat]}
  loss_fn: {type: categorical, choices: [smooth_modulation, focal]}
  tau: {type: float, low: 0.3, high: 0.8}
  modulation_type: {type: categorical, choices: [linear, cosine, step]}
  focal_gamma: {type: float, low: 1.0, high: 3.0}
  focal_alpha: {type: float, low: 0.1, high: 0.5}
  dropout: {type: float, low: 0.1, high: 0.5}
  image_size: {type: categorical, choices: [224, 256, 288]}
  batch_size: {type: categorical, choices: [16, 32, 48, 64]}
  lr: {type: float, low: 5.0e-5, high: 5.0e-3, log: true}
  weight_decay: {type: float, low: 1.0e-6, high: 5.0e-3, log: true}
fixed:
  epochs: 200
  use_weighted_sampler: true
"""

SMALL = (
    "model.name=test_resnet",
    "model.fusion=none",
    "data.image_size=16",
    "executor.type=inline",
    "executor.threads=1",
)
"""A network of a few layers in this process, on one thread: other tests run beside."""


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def test_the_embedded_digits_have_a_long_tail_and_balanced_rest(tmp_path: Path) -> None:
    write_digits(tmp_path)
    with (tmp_path / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    train = Counter(row["label"] for row in rows if row["split"] == "train")
    assert (train["0"], train["9"]) == (120, 6)
    assert sorted(train.values(), reverse=True) == [train[str(label)] for label in range(10)]
    assert set(Counter(r["label"] for r in rows if r["split"] == "test").values()) == {30}
    names = zipfile.ZipFile(tmp_path / "digits.zip").namelist()
    assert sorted(names) == sorted(row["file"] for row in rows)
    assert len(set(names)) == len(names)


def test_the_guides_own_file_becomes_a_conditional_space(tmp_path: Path) -> None:
    (tmp_path / "hyperparameters.yaml").write_text(GUIDE)
    checked = tunewright.space("longtail", str(tmp_path / "hyperparameters.yaml"))
    space, notices = checked.space, checked.notices
    paths = {parameter.path for parameter in space.parameters}
    assert {"loss.tau", "loss.gamma", "data.image_size", "model.fusion"} <= paths
    assert "loss.alpha" not in paths
    assert any("inert" in notice and "alpha" in notice for notice in notices)
    first = space.default()
    assert first is not None
    assert first["loss.tau"] == 0.5
    assert (first["optim.lr"], first["optim.weight_decay"]) == (1e-3, 1e-4)  # the guide's defaults
    assert (first["model.dropout"], first["training.batch_size"]) == (0.2, 32)
    assert "loss.gamma" not in first, "focal's own parameter in a trial of smooth modulation"


def test_a_guides_file_is_searched_as_it_is_and_told_what_it_misses(
    tmp_path: Path,
) -> None:
    (tmp_path / "hyperparameters.yaml").write_text(GUIDE.replace("high: 0.8", "high: 1.0"))
    checked = tunewright.space("longtail", str(tmp_path / "hyperparameters.yaml"))
    space, notices = checked.space, checked.notices
    assert str(space["loss.type"].domain) == "smooth_modulation | focal"
    assert str(space["loss.tau"].domain) == "0.3 .. 1"
    assert space.forbid == ()
    (notice,) = [notice for notice in notices if "logit" in notice]
    assert "benchmarks/results/cifar10_lt.json" in notice
    assert "Menon et al. 2021" in notice


def test_without_a_file_logit_adjustment_is_searched_in_a_range_of_its_own() -> None:
    checked = tunewright.space("longtail")
    space, notices = checked.space, checked.notices
    assert not any("logit" in notice and "left out" in notice for notice in notices)
    assert str(space["loss.type"].domain) == "smooth_modulation | focal | logit_adjustment"
    first = space.default()
    assert first is not None
    assert (first["loss.type"], first["loss.tau"]) == ("smooth_modulation", 0.5)
    points = list(good_points(space).values())[:2]
    assert {"loss.type": "logit_adjustment", "loss.tau": 1.0}.items() <= points[1].items()
    drawn = [draw(space, random.Random(seed)) for seed in range(300)]
    taus: dict[str, list[float]] = {"smooth_modulation": [], "logit_adjustment": [], "focal": []}
    for values in drawn:
        assert values is not None
        taus[values["loss.type"]] += [values["loss.tau"]] if "loss.tau" in values else []
    assert min(taus["smooth_modulation"]) >= 0.3
    assert 0.75 < max(taus["smooth_modulation"]) <= 0.8
    assert 0.5 <= min(taus["logit_adjustment"]) < 0.6
    assert 1.4 < max(taus["logit_adjustment"]) <= 1.5
    assert taus["focal"] == []


@pytest.mark.parametrize("loss", ["logit_adjustment", "focal", "ldam"])
def test_a_loss_that_is_set_leaves_the_rest_of_the_space(loss: str) -> None:
    space = tunewright.space("longtail", f"loss={loss}").space
    assert "loss.type" not in space
    assert ("loss.tau" in space) == (loss == "logit_adjustment")
    assert draw(space, random.Random(0)) is not None


def test_a_study_goes_on_with_the_space_that_it_began_with(tmp_path: Path) -> None:
    words = (*SMALL, "training.epochs=1", "stages.explore.training.epochs=1", "study.final=false")
    tuned = tunewright.tune("longtail", *words, trials=3, runs_dir=tmp_path, name="one")
    stored = yaml.safe_load((tuned.folder.path / "space.yaml").read_text())
    assert "logit_adjustment" in stored["parameters"]["loss.type"]["choices"]
    heard = Heard()
    tunewright.tune("longtail", *words, trials=4, runs_dir=tmp_path, name="one", watch=heard)
    assert not any("logit" in notice for notice in heard.notices)


def test_the_guides_fixed_settings_arrive(tmp_path: Path) -> None:
    (tmp_path / "hyperparameters.yaml").write_text(GUIDE)
    shown = tunewright.show("longtail", str(tmp_path / "hyperparameters.yaml")).config
    assert shown.training.epochs == 200
    assert shown.study.trials == 4
    assert shown.data.weighted_sampler
    assert shown.study.pruner.type == "median"


def test_correcting_twice_is_told_with_the_ratio() -> None:
    recipe = find_recipe("longtail")
    config = compose(recipe, ["data.weighted_sampler=true"]).config
    assert any("times as much" in notice for notice in recipe.check_data(config))


@pytest.mark.parametrize("loss", ["focal", "ldam", "balanced_softmax", "class_balanced"])
def test_every_loss_trains(loss: str, tmp_path: Path) -> None:
    trained = tunewright.train(
        "longtail", f"loss={loss}", *SMALL, "training.epochs=1", runs_dir=tmp_path
    )
    assert 0.0 <= trained.mean <= 1.0


def test_a_study_of_the_embedded_digits_ends_with_a_measured_model(tmp_path: Path) -> None:
    heard = Heard()
    tuned = tunewright.tune(
        "longtail", *SMALL, "training.epochs=2", "stages.explore.training.epochs=2",
        "study.pruner.type=none", trials=2, runs_dir=tmp_path, watch=heard,
    )  # fmt: skip
    assert tuned.evaluation is not None
    assert {"accuracy", "macro_f1", "tail_accuracy"} <= tuned.evaluation.metrics.keys()
    stored = yaml.safe_load((tuned.folder.path / "best_config.yaml").read_text())
    assert stored["data"]["store"] in ("auto", "memory")


def test_a_loss_that_is_searched_has_its_own_strength():
    recipe = find_recipe("longtail")
    tree = compose(recipe).tree
    _, config = with_values(tree, {"loss.type": "logit_adjustment"}, recipe.config)
    assert config.loss == LogitAdjustmentConfig()
