"""`compress` and `decompress`: pictures to small files and back, by a run."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import tunewright
from tunewright.cli.application import app
from tunewright.deliver.compression.select_compressor import select_compressor
from tunewright.errors import DataError, UsageError
from tunewright.recipes.compression.config import HyperpriorConfig
from tunewright.recipes.compression.models.factory import make_compressor
from tunewright.runs.folder import RunFolder


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


def made_run(path: Path, *, seed: int = 0, executor: str = "inline") -> RunFolder:
    """A run whose compressor was not trained; it codes all the same."""
    section = HyperpriorConfig(channels=8, latent=12)
    torch.manual_seed(seed)
    model = make_compressor(section)
    for transform in (model.g_a, model.h_a):
        transform[-1].weight.data *= 8.0
    folder = RunFolder(path)
    folder.checkpoints.mkdir(parents=True)
    save_file(model.state_dict(), folder.checkpoints / "best.safetensors")
    tree = {"recipe": "compression", "model": section.model_dump()}
    folder.write_config(tree | {"executor": {"type": executor, "threads": 1}})
    return folder


def drawn(file: Path, width: int = 40, height: int = 30, mode: str = "RGB") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(file)
    return file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("compress")
    made_run(place / "runs" / "one")
    for number in range(3):
        drawn(place / "photos" / f"{number}.png", 30 + 17 * number)
    return place


def compressed(place: Path, *pictures: Path, **options):
    return tunewright.compress(
        *pictures, **({"run": "one", "runs_dir": place / "runs", "on_progress": quiet} | options)
    )


def decompressed(place: Path, *files: Path, **options):
    return tunewright.decompress(
        *files, **({"run": "one", "runs_dir": place / "runs", "on_progress": quiet} | options)
    )


def test_a_folder_there_and_back(place, tmp_path):
    found = compressed(place, place / "photos", output=tmp_path / "small")
    files = sorted((tmp_path / "small").iterdir())
    assert [file.name for file in files] == ["0.twc", "1.twc", "2.twc"]
    assert found.bytes == sum(file.stat().st_size for file in files)
    assert found.bpp == pytest.approx(8 * found.bytes / found.pixels)
    assert found.failed == {}
    json.dumps(found.as_json())
    back = decompressed(place, tmp_path / "small", output=tmp_path / "back")
    assert [Path(one["output"]).name for one in back.files] == ["0.png", "1.png", "2.png"]
    for one in back.files:
        with Image.open(one["output"]) as picture:
            assert picture.size == (one["width"], one["height"])
            assert picture.mode == "RGB"


def test_a_grey_picture_comes_back_grey(place, tmp_path):
    picture = drawn(tmp_path / "grey.png", mode="L")
    compressed(place, picture, output=tmp_path / "a.twc")
    decompressed(place, tmp_path / "a.twc", output=tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as found:
        assert (found.mode, found.size) == ("L", (40, 30))


@pytest.mark.slow
def test_another_process_reads_the_same_pixels(place, tmp_path):
    """The one of a run whose executor is not this process; values have a checksum besides."""
    made_run(place / "runs" / "other", executor="local")
    compressed(place, place / "photos" / "2.png", output=tmp_path / "a.twc")
    for run in ("one", "other"):
        decompressed(place, tmp_path / "a.twc", run=run, output=tmp_path / f"{run}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_of_several_the_broken_ones_are_named(place, tmp_path):
    drawn(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    found = compressed(place, tmp_path / "in", output=tmp_path / "out")
    assert list(found.failed) == [str(tmp_path / "in" / "bad.png")]
    assert [Path(one["output"]).name for one in found.files] == ["good.twc"]
    with pytest.raises(DataError, match=r"bad\.png is not a readable picture"):
        compressed(place, tmp_path / "in" / "bad.png", output=tmp_path / "a.twc")
    (tmp_path / "in" / "good.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of 2 files can be used"):
        compressed(place, tmp_path / "in", output=tmp_path / "new")


def test_a_file_of_another_run_is_refused(place, tmp_path):
    made_run(place / "runs" / "second", seed=5)
    compressed(place, place / "photos" / "0.png", output=tmp_path / "a.twc")
    with pytest.raises(DataError, match=r"a\.twc was written by the model .*second") as caught:
        decompressed(place, tmp_path / "a.twc", run="second", output=tmp_path / "a.png")
    assert "Name the run that wrote it" in str(caught.value)
    assert not (tmp_path / "a.png").exists()


def test_existing_files_are_kept(place, tmp_path):
    (tmp_path / "a.twc").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        compressed(place, place / "photos" / "0.png", output=tmp_path / "a.twc")
    assert (tmp_path / "a.twc").read_bytes() == b"mine"
    compressed(place, place / "photos" / "0.png", output=tmp_path / "a.twc", force=True)
    assert (tmp_path / "a.twc").read_bytes() != b"mine"


def test_the_run_that_is_meant(tmp_path):
    for age, name in enumerate(("new", "old")):
        weights = made_run(tmp_path / name).checkpoints / "best.safetensors"
        os.utime(weights, (1e9 - age, 1e9 - age))
    found = select_compressor(None, tmp_path)
    assert found.folder == tmp_path / "new"
    assert "using the newest run" in found.notes[0]
    assert select_compressor("old", tmp_path).folder == tmp_path / "old"
    assert select_compressor(tmp_path / "old" / "checkpoints" / "best.safetensors", tmp_path) == (
        select_compressor("old", tmp_path)
    )
    with pytest.raises(DataError, match="Train one first"):
        select_compressor(None, tmp_path / "gone")
    RunFolder(tmp_path / "old").write_config({"recipe": "quadratic"})
    with pytest.raises(DataError, match="quadratic does not compress pictures"):
        select_compressor("old", tmp_path)


def test_weights_of_another_model_are_refused(tmp_path, place):
    folder = made_run(tmp_path / "runs" / "one")
    tree = folder.read_config()
    tree["model"]["latent"] = 16
    folder.write_config(tree)
    with pytest.raises(DataError, match="does not fit the model of"):
        compressed(tmp_path, place / "photos" / "0.png", output=tmp_path / "a.twc")


def test_the_commands_print_what_was_done(place, tmp_path):
    runner = CliRunner()
    options = ["--run", "one", "--runs-dir", str(place / "runs")]
    args = ["compress", str(place / "photos"), "--output", str(tmp_path / "small"), *options]
    result = runner.invoke(app, args)
    assert result.exit_code == 0, result.output
    assert "3 compressed" in result.output
    assert "bits per pixel" in result.output
    args = ["decompress", str(tmp_path / "small"), "--output", str(tmp_path / "back"), *options]
    result = runner.invoke(app, args)
    assert result.exit_code == 0, result.output
    assert "3 decompressed" in result.output
    (tmp_path / "small" / "1.twc").write_bytes(b"")
    result = runner.invoke(app, [*args, "--force", "--json"])
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["failed"]) == 1


def test_decompress_finds_the_run_that_wrote_each_file(tmp_path):
    for number in range(3):
        made_run(tmp_path / "runs" / f"r{number}", seed=number)
    broken = made_run(tmp_path / "runs" / "broken").checkpoints / "best.safetensors"
    broken.write_bytes(b"damaged")
    picture = drawn(tmp_path / "in.png")
    for number in (0, 1):
        output = tmp_path / "small" / f"{number}.twc"
        compressed(tmp_path, picture, run=f"r{number}", output=output)
    found = decompressed(tmp_path, tmp_path / "small", run=None, output=tmp_path / "out")
    assert found.failed == {}
    assert len(found.files) == 2
    assert all(f"runs/r{number}" in found.notes[0] for number in (0, 1))
    alone = decompressed(
        tmp_path, tmp_path / "small" / "0.twc", run=None, output=tmp_path / "o.png"
    )
    assert alone.run == tmp_path / "runs" / "r0"
    compressed(tmp_path, picture, run="r2", output=tmp_path / "2.twc")
    (tmp_path / "runs" / "r2" / "config.yaml").unlink()
    with pytest.raises(DataError, match="was written by the model"):
        decompressed(tmp_path, tmp_path / "2.twc", run=None, output=tmp_path / "2.png")
