"""Balance over scales: five tasks that add up, gammas by scale, and a resume bit for bit."""

import copy
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import tunewright
from tunewright.config.compose import compose
from tunewright.errors import ConfigError
from tunewright.recipes.compression.balance.hierarchical import (
    SCALE_TASKS,
    HierarchicalTask,
    ScaledFamoWeights,
    task_parts,
)
from tunewright.recipes.compression.balance.scale_gamma import adapt, scale_gamma_at
from tunewright.recipes.compression.balance.task_weights import FamoWeights
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.config_checks import check_fit
from tunewright.recipes.compression.models.compressor import CodedLatents
from tunewright.recipes.compression.rate_distortion import mse
from tunewright.recipes.compression.setup import make_setup
from tunewright.recipes.registry import find_recipe
from tunewright.runs.progress import read_progress
from tunewright.training.task import Clock

RECIPE = find_recipe("compression")
SHORT = ("balance=hierarchical", "data.crops_per_photo=1", "batch_size=2", "executor.threads=1")


def coded(pictures: torch.Tensor) -> CodedLatents:
    draw = torch.Generator().manual_seed(2)
    sizes = {"z": 32, "s1": 90, "s2": 270, "s3": 1080}
    likelihoods = {
        name: torch.rand(len(pictures), size, generator=draw).clamp(0.01)
        for name, size in sizes.items()
    }
    noise = 0.1 * torch.randn(pictures.shape, generator=draw)
    return CodedLatents(pictures + noise, likelihoods)


def test_the_five_tasks_add_up_to_the_loss() -> None:
    pictures = torch.rand(3, 3, 64, 128, generator=torch.Generator().manual_seed(1))
    found, criterion = coded(pictures), mse(quality=4)
    loss, bpp = criterion.by_picture(found, pictures)
    tasks = criterion.scale_tasks(found, pictures)
    assert tuple(tasks) == SCALE_TASKS
    torch.testing.assert_close(torch.stack(list(tasks.values())).sum(0), loss, rtol=1e-6, atol=0.0)
    rates = torch.stack([tasks[name] for name in SCALE_TASKS[2:]]).sum(0)
    torch.testing.assert_close(rates, bpp, rtol=1e-6, atol=0.0)
    shares = torch.stack(list(criterion.scale_losses(found, pictures).values()))
    torch.testing.assert_close(shares.sum(0), loss, rtol=1e-6, atol=0.0)
    assert all((task > 0).all() for task in tasks.values())


