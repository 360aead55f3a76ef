"""What errors about networks, optimisers, weights and checkpoints advise, followed in the code.

Where a training would be needed to come to the place, its function is called.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from practice.blobs.setup import BlobsTask
from practice.pictures.drawn import draw, draw_set
from safetensors.torch import save_file
from torch import nn

from follow_remedies import Case, follow
from tunewright.classification.delivery.export import check_parity, save_onnx
from tunewright.classification.metrics.metrics import finite_logits
from tunewright.classification.models.config import ImageModelConfig
from tunewright.classification.models.cosine_classifier import normalise_classifier
from tunewright.classification.models.image_classifier import make_image_model
from tunewright.classification.setup import make_setup
from tunewright.config.check import validate
from tunewright.config.components.optimizers import OTHER_OPTIMIZERS, OtherOptimizer
from tunewright.config.section import Section
from tunewright.errors import NotWritten, TunewrightError
from tunewright.request import parse_request
from tunewright.training.finetune.parts import PartRates, plan_parts
from tunewright.training.goal import score_of
from tunewright.training.optim import make_optimizer
from tunewright.training.task import Group
from tunewright.training.weights.weights_file import read_weights

pytestmark = pytest.mark.slow  # each is quick, and they are many


class Net(nn.Module):
    """Two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = nn.Linear(2, 2), nn.Linear(2, 3)


class Other(nn.Module):
    """A network whose classifier is a convolution."""

    def __init__(self, linear: bool) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3) if linear else nn.Conv2d(4, 3, 1)


def image_model(image_size: int = 32, **model: Any) -> nn.Module:
    section = ImageModelConfig(**{"name": "test_resnet", "fusion": "none", **model})
    return make_image_model(section, 3, image_size=image_size, on_notice=lambda _: None)


def optimizer(kind: str, **options: Any) -> object:
    config = OtherOptimizer(type=kind, weight_decay=0.0, options=options)
    return make_optimizer(config, [Group("all", [nn.Parameter(torch.zeros(2))])])


def lacking(kind: str) -> Callable[[], object]:
    """Make an optimiser that the installed torch lacks."""

    def make() -> object:
        with pytest.MonkeyPatch.context() as patched:
            named = {**OTHER_OPTIMIZERS, kind: "torch.optim:Absent"}
            patched.setattr("tunewright.training.optim.OTHER_OPTIMIZERS", named)
            return optimizer(kind)

    return make


def rates(**given: Any) -> object:
    return plan_parts(Net(), PartRates(**given))


def saved(state: object) -> Callable[[], object]:
    """Read weights that torch.save wrote."""

    def read() -> object:
        torch.save(state, "weights.pt")
        return read_weights(Path("weights.pt"))

    return read


def text_as_weights() -> object:
    Path("weights.pt").write_text("<html>")
    return read_weights(Path("weights.pt"))


def stored_weights(*, of_another: bool = False) -> object:
    """Build a network with weights of a file; of another one its first layer is smaller."""
    stored = image_model().state_dict()
    if of_another:
        stored[next(iter(stored))] = torch.zeros(1)
    save_file(stored, "weights.safetensors")
    return image_model(weights="weights.safetensors")


class Needs(Section):
    """A section of a recipe of another package, with a key that has no default."""

    width: int


def setup_of(*words: str) -> object:
    """Make what a training of pictures needs."""
    typed = ["flowers", "model.name=test_resnet", "data.image_size=32", "data.dir=data", *words]
    return make_setup(parse_request(typed, command="train").composed.config, torch.device("cpu"))


