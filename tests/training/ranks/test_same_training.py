"""A training on two processes is that on one: losses, scores, weights."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from trained import Trained, configured, trained

from tunewright import job
from tunewright.training.ranks.team import RankTeam


@pytest.fixture(scope="module")
def team() -> Iterator[RankTeam]:
    team = RankTeam(job.serve_rank)
    yield team
    team.close()


def assert_same(several: Trained, one: Trained, tolerance: float = 1e-6) -> None:
    assert one.outcome.state == "done", one.outcome.reason
    assert several.outcome.state == "done", several.outcome.reason
    assert len(several.reports) == len(one.reports) > 0
    for found, expected in zip(several.reports, one.reports, strict=True):
        assert found.metrics == pytest.approx(dict(expected.metrics), rel=tolerance, abs=tolerance)
    for name, tensor in one.weights.items():
        gap = float((several.weights[name].double() - tensor.double()).abs().max())
        assert gap <= 2e-6 * max(1.0, float(tensor.double().abs().max())), (name, gap)


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
        ("model=mlp", "loss=softmax", "model.dropout=0.3", "training.clip_norm=0.5"),
        ("loss=queue", "loss.queue_size=500", "training.accumulate=2", "model=clip"),
    ],
    ids=["sigmoid", "softmax", "queue"],
)
def test_pairs(team: RankTeam, tmp_path: Path, words: tuple[str, ...]) -> None:
    compare(team, tmp_path, "pairs", *PAIRS, *words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("longtail", "training.accumulate=2", "data.weighted_sampler=true"),
        ("longtail", "training.clip_norm=1.0", "training.ema_decay=0.9", "model.dropout=0.2"),
        ("flowers", "training.epochs=1"),
    ],
    ids=["longtail", "longtail with dropout", "flowers"],
)
def test_pictures(team: RankTeam, tmp_path: Path, words: tuple[str, ...]) -> None:
    compare(team, tmp_path, *words, "training.layout=contiguous", "training.epochs=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [(), ("balance=famo",), ("balance=qp", "training.accumulate=2")],
    ids=["plain", "famo", "qp"],
)
def test_compression(team: RankTeam, tmp_path: Path, words: tuple[str, ...]) -> None:
    words = ("training.layout=contiguous", "training.epochs=1", "training.batch_size=8", *words)
    compare(team, tmp_path, "compression", *words)


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_retina(team: RankTeam, tmp_path: Path, accumulate: int) -> None:
    words = ("training.layout=contiguous", "training.epochs=1")
    compare(team, tmp_path, "retina", *words, f"training.accumulate={accumulate}")
