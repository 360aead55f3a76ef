"""A training on two processes is that on one: losses, scores, weights."""

from pathlib import Path

import pytest
from trained import Trained, configured, trained

from tunewright.training.ranks.team import RankTeam

SMOOTH = ("loss", "bpp", "distortion", "mse", "temperature", "task_weights")
"""Words in the names of metrics that are no counts of rows."""


def assert_same(several: Trained, one: Trained) -> None:
    """Equal losses to 1e-6; ranks and hits may differ by one where two are equal but for that."""
    assert one.outcome.state == "done", one.outcome.reason
    assert several.outcome.state == "done", several.outcome.reason
    assert len(several.reports) == len(one.reports) > 0
    for found, expected in zip(several.reports, one.reports, strict=True):
        assert found.metrics.keys() == expected.metrics.keys()
        for name, value in expected.metrics.items():
            same = {"rel": 1e-6} if any(word in name for word in SMOOTH) else {"abs": 5e-3}
            assert found.metrics[name] == pytest.approx(value, **same), name
    for name, tensor in one.weights.items():
        gap = float((several.weights[name].double() - tensor.double()).abs().max())
        assert gap <= 1e-5 * max(1.0, float(tensor.double().abs().max())), (name, gap)


def compare(team: RankTeam, path: Path, recipe: str, *words: str) -> Trained:
    one = trained(configured(path / "one", recipe, *words), 1)
    two = trained(configured(path / "two", recipe, *words), 2, team)
    assert_same(two, one)
    return two


PAIRS = ("training.epochs=2", "training.batch_size=300", "model.output_dim=16")


@pytest.mark.parametrize(
    "words",
    [
        ("loss=sigmoid", "training.accumulate=2", "training.ema_decay=0.9"),
        pytest.param(
            ("model=mlp", "loss=softmax", "model.dropout=0.3", "training.clip_norm=0.5"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("loss=queue", "loss.queue_size=500", "training.accumulate=2", "model=clip"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["sigmoid", "softmax", "queue"],
)
def test_pairs(team: RankTeam, tmp_path: Path, words: tuple[str, ...]) -> None:
    compare(team, tmp_path, "pairs", *PAIRS, *words)


ROUNDING = ("optim=sgd", "optim.momentum=0.9", "training.layout=contiguous")
"""AdamW divides a gradient by its size: where one is zero but for rounding, as that of a bias
before a batch norm, it makes steps of the rounding, on one process as on several."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("longtail", "training.accumulate=2", "data.weighted_sampler=true"),
        ("longtail", "training.clip_norm=1.0", "training.ema_decay=0.9", "model.dropout=0.2"),
        ("flowers", "model.name=test_resnet", "data.image_size=32", "augmentation=light"),
    ],
    ids=["longtail", "longtail with dropout", "flowers"],
)
def test_pictures(team: RankTeam, tmp_path: Path, words: tuple[str, ...]) -> None:
    compare(team, tmp_path, *words, *ROUNDING, "optim.lr=1e-3", "training.epochs=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [(), ("balance=famo",), ("balance=qp", "training.accumulate=2")],
    ids=["plain", "famo", "qp"],
)
def test_compression(team: RankTeam, tmp_path: Path, words: tuple[str, ...]) -> None:
    small = (
        "model=hyperprior",
        "model.channels=8",
        "model.latent=12",
        "data.crop=64",
        "data.crops_per_photo=8",
        "training.batch_size=8",
    )
    words = (*small, *ROUNDING, "optim.lr=1e-6", "training.epochs=1", *words)
    compare(team, tmp_path, "compression", *words)


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_retina(team: RankTeam, tmp_path: Path, accumulate: int) -> None:
    small = ("data.image_size=32", "model.embed_dim=16", "model.text_width=16")
    words = (*small, *ROUNDING, "optim.lr=1e-4", "training.epochs=1", "training.batch_size=32")
    compare(team, tmp_path, "retina", *words, f"training.accumulate={accumulate}")
