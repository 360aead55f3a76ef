"""Training compressors: a short one number by number, what is measured, what begins from where."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import tunewright
from tunewright.config.compose import compose
from tunewright.config.schema import MilestoneSchedule
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.evaluation.metrics import CompressionMetrics
from tunewright.recipes.compression.setup import make_setup
from tunewright.recipes.compression.task import round_to_8_bits
from tunewright.recipes.registry import find_recipe
from tunewright.runs.progress import read_progress
from tunewright.training.randomness import seed_all
from tunewright.training.task import Setup
from tunewright.training.trainer import evaluate

RECIPE = find_recipe("compression")
CPU = torch.device("cpu")
SMALL = (
    "model=hyperprior",
    "model.channels=8",
    "model.latent=12",
    "data.crop=64",
    "optim.lr=2e-3",  # a network this narrow takes it
)
GOLDEN = [310.2513, 319.9753, 146.9498, 69.9015]
"""Training losses of the epochs of `test_a_short_training_is_as_it_was`."""


def configured(*overrides: str) -> CompressionConfig:
    config = compose(RECIPE, overrides).config
    assert isinstance(config, CompressionConfig)
    return config


def made(*overrides: str) -> Setup:
    seed_all(1)
    return make_setup(configured(*overrides), CPU)


def test_a_short_training_is_as_it_was(tmp_path: Path) -> None:
    trained = tunewright.train(
        "compression", *SMALL, "training.epochs=4", "data.crops_per_photo=8",
        "training.batch_size=4", "executor.type=inline", "executor.threads=1", runs_dir=tmp_path,
    )  # fmt: skip
    progress = list(read_progress(trained.folders[0].progress))
    losses = [line.metrics["train_loss"] for line in progress]
    assert losses == pytest.approx(GOLDEN, rel=2e-3)
    last = progress[-1].metrics
    parts = last["train_bpp_z"] + last["train_bpp_y"]
    assert last["train_bpp"] == pytest.approx(parts, rel=1e-4)
    assert last["train_loss"] == pytest.approx(last["train_distortion"] + parts, rel=1e-4)
    assert last["val_loss"] < 0.7 * progress[0].metrics["val_loss"]
    low, high = trained.outcomes[0].interval or (0, 0)
    assert low < trained.mean < high
    stored = trained.folders[0].read_config()
    assert stored["data"]["store"] == "resident"
    second = made(*SMALL, f"model.weights={trained.folders[0].path}")
    assert evaluate(second.task, second.model, second.valid)["loss"] == pytest.approx(trained.mean)


def test_a_folder_is_trained_as_the_paper_trains(tmp_path: Path) -> None:
    config = configured(f"data.dir={tmp_path}")
    assert (config.training.epochs, config.training.batch_size) == (3000, 32)
    assert (config.optim.lr, config.optim.weight_decay) == (1e-4, 0.0)
    assert config.training.clip_norm == 1.0
    assert config.training.precision == "fp32"
    assert config.data.crop == 256
    assert isinstance(config.schedule, MilestoneSchedule)
    assert config.schedule.factors == (0.3, 0.1, 0.01)
    starts = [round(3000 * fraction, 3) for fraction in config.schedule.fractions]
    assert starts == [2750, 2850, 2950]
    short = configured(f"data.dir={tmp_path}", "training=short", "epochs=7")
    assert (short.training.epochs, short.optim.lr) == (7, 2e-3)
    assert short.schedule.factors == (0.3, 0.1)
    assert configured(f"data.dir={tmp_path}", "schedule=cosine").schedule.type == "cosine"


def test_the_guides_arguments_act() -> None:
    config = configured(
        "finetune_lr=1e-5", "checkpoint=somewhere", "epochs=500", "lambda=0.0035",
        "patch_size=384", "clip_max_norm=2", "keep_last_n=5", "keep_best=3", "batch_size=16",
    )  # fmt: skip
    assert config.optim.lr == 1e-5
    assert config.model.weights == "somewhere"
    assert config.loss.lmbda == 0.0035
    assert (config.data.crop, config.training.clip_norm) == (384, 2.0)
    assert (config.training.keep_last, config.training.keep_best) == (5, 3)
    assert (config.training.epochs, config.training.batch_size) == (500, 16)


def test_structure_is_trained_and_measured_where_crops_are_large_enough() -> None:
    setup = made(*SMALL, "data.crop=192", "loss=ms_ssim", "training.batch_size=2")
    total, terms = setup.task.loss(setup.model, next(setup.train.epoch(0)))
    total.backward()
    assert {"ms_ssim", "bpp", "psnr", "distortion"} <= terms.keys()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in setup.model.parameters())
    batch = next(setup.valid.epoch(0))
    setup.model.eval()
    with torch.no_grad():
        scores = setup.task.predict(setup.model, batch)
    assert scores.keys() == {"loss", "bpp", "psnr", "ms_ssim"}
    assert all(values.shape == (len(batch),) for values in scores.values())


def test_only_kernels_decay() -> None:
    for overrides in (SMALL, ()):
        setup = made(*overrides)
        groups = {group.name: group for group in setup.task.param_groups(setup.model)}
        assert groups["kernels"].decays
        assert not groups["others"].decays
        others = {id(p) for p in groups["others"].parameters}
        named = dict(setup.model.named_parameters())
        assert {id(named["means_hyper"]), id(named["scales_hyper"])} <= others
        kernels = sum(p.numel() for p in groups["kernels"].parameters)
        assert kernels > 0.9 * sum(p.numel() for p in setup.model.parameters())


def test_what_is_written_has_8_bits() -> None:
    pictures = torch.tensor([-0.3, 0.0, 0.1, 0.5, 1.0, 7.0])
    assert (round_to_8_bits(pictures) * 255).tolist() == pytest.approx([0, 0, 26, 128, 255, 255])


def test_means_and_intervals_are_over_pictures() -> None:
    metrics = CompressionMetrics()
    values = np.random.default_rng(0).normal(30, 2, 40)
    for part in np.split(values, [7, 20]):
        metrics.update({"psnr": Tensor(part)})
    assert metrics.compute()["psnr"] == pytest.approx(values.mean(), rel=1e-6)
    low, high = metrics.interval("psnr") or (0, 0)
    error = values.std() / np.sqrt(40)
    assert values.mean() - low == pytest.approx(1.96 * error, rel=0.2)
    assert high - values.mean() == pytest.approx(1.96 * error, rel=0.2)
    assert metrics.interval("ms_ssim") is None
    metrics.update({"ms_ssim": torch.ones(40)})  # all restored exactly: nothing is known of others
    assert metrics.interval("ms_ssim") is None


def test_check_tells_of_data_and_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 256, (70 - 10 * number, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    config = configured(f"data.dir={tmp_path}", *SMALL, "data.val_split=0.25", "lambda=0.01")
    told = "\n".join(RECIPE.check_data(config))
    for part in ("between the levels", "an epoch has 3 crops", "mirrored", "photographs take"):
        assert part in told


def test_streaming_is_the_same_training() -> None:
    ways = [made(*SMALL, f"data.store={store}", "batch_size=4") for store in ("stream", "resident")]
    one, other = (torch.cat(list(way.train.epoch(1))) for way in ways)
    assert torch.equal(one, other)
    assert [way.resolved for way in ways] == [{"data.store": "stream"}, {"data.store": "resident"}]


@pytest.mark.slow
def test_the_default_learns(tmp_path: Path) -> None:
    """HPCM at small widths, on the embedded photographs, for a quarter of its epochs."""
    trained = tunewright.train(
        "compression", "training.epochs=15", "executor.type=inline", runs_dir=tmp_path
    )
    scores = trained.outcomes[0].metrics
    assert scores["val_psnr"] > 17
    assert scores["val_bpp"] < 2