LOST = "finetune.unfreeze"
CASES: dict[str, tuple[Callable[[], object], str, Callable[[], object]]] = {
    # What is refused, what the remedy says, and what works.
    "a key that is missing": (
        lambda: validate({}, Needs), "Set it in a file or as an override",
        lambda: validate({"width": 3}, Needs),
    ),
    "pictures of a size": (
        lambda: image_model(name="test_vit", input_size=33), "model.input_size=160",
        lambda: image_model(name="test_vit", input_size=160),
    ),
    "a network without levels": (
        lambda: image_model(name="test_vit", fusion="msff"), "model.fusion=none",
        lambda: image_model(name="test_vit", input_size=160),
    ),
    "a classifier that is not linear": (
        lambda: normalise_classifier(Other(linear=False), 3, scale=20.0), "Choose another model",
        lambda: normalise_classifier(Other(linear=True), 3, scale=20.0),
    ),
    "weights of another network": (
        lambda: stored_weights(of_another=True), "set model.name to it",
        stored_weights,
    ),
    "weights that are text": (text_as_weights, "torch.save", saved({"a": torch.zeros(2)})),
    "weights without tensors": (saved({"epoch": 3}), "torch.save", saved({"a": torch.zeros(2)})),
    "weights too deep in a file": (
        saved({"run": {"net": {"a": torch.zeros(2)}}}), "torch.save", saved({"a": torch.zeros(2)})
    ),
    "a part that never learns": (
        lambda: rates(unfreeze={"head": 0.5}, lr_scales={"head": 0.0}),
        "finetune.lr_scales.head=0.1",
        lambda: rates(unfreeze={"head": 0.5}, lr_scales={"head": 0.1}),
    ),
    "a part that never learns, taken out": (
        lambda: rates(unfreeze={"head": 0.5}, lr_scales={"head": 0.0}),
        "Take it out of finetune.unfreeze", lambda: rates(lr_scales={"head": 0.0}),
    ),
    "nothing that learns": (
        lambda: rates(unfreeze={"head": 0.5, "backbone": 0.5}), "Take a part out",
        lambda: rates(unfreeze={"backbone": 0.5}),
    ),
    "a part misspelt": (
        lambda: rates(lr_scales={"haed": 0.1}), "Did you mean 'head'?",
        lambda: rates(lr_scales={"head": 0.1}),
    ),
    "a goal that is not measured": (
        lambda: score_of({"val_loss": 1.0, "val_acc": 0.5}, "val_accuracy", when="after epoch 1"),
        "Did you mean 'val_acc'?",
        lambda: score_of({"val_loss": 1.0, "val_acc": 0.5}, "val_acc", when="after epoch 1"),
    ),
    "options of an optimiser": (
        lambda: optimizer("adadelta", rho=2.0), "optim.options",
        lambda: optimizer("adadelta", rho=0.9)
    ),
    "an optimiser that torch lacks": (
        lacking("rprop"), "or use another optim.type", lambda: optimizer("adadelta")
    ),
    "an optimiser of two gradients": (
        lambda: optimizer("twofold"), "with a plain optimizer", lambda: optimizer("sign_descent")
    ),
    "logits that are not finite": (
        lambda: finite_logits(torch.tensor([1.0, float("inf")])), "Lower the learning rate",
        lambda: finite_logits(torch.tensor([1.0, 2.0])),
    ),
    "an export that differs": (
        lambda: check_parity(0.5, Path("model.pt2"), half=False), "--to safetensors",
        lambda: check_parity(0.0, Path("model.safetensors"), half=False),
    ),
    "a micro-batch of one picture": (
        lambda: setup_of("training.batch_size=2", "training.accumulate=2"),
        "Raise training.batch_size",
        lambda: setup_of("training.batch_size=4", "training.accumulate=2"),
    ),
    "a micro-batch of one picture, not divided": (
        lambda: setup_of("training.batch_size=2", "training.accumulate=2"),
        "or lower training.accumulate", lambda: setup_of("training.batch_size=2"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_training_helps(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "micro" in name:
        draw_set(Path("data"), (6, 6, 6))
    refused, said, mended = CASES[name]
    with pytest.raises(TunewrightError) as error:
        refused()
    assert said in error.value.remedy, error.value
    mended()


DIVERGES = "train blobs executor.type=inline training.epochs=1 optim.lr=1e30"


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("A lower optim.lr", "optim.lr=1e-3"),
        ("training.clip_norm", "optim.lr=1e-3 training.clip_norm=1"),
    ],
)
def test_a_training_that_diverges(said, instead, skips, tmp_path, monkeypatch):
    """Three steps in a row that are not finite end it, where one is left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BlobsTask, "skips_bad_steps", skips)
    follow(Case(f"{DIVERGES} --name run", said, f"{DIVERGES} {instead} --name other"))


def test_an_onnx_file_in_the_place_of_a_folder(tmp_path, monkeypatch):
    program = SimpleNamespace(
        model=SimpleNamespace(metadata_props={}),
        save=lambda place, **_: Path(place).write_bytes(b"onnx"),
    )
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: program)
    (tmp_path / "file").touch()
    pictures = {"images": torch.zeros(2, 3, 8, 8)}
    with pytest.raises(NotWritten, match="choose another path"):
        save_onnx(Net(), pictures, tmp_path / "file" / "model.onnx", {})
    save_onnx(Net(), pictures, tmp_path / "folder" / "model.onnx", {})


def patients() -> None:
    """Write patients with two photographs each."""
    Path("data").mkdir()
    rows = ["patient_id,left_file,right_file,text,label"]
    for number in range(12):
        for side in ("left", "right"):
            draw(number % 3, number).save(Path("data", f"{number}{side}.png"))
        rows.append(f"p{number},{number}left.png,{number}right.png,an eye,{'ab'[number % 2]}")
    Path("data/index.csv").write_text("\n".join(rows) + "\n")


TOO_FAST = {
    # A single step with such a rate, so that nothing but the validation can see it.
    "flowers": "data.dir=data data.image_size=16 model=small training.batch_size=64",
    "pairs": "training.batch_size=4096",
    "retina": "data.dir=data data.image_size=32 model.embed_dim=16 model.text_width=16 "
    "training.batch_size=64",
}


@pytest.mark.parametrize("recipe", TOO_FAST)
def test_predictions_that_a_rate_makes_infinite(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if recipe == "flowers":
        draw_set(Path("data"), (10, 9, 8))
    if recipe == "retina":
        patients()
    typed = f"train {recipe} {TOO_FAST[recipe]} training.epochs=1 executor.type=inline"
    follow(
        Case(
            f"{typed} optim.lr=1e30 --name fast", "Lower the learning rate",
            f"{typed} optim.lr=1e-3 --name slow",
        )
    )  # fmt: skip