def test_the_distortion_is_divided_orthogonally() -> None:
    """An error that is even over blocks belongs to s1, one without a mean in a block to s2."""
    pictures = torch.full((1, 3, 64, 64), 0.5)
    even = torch.randn(1, 3, 16, 16).repeat_interleave(4, 2).repeat_interleave(4, 3) * 0.1
    fine = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32) * 0.1
    criterion = mse(lmbda=0.013)
    for error, s1, s2 in ((even, 1.0, 0.0), (fine, 0.0, 1.0), (even + fine, None, None)):
        found = coded(pictures)._replace(pictures=pictures + error)
        tasks = criterion.scale_tasks(found, pictures)
        whole = 0.013 * 255**2 * float(error.expand_as(pictures).square().mean())
        alone = 0.013 * 255**2 * float(even.square().mean())
        expected = (alone, 0.013 * 255**2 * 0.01) if s1 is None or s2 is None else (
            s1 * whole, s2 * whole
        )  # fmt: skip
        assert float(tasks["s1_distortion"]) == pytest.approx(expected[0], rel=1e-4, abs=1e-3)
        assert float(tasks["s2_distortion"]) == pytest.approx(expected[1], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("epochs", [30, 3000])
def test_gammas_follow_their_strategies(epochs: int) -> None:
    def at(strategy: Any, scale: str, epoch: int) -> float:
        return scale_gamma_at(1.0, strategy, scale, epoch * epochs // 3000 / epochs)

    for scale, factors in {
        "s1": (1.0, 1.2, 0.9, 0.7, 0.5),
        "s2": (0.8, 0.8, 1.1, 0.8, 0.5),
        "s3": (0.6, 0.6, 1.0, 1.1, 1.3),
    }.items():
        found = [at("hierarchical", scale, epoch) for epoch in (0, 300, 1500, 2500, 3000)]
        assert found == pytest.approx(factors)
    assert at("hierarchical", "s1", 900) == pytest.approx(1.05)  # half of the way from 1.2 to .9
    assert [at("linear", "s1", e) for e in (0, 1500, 3000)] == pytest.approx([1.0, 0.75, 0.5])
    assert [at("cosine", "s1", e) for e in (0, 1500, 3000)] == pytest.approx([1.0, 0.75, 0.5])
    assert at("cosine", "s1", 1000) == pytest.approx(0.5 + 0.25 * 1.5)
    assert at("fixed", "s1", 2000) == 1.0


def test_adaptive_lowers_calm_gammas_and_raises_restless_ones_within_bounds() -> None:
    flat, noisy = [5.0] * 4, [5.0, 7.0, 5.0, 7.0]
    assert adapt(0.01, 0.01, flat, 4) == pytest.approx(0.0095)
    assert adapt(0.01, 0.01, noisy, 4) == pytest.approx(0.0102)
    assert adapt(0.01, 0.01, [5.0, 5.3, 5.0, 5.3], 4) == 0.01  # 3 %: neither
    assert adapt(0.01, 0.01, flat[:3], 4) == 0.01
    assert adapt(0.01, 0.01, [*flat[:3], math.nan], 4) == 0.01
    low = high = 0.01
    for _ in range(100):
        low, high = adapt(low, 0.01, flat, 4), adapt(high, 0.01, noisy, 4)
    assert (low, high) == (pytest.approx(0.005), pytest.approx(0.015))


def test_gamma_pulls_the_weights_to_the_scale_weights() -> None:
    parts = task_parts((0.3, 0.4, 0.3))
    assert parts == pytest.approx([0.15, 0.2, 0.15, 0.2, 0.3])
    weights = ScaledFamoWeights(parts, w_lr=0.1)
    assert weights.weights.tolist() == pytest.approx(parts)
    before = torch.tensor([4.0, 3.0, 1.0, 1.0, 2.0])
    for _ in range(20):
        weights.update(before, before * torch.tensor([0.5, 1.0, 1.0, 1.0, 1.0]), 0.0)
    assert weights.weights[0] < 0.1, "the task that decreased has lost weight"
    for _ in range(400):
        weights.update(before, before, 0.1)
    assert weights.weights.tolist() == pytest.approx(parts, abs=1e-3)
    even = ScaledFamoWeights([0.2] * 5, w_lr=0.1)
    plain = FamoWeights(5, w_lr=0.1)
    for one in (even, plain):
        one.update(before, before * 0.9, torch.tensor([0.1, 0.1, 0.2, 0.2, 0.3]))
    assert even.weights.tolist() == pytest.approx(plain.weights.tolist())


def configured(*overrides: str) -> CompressionConfig:
    config = compose(RECIPE, overrides).config
    assert isinstance(config, CompressionConfig)
    return config


def test_each_task_decays_by_the_gamma_of_its_scale() -> None:
    setup = make_setup(configured(*SHORT, "balance.strategy=fixed"), torch.device("cpu"))
    task = setup.task
    assert isinstance(task, HierarchicalTask)
    task.on_epoch(setup.model, Clock(0, 0, 10, 1))
    assert task.decay().tolist() == [0.008, 0.006, 0.008, 0.006, 0.004]


def test_the_gammas_of_a_resumed_task_go_on() -> None:
    config = configured(*SHORT, "balance.strategy=adaptive", "balance.window=2")
    setups = [make_setup(config, torch.device("cpu")) for _ in range(2)]

    def epoch(number: int, place: int) -> list[float]:
        task, model = setups[place].task, setups[place].model
        assert isinstance(task, HierarchicalTask)
        clock = Clock(number, number, 10, 1)
        task.on_epoch(model, clock)
        task.on_valid(
            {"val_loss": 3.0, **{f"val_{s}_loss": 1.0 for s in ("s1", "s2", "s3")}}, clock
        )
        found: list[float] = task.decay().tolist()
        return found

    firsts = [epoch(number, 0) for number in range(3)]
    setups[1].task.load_state_dict(copy.deepcopy(setups[0].task.state_dict()))
    on = [epoch(number, 0) for number in range(3, 6)]
    assert on == [epoch(number, 1) for number in range(3, 6)]
    assert firsts[0] != on[0] != on[1], "no gamma moved, so that nothing was tested"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model=hyperprior", "the model hpcm"),
        ("loss=ms_ssim", "only a squared error is divided"),
    ],
)
def test_what_has_no_scales_is_refused(override: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check_fit(configured("balance=hierarchical", override, "data.crop=256"))


@pytest.mark.parametrize("value", ["balance.gamma_s1=-1", "balance.gamma_s2=0", "balance.w_lr=a",
                                   "balance.scale_weights=[0.3,0.4]",
                                   "balance.scale_weights=[0.3,0.4,-0.3]"])  # fmt: skip
def test_bad_values_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=value.partition("=")[0]):
        configured("balance=hierarchical", value)


@pytest.mark.slow
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    """Four epochs, and four that are killed on the way, with adaptive gammas."""
    words = [*SHORT, "balance.strategy=adaptive", "balance.window=2", "epochs=4",
             "training.checkpoint_seconds=0"]  # fmt: skip
    whole = tunewright.train("compression", *words, "executor.type=inline", runs_dir=tmp_path / "a")
    program = "import sys, tunewright; tunewright.train(*sys.argv[2:], runs_dir=sys.argv[1])"
    arguments = [str(tmp_path / "b"), "compression", *words, "executor.type=inline"]
    folder = tmp_path / "b" / "train-compression"
    process = subprocess.Popen([sys.executable, "-c", program, *arguments])
    try:
        end = time.monotonic() + 60
        while not (folder / "checkpoints/last.pt").exists() and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    again = tunewright.train("compression", *words, "executor.type=inline", runs_dir=tmp_path / "b")
    states = [
        torch.load(run.folders[0].checkpoints / "last.pt", weights_only=True)
        for run in (whole, again)
    ]
    one, other = (state["task"] for state in states)
    assert one["scale_gammas"] == other["scale_gammas"]
    assert one["scale_losses"] == other["scale_losses"]
    assert torch.equal(one["task_weights"]["logits"], other["task_weights"]["logits"])
    for name, tensor in states[0]["model"].items():
        assert torch.equal(tensor, states[1]["model"][name]), name
    last = list(read_progress(whole.folders[0].progress))[-1].metrics
    weights = [last[f"task_weights/{task}"] for task in SCALE_TASKS]
    assert sum(weights) == pytest.approx(1.0)
    assert {"gamma_s1", "gamma_s2", "gamma_s3", "checkpoint/is_best"} <= last.keys()
    assert sum(last[f"train_{task}"] for task in SCALE_TASKS) == pytest.approx(last["train_loss"])
    attempts = json.loads((folder / "outcome.json").read_text())["attempt"]
    assert attempts == 2
