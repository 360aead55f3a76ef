"""`lr_find`: a sweep from a configuration to its files."""

import json
from collections.abc import Iterator

import pytest
import torch

from tunewright.config.compose import Composition, compose
from tunewright.deliver.lr_find import lr_find
from tunewright.errors import ConfigError, UsageError
from tunewright.recipes.registry import find_recipe

SMALL = ("training.batch_size=32", "executor.threads=1")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many here as there, and a network this small only waits for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def composed(*overrides: str) -> Composition:
    return compose(find_recipe("blobs"), [*SMALL, *overrides])


def test_it_writes_the_curve_and_returns_what_it_wrote(tmp_path):
    made = composed("executor.type=inline")
    before = torch.get_rng_state()
    result = lr_find(find_recipe("blobs"), made, runs=tmp_path, low=1e-6, high=1.0, steps=30)
    assert torch.equal(torch.get_rng_state(), before)
    folder = tmp_path / "lr-find-blobs"
    assert result.folder == folder
    assert all((folder / name).exists() for name in result.files)
    stored = json.loads((folder / "lr_curve.json").read_text())
    assert stored | {"folder": str(folder), "files": list(result.files)} == result.as_json()
    assert stored["rates"][0] == pytest.approx(1e-6)
    assert stored["lr"] == made.config.optim.lr
    page = (folder / "lr_curve.html").read_text()
    assert "learning rate" in page
    assert "optim.lr now" in page
    assert ("no suggestion" in page) == (stored["suggestions"] is None)


def test_a_process_of_its_own_gives_the_same_curve_bit_for_bit(tmp_path):
    here, there = (
        lr_find(
            find_recipe("blobs"),
            composed(f"executor.type={kind}"),
            runs=tmp_path / kind,
            steps=30,
        )
        for kind in ("inline", "local")
    )
    assert there.losses == here.losses
    assert there.smoothed == here.smoothed


def test_it_starts_from_the_weights_of_the_run(tmp_path):
    """The first loss is that of the seed, whatever was drawn before."""
    first = []
    for seed in (1, 1, 2):
        torch.rand(5)
        made = composed("executor.type=inline", f"seed={seed}")
        first.append(lr_find(find_recipe("blobs"), made, runs=tmp_path, steps=20).losses[0])
    assert first[0] == first[1] != first[2]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"low": 1.0, "high": 0.1}, "0 < low < high"),
        ({"low": 0.0}, "0 < low < high"),
        ({"low": float("nan")}, "0 < low < high"),
        ({"high": float("inf")}, "0 < low < high"),
        ({"steps": 5}, "at least 20"),
    ],
)
def test_a_range_that_cannot_be_swept_is_refused(tmp_path, options, text):
    with pytest.raises(UsageError, match=text):
        lr_find(find_recipe("blobs"), composed(), runs=tmp_path, **options)


def test_a_recipe_without_the_trainer_is_refused(tmp_path):
    recipe = find_recipe("quadratic")
    with pytest.raises(ConfigError, match="brings its own training"):
        lr_find(recipe, compose(recipe), runs=tmp_path)
