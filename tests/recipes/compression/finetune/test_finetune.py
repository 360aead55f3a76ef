"""Fine-tuning a compressor: from which weights, for how long, and which of its parts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import tunewright
from tunewright.config.compose import compose
from tunewright.errors import ConfigError, DataError
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.config_checks import check_fit
from tunewright.recipes.compression.finetune.scale_patience import ScalePatience
from tunewright.recipes.compression.models.factory import make_compressor
from tunewright.recipes.compression.models.hpcm import BASE, TINY, Hpcm
from tunewright.recipes.compression.setup import make_setup
from tunewright.recipes.compression.task import CompressionTask
from tunewright.recipes.registry import find_recipe
from tunewright.request import parse_request
from tunewright.runs.progress import read_progress
from tunewright.training.randomness import seed_all
from tunewright.training.task import Clock
from tunewright.typed_arguments import Configs

RECIPE = find_recipe("compression")
SMALL = ("model=hyperprior", "model.channels=8", "model.latent=12", "data.crop=64", "batch_size=4",
         "executor.type=inline", "executor.threads=1")  # fmt: skip
TRAINED = ("data.crops_per_photo=1", "batch_size=2", "executor.type=inline", "executor.threads=1")
PARTS = (
    "finetune=parts",
    "finetune.lr_scales={g_a: 1.0, g_s: 1.0, h_a: 0.5, h_s: 0.5, context: 0.1, entropy: 0.0}",
    "finetune.unfreeze={h_a: 0.25, h_s: 0.25, context: 0.5}",
    "finetune.scale_patience=null",
    "optim.lr=1e-3",
    "optim.weight_decay=0.5",
    "schedule=constant",
    "training.ema_decay=0.5",
)


def configured(*overrides: str) -> CompressionConfig:
    config = compose(RECIPE, overrides).config
    assert isinstance(config, CompressionConfig)
    return config


def saved(file: Path, *overrides: str, **entries: Any) -> Path:
    """A checkpoint of another program, with the weights of a model and what it keeps beside."""
    seed_all(7)
    weights = make_compressor(configured(*overrides).model).state_dict()
    torch.save({"state_dict": weights, **entries} if entries else weights, file)
    return file


def test_the_guides_lines_are_read_as_typed(tmp_path: Path) -> None:
    typed = (
        "compression --use_balanced --finetune --finetune_lr 1e-5 --checkpoint "
        "./outputs/baseline/model.pth --epochs 500 --gamma 0.002 --w_lr 0.025"
    )
    config = parse_request(typed.split(), command="train").composed.config
    assert isinstance(config, CompressionConfig)
    assert config.finetune.type == "whole"
    assert config.model.weights == "./outputs/baseline/model.pth"
    assert (config.training.epochs, config.optim.lr) == (500, 1e-5)
    assert config.balance.type == "famo"
    assert (config.balance.gamma, config.balance.w_lr) == (0.002, 0.025)
    alone = parse_request(["compression", "--finetune", "--checkpoint", "x"], command="train")
    assert (alone.composed.config.training.epochs, alone.composed.config.optim.lr) == (500, 1e-5)
    parts = parse_request(["compression", "--finetune", "finetune=parts"], command="train")
    assert parts.composed.tree["finetune"]["type"] == "parts"
    shipped = parse_request(
        ["compression", "--checkpoint", "x", f"data.dir={tmp_path}"],
        command="train",
        configs=Configs(config_name="finetune"),
    ).composed.config
    assert isinstance(shipped, CompressionConfig)
    assert (shipped.training.epochs, shipped.optim.lr, shipped.schedule.type) == (
        500,
        1e-5,
        "cosine",
    )
    assert shipped.balance.type == "famo"
    assert (shipped.balance.gamma, shipped.balance.schedule.type) == (0.002, "cosine")


def test_finetuning_without_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"finetune.type = whole without model.weights.*--checkp"):
        check_fit(configured("finetune=true"))


def test_a_checkpoint_of_the_last_epoch_trains_all_epochs(tmp_path: Path) -> None:
    file = saved(
        tmp_path / "model.pth", *SMALL, epoch=2999, optimizer={"state": {}, "param_groups": []}
    )
    trained = tunewright.train(
        "compression", *SMALL, f"checkpoint={file}", "finetune=true", "epochs=5",
        "schedule.warmup_fraction=0", runs_dir=tmp_path,
    )  # fmt: skip
    lines = list(read_progress(trained.folders[0].progress))
    assert [line.step for line in lines] == [1, 2, 3, 4, 5]
    assert lines[0].lr == pytest.approx(1e-5, rel=0.1)
    again = tunewright.train(
        "compression", *SMALL, f"checkpoint={trained.folders[0].path}", "finetune=true", "epochs=2",
        "schedule.warmup_fraction=0", runs_dir=tmp_path, name="again",
    )  # fmt: skip
    first = next(iter(read_progress(again.folders[0].progress)))
    assert first.step == 1
    best = trained.outcomes[0].metrics["val_loss"]
    assert first.metrics["val_loss"] == pytest.approx(best, rel=0.05), "it went on from there"


def test_weights_of_another_size_are_refused_with_what_does_not_match(tmp_path: Path) -> None:
    other = [one for one in SMALL if one != "model.latent=12"]
    file = saved(tmp_path / "model.pth", *other, "model.latent=16")
    with pytest.raises(DataError) as caught:
        make_setup(configured(*SMALL, f"checkpoint={file}", "finetune=true"), torch.device("cpu"))
    text = str(caught.value)
    assert "does not fit this model: of another shape: g_a." in text
    assert "[16, 8, 5, 5] in place of [12, 8, 5, 5]" in text
    hpcm = saved(tmp_path / "hpcm.pth")
    with pytest.raises(DataError, match=r"missing: .* and \d+ more; unexpected: "):
        make_setup(configured(*SMALL, f"checkpoint={hpcm}", "finetune=true"), torch.device("cpu"))


@pytest.mark.parametrize("opening", ["check", "setup"])
def test_weights_are_checked_before_photographs_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening: str
) -> None:
    def opened(*_: object) -> None:
        pytest.fail("photographs were opened")

    monkeypatch.setattr("tunewright.recipes.compression.data.photos.open_photos", opened)
    monkeypatch.setattr("tunewright.recipes.compression.setup.open_photos", opened)

    def start(*overrides: str) -> None:
        config = configured(*SMALL, *overrides)
        if opening == "check":
            RECIPE.check_data(config)
        else:
            make_setup(config, torch.device("cpu"))

    other = saved(tmp_path / "other.pth")
    with pytest.raises(DataError, match="does not fit this model: missing"):
        start(f"checkpoint={other}", "finetune=true")
    file = saved(tmp_path / "model.pth", *SMALL)
    with pytest.raises(ConfigError, match=r"context = 0.1 matches no parameter"):
        start(f"checkpoint={file}", *PARTS)


def test_every_parameter_has_a_part() -> None:
    for shape in (TINY, BASE):
        with torch.device("meta"):
            model = Hpcm(shape)
        parts = model.parts()
        assert list(parts) == ["g_a", "g_s", "h_a", "h_s", "context", "entropy"]
        every = [name for names in parts.values() for name in names]
        assert sorted(every) == sorted(name for name, _ in model.named_parameters())
        assert parts["entropy"] == ["means_hyper", "scales_hyper"]
        own = model.scales_of_parameters()
        assert sorted(own) == sorted(parts["context"])
        shared = {name for name, scales in own.items() if scales == {"s1", "s2"}}
        assert shared == {name for name in own if name.startswith("y_spatial_prior_s1_s2.")}
        firsts = [own[f"adaptive_params_list.{number}"] for number in range(10)]
        assert [min(one) for one in firsts] == ["s1", *["s2"] * 3, *["s3"] * 6]


def test_a_part_that_the_model_lacks_is_refused_with_its_parts(tmp_path: Path) -> None:
    file = saved(tmp_path / "model.pth", *SMALL)
    with pytest.raises(ConfigError, match=r"context = 0.1 matches no parameter.*g_a, g_s, h_a, h_"):
        make_setup(configured(*SMALL, *PARTS, f"checkpoint={file}"), torch.device("cpu"))


def tensors(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    average = {f"average.{n.removeprefix('module.')}": t for n, t in state["average"].items()}
    return {**{f"model.{name}": tensor for name, tensor in state["model"].items()}, **average}


def test_parts_wait_frozen_and_all_that_train_move(tmp_path: Path) -> None:
    """Eight epochs of one step each, with the state of each kept."""
    file = saved(tmp_path / "model.pth")
    trained = tunewright.train(
        "compression", *TRAINED, *PARTS, f"checkpoint={file}", "epochs=8", "keep_last_n=all",
        runs_dir=tmp_path,
    )  # fmt: skip
    folder = trained.folders[0].checkpoints
    files = [*(f"last-{epoch:05d}.pt" for epoch in range(1, 8)), "last.pt"]
    states = [tensors(torch.load(folder / file, weights_only=True)) for file in files]
    start = torch.load(file, weights_only=True)
    parts = make_compressor(configured().model).parts()

    begun = {f"{kind}.{name}": t for kind in ("model", "average") for name, t in start.items()}
    for part, thaw in {"g_a": 0, "g_s": 0, "h_a": 2, "h_s": 2, "context": 4, "entropy": 8}.items():
        # A softmax does not change with the bias of its keys, whose gradient is 0 but for rounding.
        names = [name for name in parts[part] if not name.endswith("conv_k.bias")]
        every = {f"{kind}.{name}" for kind in ("model", "average") for name in names}
        for epoch, (before, after) in enumerate(zip([begun, *states], states, strict=False)):
            moved = {name for name in every if not torch.equal(before[name], after[name])}
            assert moved == (every if epoch >= thaw else set()), (part, epoch)


def test_a_scale_stops_for_good_and_the_rest_trains_on(tmp_path: Path) -> None:
    file = saved(tmp_path / "model.pth")
    words = (
        *TRAINED, "finetune=parts", "~finetune.lr_scales", "~finetune.unfreeze",
        "finetune.scale_patience=1", "finetune.scale_min_delta=1e6", f"checkpoint={file}",
        "epochs=4", "keep_last_n=all", "training.ema_decay=0.5",
    )  # fmt: skip
    trained = tunewright.train("compression", *words, runs_dir=tmp_path)
    folder = trained.folders[0].checkpoints
    third = torch.load(folder / "last-00003.pt", weights_only=True)
    last = torch.load(folder / "last.pt", weights_only=True)
    stops = {scale: one["stopped"] for scale, one in last["task"]["finetune"].items()}
    assert stops == {"s1": 2, "s2": 2, "s3": 2}
    model = Hpcm(TINY)
    second = torch.load(folder / "last-00002.pt", weights_only=True)
    frozen = {f"{kind}.{n}" for kind in ("model", "average") for n in model.parts()["context"]}
    before, after = tensors(second), tensors(last)
    for name in before:
        if name.startswith("average.n_averaged"):
            continue
        assert torch.equal(before[name], after[name]) == (name in frozen), name
    metrics = list(read_progress(trained.folders[0].progress))[-1].metrics
    shares = sum(metrics[f"val_{scale}_loss"] for scale in ("s1", "s2", "s3"))
    assert shares == pytest.approx(metrics["val_loss"], rel=1e-5)
    assert third["task"]["finetune"] == last["task"]["finetune"]


def test_what_two_scales_share_waits_for_both() -> None:
    patience = ScalePatience(("s1", "s2", "s3"), 2, 0.1)
    falling, flat = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0], [5.0, 4.95, 4.92, 4.91, 4.91, 4.9]
    stops = [
        patience.record(
            {"s1": flat[epoch], "s2": flat[max(0, epoch - 2)], "s3": falling[epoch]}, epoch + 1
        )
        for epoch in range(6)
    ]
    assert stops == [[], [], ["s1"], [], ["s2"], []] or stops == [[], [], ["s1", "s2"], [], [], []]
    again = ScalePatience((), 2, 0.1)
    again.load_state_dict(patience.state_dict())
    assert again.state_dict() == patience.state_dict()
    model = Hpcm(TINY)
    alone = ScalePatience(("s1", "s2", "s3"), 1, 0.1)
    alone.scales["s1"].stopped = 3
    names = alone.frozen(model)
    assert any(name.startswith("attn_s1") for name in names)
    assert not any("s1_s2" in name for name in names)
    alone.scales["s2"].stopped = 5
    assert any("s1_s2" in name for name in alone.frozen(model))
    assert not any("s3" in name for name in alone.frozen(model))


@pytest.mark.parametrize(
    ("override", "expected"),
    [("model=hyperprior", "the model hpcm"), ("loss=ms_ssim", "only a squared error")],
)
def test_patience_by_scale_wants_scales(tmp_path: Path, override: str, expected: str) -> None:
    file = saved(tmp_path / "model.pth", *SMALL)
    with pytest.raises(ConfigError, match=f"scale_patience = 50 with .*{expected}"):
        check_fit(configured("finetune=parts", override, "data.crop=256", f"checkpoint={file}"))


def test_nothing_is_frozen_without_a_section() -> None:
    setup = make_setup(configured(*SMALL), torch.device("cpu"))
    assert isinstance(setup.task, CompressionTask)
    setup.task.on_epoch(setup.model, Clock(0, 0, 10, 1))
    assert all(parameter.requires_grad for parameter in setup.model.parameters())
    assert setup.task.state_dict() == {}
