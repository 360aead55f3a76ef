"""A run measured through whole files: figures, files, and what is refused."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import tunewright
from tunewright import cli
from tunewright.config.compose import compose
from tunewright.deliver.evaluate import evaluate
from tunewright.errors import ConfigError, DataError, UsageError
from tunewright.recipes.compression.evaluation import evaluation, measure
from tunewright.recipes.compression.evaluation.classical_codecs import Classical
from tunewright.recipes.compression.models.factory import make_compressor
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder

JPEG = Classical("jpeg", "jpg", (5, 50, 90), {})


@pytest.fixture(autouse=True)
def one_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """JPEG alone: all three are most of the time of these tests."""
    for place in ("classical_codecs", "evaluation"):
        monkeypatch.setattr(
            f"tunewright.recipes.compression.evaluation.{place}.available", lambda: (JPEG,)
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose weights are as they are drawn, and pictures."""
    place = tmp_path_factory.mktemp("compressor")
    small = ["model=hyperprior", "model.channels=4", "model.latent=8", "executor.type=inline"]
    composed = compose(find_recipe("compression"), [*small, "loss.quality=2"])
    folder = RunFolder(place / "runs" / "tiny")
    folder.checkpoints.mkdir(parents=True)
    folder.write_config(composed.tree)
    torch.manual_seed(0)
    model = make_compressor(composed.config.model)
    save_file(model.state_dict(), folder.checkpoints / "best.safetensors")
    draw(place / "photos" / "a.png", 50, 70)
    draw(place / "photos" / "deep" / "b.png", 64, 33, grey=True)
    return place


def draw(file: Path, height: int, width: int, *, grey: bool = False) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    down, right = np.mgrid[0:height, 0:width]
    rng = np.random.default_rng(height)
    pixels = 120 + 80 * np.sin(down / 9)[..., None] + right[..., None] / 2
    pixels = pixels + rng.normal(0, 5, (height, width, 1 if grey else 3))
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if grey else pixels).save(file)


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_on_a_folder(place: Path) -> None:
    told: list[tuple[str, int, int]] = []
    measured = tunewright.evaluate(
        "tiny",
        data=place / "photos",
        runs_dir=place / "runs",
        on_progress=lambda *report: told.append(report),
    )
    folder, found = measured.folder, measured.figures
    assert told == [("compressing, decompressing, comparing", n, 2) for n in (0, 1)]
    assert json.loads((folder.path / "evaluation.json").read_text()) == found
    assert (found["images"], found["split"], found["lmbda"]) == (2, "photos", 0.0035)
    assert found["model"] == "hyperprior-4-8"
    rows = found["per_image"]
    assert [row["name"] for row in rows] == ["a.png", "deep/b.png"]
    for row in rows:
        pixels = row["width"] * row["height"]
        assert row["bpp"] == 8 * row["bytes"] / pixels
        assert row["bpp_estimated"] == sum(row["estimated_bits"].values()) / pixels
        assert sum(row["real_bits"].values()) <= 8 * row["bytes"]
        assert row["encode_seconds"] > 0
        assert row["decode_seconds"] > row["decode_coder_seconds"] > 0
        assert "ms_ssim" not in row
    for key in ("bpp", "psnr", "encode_seconds"):
        assert found["metrics"][key] == pytest.approx(np.mean([row[key] for row in rows]))
    assert found["bpp"] == found["metrics"]["bpp"]
    assert found["bpp_interval"][0] <= found["bpp"] <= found["bpp_interval"][1]
    assert found["classical"]["jpeg"]["quality"] == [5, 50, 90]
    assert "threads" in found["notes"][0]
    assert [note for note in found["notes"] if "no MS-SSIM" in note]
    assert found["files"] == ["evaluation.json", "rate-distortion.html", "rate-distortion.svg"]
    assert all((folder.path / name).exists() for name in found["files"])


def test_its_point_is_read_by_bd_rate(place: Path) -> None:
    found = evaluate("tiny", data=place / "photos", runs=place / "runs").figures
    stored = place / "runs" / "tiny" / "evaluation.json"
    other = {"bpp": found["bpp"] * 2, "psnr": found["psnr"] + 3, "digest": found["digest"]}
    (place / "runs" / "more").mkdir()
    (place / "runs" / "more" / "evaluation.json").write_text(json.dumps(other))
    both = tunewright.bd_rate(place / "runs", place / "runs")
    assert both.bd_rate == pytest.approx(0.0, abs=1e-9)
    assert tunewright.bd_rate(f"{stored}:jpeg", f"{stored}:jpeg").bd_psnr == 0.0


def test_by_the_command(place: Path, monkeypatch: Any, capsys: Any) -> None:
    words = ["evaluate", "tiny", "--data", str(place / "photos" / "a.png")]
    monkeypatch.setattr(sys, "argv", ["tunewright", *words, "--runs-dir", str(place / "runs")])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out = capsys.readouterr().out
    assert not caught.value.code
    assert "a.png, 1 images" in out
    assert "70 x 50" in out
    assert "bpp_estimated" in out
    assert "rate-distortion.html" in out


@pytest.mark.slow
def test_a_process_of_its_own_measures_the_same(place: Path) -> None:
    told: list[int] = []
    measured = evaluate("tiny", data=place / "photos", runs=place / "runs")
    folder, here = measured.folder, measured.figures
    tree = folder.read_config()
    tree["executor"] = {**tree["executor"], "type": "local"}
    folder.write_config(tree)
    there = evaluate(
        folder.path,
        data=place / "photos",
        on_progress=lambda _what, done, _total: told.append(done),
    ).figures
    assert told == [0, 1]
    assert (there["bpp"], there["psnr"], there["digest"]) == (
        here["bpp"],
        here["psnr"],
        here["digest"],
    )


