"""First weights: from the hub where it can be reached, from safetensors, never from a pickle."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tunewright.classification.models import pretrained
from tunewright.classification.models.config import ImageModelConfig
from tunewright.classification.models.image_classifier import make_image_model
from tunewright.classification.models.pretrained import check_weights, sha256
from tunewright.classification.models.timm_query import timm_facts
from tunewright.errors import ConfigError, DataError
from tunewright.training.checkpoint import load_weights

TINY: dict[str, Any] = {"name": "test_efficientnet", "fusion": "none"}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub that nobody reaches, at an address where nothing listens, and its empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def built(classes: int = 5, seed: int = 0, **settings: Any) -> nn.Module:
    torch.manual_seed(seed)
    return make_image_model(ImageModelConfig(**settings), classes, on_notice=lambda _: None)


def saved(file: Path, model: nn.Module, prefix: str = "") -> Path:
    save_file({prefix + name: tensor for name, tensor in model.state_dict().items()}, file)
    return file


def test_offline_is_one_sentence_with_two_remedies_and_soon(offline: Path) -> None:
    section = ImageModelConfig(name="test_efficientnet", fusion="none", pretrained=True)
    timm_facts(section.name)
    began = time.perf_counter()
    with pytest.raises(ConfigError) as refused:
        check_weights(section)
    assert time.perf_counter() - began < 5.0
    text = str(refused.value)
    assert "test_efficientnet.r160_in1k are not on this machine" in text
    assert "127.0.0.1 cannot be reached" in text
    assert "model.pretrained=false" in text
    assert "model.weights=FILE" in text
    assert "\n" not in text
    with pytest.raises(ConfigError, match="not on this machine"):
        make_image_model(section, 5)


def test_weights_of_an_earlier_download_are_taken_offline(offline: Path) -> None:
    facts = timm_facts("test_efficientnet")
    source = built(1000, seed=7, **TINY)
    repository = offline / f"models--{facts.repository.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    saved(repository / "snapshots" / "abc" / "model.safetensors", source)
    section = ImageModelConfig(pretrained=True, **TINY)
    assert "cached at" in check_weights(section)[0]
    for settings in ({}, {"fusion": "global_concat"}):
        said: list[str] = []
        model = make_image_model(section.model_copy(update=settings), 5, on_notice=said.append)
        stem = next(iter(model.parameters()))
        assert torch.equal(stem, source.conv_stem.weight)  # type: ignore[arg-type,union-attr]
        assert "random weights for the head" in said[0]


def test_a_coordinator_checks_without_torch(tmp_path: Path) -> None:
    file = saved(tmp_path / "w.safetensors", built())
    code = f"""
