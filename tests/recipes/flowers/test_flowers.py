"""`flowers`: the drawn pictures, and the guide's commands as they are composed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import tunewright
from tunewright.classification.losses.config import FocalConfig
from tunewright.classification.models.config import (
    FLOWER_MODELS,
    OPTIMIZED_MODELS,
    ImageModelConfig,
)
from tunewright.classification.models.image_classifier import make_image_model
from tunewright.classification.models.pretrained import sha256
from tunewright.config.apply import with_values
from tunewright.config.sources import source_of
from tunewright.errors import ConfigError, DataError
from tunewright.images.augment.config import LEVELS
from tunewright.images.augment.mixup import make_mix
from tunewright.recipes.flowers.config import FlowersConfig
from tunewright.recipes.flowers.drawn import COUNTS, KINDS, SIDE, draw_flower, write_flowers
from tunewright.recipes.flowers.setup import open_classifier


def config(*words: str, name: str | None = None) -> FlowersConfig:
    found = tunewright.show("flowers", *words, config_name=name).config
    assert isinstance(found, FlowersConfig)
    return found


def test_drawn_flowers_are_the_same_each_time_and_differ_from_each_other() -> None:
    one, other = (np.asarray(draw_flower(KINDS[0], np.random.default_rng(seed))) for seed in (0, 0))
    assert one.shape == (SIDE, SIDE, 3)
    assert (one == other).all()
    assert (one != np.asarray(draw_flower(KINDS[0], np.random.default_rng(1)))).any()


@pytest.mark.parametrize(
    ("words", "name", "full"),
    [
        ((), None, 1.0),
        (("data.dir=mine",), None, 5.0),
        (("data.dir=mine", "training=focal"), None, 5.0),
        ((), "high_performance", 5.0),
        ((), "swin_v2_anti_overfit", 3.0),
    ],
)
@pytest.mark.parametrize("epochs", [None, 2, 7])
def test_a_shipped_warmup_is_a_share_of_the_run(
    words: tuple[str, ...], name: str | None, full: float, epochs: int | None
) -> None:
    typed = () if epochs is None else (f"training.epochs={epochs}",)
    usual, found = config(*words, name=name), config(*words, *typed, name=name)
    assert found.schedule.warmup_epochs is None
    share = full * found.training.epochs / usual.training.epochs
    assert found.schedule.warmup_fraction * found.training.epochs == pytest.approx(share)
    assert config(*words, "training.warmup_epochs=4", name=name).schedule.warmup_epochs == 4.0


def test_the_drawn_set_is_complete(tmp_path: Path) -> None:
    write_flowers(tmp_path)
    lines = (tmp_path / "index.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(KINDS) * sum(COUNTS.values())


def test_the_guides_quick_test_composes() -> None:
    found = config(
        "model=convnext_tiny", "training=focal", "augmentation=medium", "training.epochs=2"
    )
    assert found.model.name == "convnext_tiny"
    assert found.model.pretrained
    assert found.loss.type == "focal"
    assert found.augmentation.type == "medium"
    assert found.training.epochs == 2


def test_high_performance_is_what_the_guide_says() -> None:
    found = config(name="high_performance")
    assert found.model.name == "tf_efficientnetv2_l"
    assert (found.loss.type, found.augmentation.type) == ("focal", "ultra_strong")
    assert config("training.epochs=7", name="high_performance").training.epochs == 7


def test_the_guides_keys_act() -> None:
    found = config(
        "dataset=folder", "dataset.batch_size=16", "val_split=0.2", "training.use_amp=false",
        "training.focal_gamma=3.0", "training=focal", "model.drop_rate=0.1",
    )  # fmt: skip
    assert found.training.batch_size == 16
    assert found.data.val_split == 0.2
    assert found.training.precision == "fp32"
    assert found.loss.model_dump()["gamma"] == 3.0
    assert found.model.dropout == 0.1
    assert config("use_amp=true").training.precision == "auto"


@pytest.mark.parametrize("name", [*FLOWER_MODELS, *OPTIMIZED_MODELS])
def test_the_models_that_are_listed_are_those_that_train(name: str) -> None:
    assert config(f"model={name}").model == {**FLOWER_MODELS, **OPTIMIZED_MODELS}[name]


@pytest.mark.parametrize("name", ["light", "medium", "strong", "ultra_strong"])
def test_a_level_that_is_searched_has_its_own_numbers(name: str) -> None:
    assert name in tunewright.space("flowers").space["augmentation.type"].domain.ends
    tree = tunewright.show("flowers").tree
    _, found = with_values(tree, {"augmentation.type": name}, FlowersConfig)
    assert found.augmentation == LEVELS[name]()


def test_mixing_that_is_searched_mixes() -> None:
    tree = tunewright.show("flowers").tree
    for path in ("mixing.mixup_alpha", "mixing.cutmix_alpha"):
        on = tunewright.space("flowers").space[path].domain.ends[-1]
        _, found = with_values(tree, {path: on}, FlowersConfig)
        assert make_mix(found.mixing) is not None
    assert make_mix(config().mixing) is None


def test_a_share_of_mixed_pictures_without_a_mix_is_said() -> None:
    assert config("mixing.mix_prob=0.5", "mixing.cutmix_alpha=1").mixing.notices == []
    assert "has no effect" in config("mixing.mix_prob=0.5").mixing.notices[0]


def test_pretrained_weights_that_cannot_be_had_stop_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"model\.pretrained=false"):
        tunewright.train("flowers", "model=convnext_tiny", "executor.type=inline")


def test_a_small_network_learns_the_drawn_flowers(tmp_path: Path) -> None:
    trained = tunewright.train(
        "flowers", "model.name=test_resnet", "data.image_size=32", "training.epochs=3",
        "augmentation=light", "executor.type=inline", "executor.threads=1", runs_dir=tmp_path,
    )  # fmt: skip
    assert trained.metric == "val_accuracy"
    assert trained.mean > 1 / len(KINDS)


def test_a_run_from_a_checked_file_of_weights_opens_without_it(tmp_path: Path) -> None:
    first = make_image_model(ImageModelConfig(name="test_resnet", fusion="none"), len(KINDS))
    file = tmp_path / "first.safetensors"
    save_file(first.state_dict(), file)
    trained = tunewright.train(
        "flowers", "model.name=test_resnet", "data.image_size=32", "training.epochs=1",
        f"model.weights={file}", f"model.sha256={sha256(file)}",
        "executor.type=inline", "executor.threads=1", runs_dir=tmp_path,
    )  # fmt: skip
    file.unlink()
    opened = open_classifier(trained.folders[0], torch.device("cpu"))
    assert opened.logits(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, len(KINDS))


def test_the_guides_own_training_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "focal.yaml").write_text(
        "loss_function: focal\nfocal_alpha: 0.25\nfocal_gamma: 3.0\nlabel_smoothing: 0.1\n"
        "learning_rate: 0.0003\nuse_amp: true\n"
    )
    composed = tunewright.show("flowers", "training=focal", config_dir=tmp_path)
    found = composed.config
    assert isinstance(found, FlowersConfig)
    assert found.loss == FocalConfig(gamma=3.0, alpha=0.25, label_smoothing=0.1)
    assert (found.optim.lr, found.training.precision) == (0.0003, "auto")
    assert str(source_of(composed.sources, "loss.gamma")).endswith("training/focal.yaml:3")
    over = tunewright.show("flowers", "training=focal", "loss.gamma=4", config_dir=tmp_path)
    assert over.config.loss.gamma == 4.0  # type: ignore[attr-defined]


def test_data_that_moved_is_asked_for_where_it_is_needed(tmp_path: Path) -> None:
    data = tmp_path / "here"
    data.mkdir()
    write_flowers(data)
    trained = tunewright.train(
        "flowers", "model.name=test_resnet", "data.image_size=32", "training.epochs=1",
        f"data.dir={data}", "executor.type=inline", "executor.threads=1", runs_dir=tmp_path,
    )  # fmt: skip
    there = data.rename(tmp_path / "there")
    folder = trained.folders[0]
    assert open_classifier(folder, torch.device("cpu")).classes
    moved = r"no longer in .*here.*data\.dir to their new place in .*config\.yaml"
    with pytest.raises(DataError, match=moved):
        open_classifier(folder, torch.device("cpu")).sets  # noqa: B018
    text = folder.config.read_text(encoding="utf-8")
    folder.config.write_text(text.replace(str(data), str(there)), encoding="utf-8")
    assert len(open_classifier(folder, torch.device("cpu")).sets.valid)