def test_jpeg_files_are_told(place: Path) -> None:
    draw(place / "photos" / "c.jpg", 40, 40)
    found = evaluate("tiny", data=place / "photos", runs=place / "runs").figures
    assert [note for note in found["notes"] if note.startswith("1 of 3 pictures are JPEG files")]


def test_without_data_its_own_validation_photographs(place: Path) -> None:
    measured = evaluate("tiny", runs=place / "runs")
    folder, found = measured.folder, measured.figures
    assert (found["split"], found["images"]) == ("valid", 6)
    assert found["data"] is None
    again = evaluate("tiny", split="valid", runs=place / "runs").figures
    assert again["files"][0] == "evaluation-valid.json"
    assert again["bpp"] == found["bpp"]
    assert again["digest"] == found["digest"]
    with pytest.raises(ConfigError, match="one of train, valid"):
        evaluate(folder.path, split="test", runs=place / "runs")


def test_kodak_has_published_curves_beside_it(place: Path) -> None:
    kodak = place / "kodak"
    draw(kodak / "kodim05.png", 170, 180)
    measured = evaluate("tiny", data=kodak, runs=place / "runs")
    folder, found = measured.folder, measured.figures
    assert [note for note in found["notes"] if "of which 1 are measured here" in note]
    assert "HPCM-Base (published)" in (folder.path / "rate-distortion.svg").read_text()
    assert 0 < found["ms_ssim"] <= 1
    assert "ms_ssim" in found["classical"]["jpeg"]


def test_a_file_above_its_estimate_is_a_warning(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunewright.recipes.compression.codec.codec.ALLOWED", (0.0, 0.0))
    found = evaluate("tiny", data=place / "photos" / "a.png", runs=place / "runs").figures
    assert len([note for note in found["notes"] if note.startswith("a.png: the stream")]) == 2
    monkeypatch.setattr(measure, "NAMED_AT_MOST", 3)
    found = evaluate("tiny", data=place / "photos", runs=place / "runs").figures
    assert "and 1 more streams exceed their estimates in the same way" in found["notes"]


def test_what_cannot_be_measured(place: Path) -> None:
    runs = place / "runs"
    (place / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        evaluate("tiny", data=place / "empty", runs=runs)
    with pytest.raises(DataError, match="cannot be opened"):
        evaluate("tiny", data=place / "none", runs=runs)
    (place / "empty" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png"):
        evaluate("tiny", data=place / "empty", runs=runs)
    with pytest.raises(UsageError, match="one of them"):
        evaluate("tiny", split="valid", data=place / "photos", runs=runs)


def test_other_recipes_have_no_data_option(tmp_path: Path) -> None:
    composed = compose(find_recipe("pairs"), ["executor.type=inline"])
    folder = RunFolder(tmp_path / "pairs")
    folder.checkpoints.mkdir(parents=True)
    folder.write_config(composed.tree)
    with pytest.raises(UsageError, match=r"run of pairs.*--split"):
        evaluate(folder.path, data=tmp_path)


def test_many_photographs_are_a_few_evenly_spaced(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "OWN", 2)
    monkeypatch.setattr(evaluation, "SIDE", 100)
    found = evaluate("tiny", split="valid", runs=place / "runs").figures
    assert found["notes"][0] == "2 of 6 photographs"
    names = [row["name"] for row in found["per_image"]]
    assert names[0] != names[1]
    assert {(row["width"], row["height"]) for row in found["per_image"]} == {(100, 100)}


def test_figures_of_other_pictures_are_kept_under_their_name(place: Path) -> None:
    run = place / "runs" / "tiny"
    for name in ("kodak", "more/kodak", "tecnick"):
        draw(place / name / "a.png", 50, 40 + len(name))
    evaluate("tiny", runs=place / "runs")
    for name in ("kodak", "more/kodak", "kodak", "tecnick"):
        evaluate("tiny", data=place / name, runs=place / "runs")
    kept = {file.name: json.loads(file.read_text()) for file in run.glob("evaluation*.json")}
    assert {name: found["data"] and Path(found["data"]).name for name, found in kept.items()} == {
        "evaluation.json": "tecnick",
        "evaluation-valid.json": None,
        "evaluation-kodak.json": "kodak",
        "evaluation-kodak-2.json": "kodak",
    }
    assert kept["evaluation-kodak.json"]["data"] == str(place / "kodak")
    assert all((run / file).exists() for found in kept.values() for file in found["files"])


def test_pictures_that_a_training_takes_are_measured(place: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = b"".join(b"\0" + bytes(range(6)) * 64 for _ in range(64))  # 64 x 64, 16 bits a channel
    header = struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)
    deep = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (place / "photos" / "deep16.png").write_bytes(b"\x89PNG\r\n\x1a\n" + deep)
    found = evaluate("tiny", data=place / "photos", runs=place / "runs")
    assert found.figures["images"] == 3
    assert any("upper 8 of 16 bits" in note for note in found.notes)
    (place / "photos" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.jpg is not a readable picture"):
        evaluate("tiny", data=place / "photos", runs=place / "runs")
    folder = RunFolder(place / "runs" / "tiny")
    tree = folder.read_config()
    folder.write_config({**tree, "data": {**tree["data"], "skip_bad": True}})
    found = evaluate("tiny", data=place / "photos", runs=place / "runs")
    assert found.figures["images"] == 3
    assert any("broken.jpg is left out" in note for note in found.notes)