import sys
sys.modules["torch"] = None
from tunewright.classification.models.config import ImageModelConfig
from tunewright.classification.models.pretrained import check_weights
print(check_weights(ImageModelConfig(weights={str(file)!r}, sha256={sha256(file)!r})))
print(check_weights(ImageModelConfig(name="test_resnet", fusion="none")))
"""
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    )
    assert "w.safetensors" in answer.stdout
    assert "test_resnet.r160_in1k starts from random weights" in answer.stdout


@pytest.mark.parametrize("settings", [{}, TINY, {**TINY, "fusion": "simple_concat"}])
def test_a_file_of_the_same_model_is_taken_whole(tmp_path: Path, settings: dict[str, Any]) -> None:
    source = built(seed=1, **settings)
    said: list[str] = []
    section = ImageModelConfig(weights=str(saved(tmp_path / "w.safetensors", source)), **settings)
    model = make_image_model(section, 5, on_notice=said.append)
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert len(said) == 1


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_a_head_for_other_classes_is_left_out_and_told(tmp_path: Path, prefix: str) -> None:
    source = built(7, seed=1, **TINY)
    file = saved(tmp_path / "w.safetensors", source, prefix)
    said: list[str] = []
    model = make_image_model(ImageModelConfig(weights=str(file), **TINY), 5, on_notice=said.append)
    assert torch.equal(model.conv_stem.weight, source.conv_stem.weight)  # type: ignore[arg-type,union-attr]
    assert model.classifier.weight.shape[0] == 5  # type: ignore[union-attr]
    assert any("head is for 7 classes" in text for text in said)


def test_a_plain_timm_file_fills_a_backbone_of_levels_and_what_is_new_is_told(
    tmp_path: Path,
) -> None:
    source = built(7, seed=1, **TINY)
    said: list[str] = []
    section = ImageModelConfig(
        name="test_efficientnet", weights=str(saved(tmp_path / "w.safetensors", source))
    )
    model = make_image_model(section, 5, on_notice=said.append)
    stem = model.backbone.model.conv_stem.weight  # type: ignore[union-attr]
    assert torch.equal(stem, source.conv_stem.weight)  # type: ignore[arg-type,union-attr]
    assert any("start from random weights: fusion.laterals" in text for text in said)
    assert any("in the file but not in the model, ignored: " in text for text in said)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "anything"])
def test_a_state_dict_of_torch_fills_the_model_under_any_name(
    tmp_path: Path, suffix: str, wrapper: str | None
) -> None:
    source = built(7, seed=1, **TINY)
    state = {f"module.{name}": tensor for name, tensor in source.state_dict().items()}
    state["module.more"] = torch.ones(2)
    file = tmp_path / f"w{suffix}"
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, file)
    section = ImageModelConfig(weights=str(file), **TINY)
    assert check_weights(section) == [f"initial weights: {file}"]
    said: list[str] = []
    model = make_image_model(section, 5, on_notice=said.append)
    assert torch.equal(model.conv_stem.weight, source.conv_stem.weight)  # type: ignore[arg-type,union-attr]
    assert any("head is for 7 classes" in text for text in said)
    assert any("not in the model, ignored: more" in text for text in said)
    assert any("left aside: epoch" in text for text in said) == (wrapper is not None)


def test_what_holds_more_than_tensors_is_refused_before_pictures_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewright.classification import data_checks
    from tunewright.config.compose import compose
    from tunewright.recipes.registry import find_recipe

    torch.save(built(), tmp_path / "w.pth")
    monkeypatch.setattr(data_checks.datasets, "open_sets", lambda *_, **__: pytest.fail("read"))
    given = [f"model.weights={tmp_path / 'w.pth'}"]
    config = compose(find_recipe("longtail"), given).config
    with pytest.raises(ConfigError, match=r"w\.pth \(it .*expected tensors only.*state_dict\(\)"):
        data_checks.check(config)


@pytest.mark.parametrize("at", [2000, -8, None])
def test_a_file_with_more_bytes_than_it_says_is_refused(tmp_path: Path, at: int | None) -> None:
    file = saved(tmp_path / "w.safetensors", built())
    content = file.read_bytes()
    file.write_bytes(content[:at] + b"\x11" * 4 + (b"" if at is None else content[at:]))
    with pytest.raises(ConfigError, match=r"w\.safetensors \(Error while deserializing"):
        check_weights(ImageModelConfig(weights=str(file)))
    with pytest.raises(DataError, match=r"w\.safetensors cannot be read"):
        load_weights(file)


def test_a_file_that_was_cut_short_or_is_absent_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / "w.safetensors", built())
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="a safetensors file"):
        check_weights(ImageModelConfig(weights=str(file)))
    with pytest.raises(ConfigError, match="a file that exists"):
        check_weights(ImageModelConfig(weights=str(tmp_path / "none.safetensors")))


def test_the_digest_is_checked_when_it_is_given(tmp_path: Path) -> None:
    file = saved(tmp_path / "w.safetensors", built())
    digest = sha256(file)
    check_weights(ImageModelConfig(weights=str(file), sha256=digest.upper()))
    wrong = ImageModelConfig(weights=str(file), sha256="0" * 64)
    for use in (check_weights, lambda section: make_image_model(section, 5)):
        with pytest.raises(ConfigError, match=f"has the SHA-256 {digest}"):
            use(wrong)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = saved(tmp_path / "other.safetensors", built(name="test_resnet", fusion="none"))
    with pytest.raises(ConfigError, match=r"as in test_efficientnet.*belong to another model"):
        built(weights=str(other), **TINY)
    strange = tmp_path / "strange.safetensors"
    save_file({"what": torch.zeros(3)}, strange)
    with pytest.raises(ConfigError, match="holds what: expected weights of test_efficientnet"):
        built(weights=str(strange), **TINY)
    wide = built(**TINY)
    state = {**wide.state_dict(), "conv_stem.weight": torch.zeros(1, 2, 3)}
    save_file(state, tmp_path / "wide.safetensors")
    with pytest.raises(ConfigError, match=r"holds conv_stem.weight \[1, 2, 3\]"):
        built(weights=str(tmp_path / "wide.safetensors"), **TINY)


def test_a_model_that_was_never_published_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = timm_facts("efficientnet_b8")
    assert not facts.has_weights
    with pytest.raises(ConfigError, match="were never published"):
        check_weights(ImageModelConfig(name="efficientnet_b8", fusion="none", pretrained=True))


def test_a_slow_hub_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, offline: Path) -> None:
    """A resolver can hang far longer than any connection may."""
    import huggingface_hub

    class Hanging:
        def head(self, *_: object, **__: object) -> None:
            time.sleep(3.0)

    monkeypatch.setattr(huggingface_hub, "get_session", Hanging)
    monkeypatch.setattr(pretrained, "CONNECT_SECONDS", 0.2)
    began = time.perf_counter()
    with pytest.raises(ConfigError, match="cannot be reached"):
        check_weights(ImageModelConfig(pretrained=True, **TINY))
    assert time.perf_counter() - began < 2.0
