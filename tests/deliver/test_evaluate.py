"""Which run `evaluate` means."""

from pathlib import Path

import pytest

from tunewright.deliver.evaluate import find_run
from tunewright.errors import DataError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "train-flowers"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("recipe: flowers\n")
    (folder / "checkpoints" / "best.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize("name", ["train-flowers", "flowers"])
def test_by_its_name_or_that_of_its_recipe(run: Path, name: str) -> None:
    assert find_run(Path(name), run.parent).path == run


def test_by_its_folder_or_by_the_weights_in_it(run: Path, tmp_path: Path) -> None:
    assert find_run(run, tmp_path).path == run
    assert find_run(run / "checkpoints" / "best.safetensors", tmp_path).path == run


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no trained run in other"):
        find_run(Path("other"), tmp_path)
