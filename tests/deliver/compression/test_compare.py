"""Runs beside classical codecs on sets of pictures: points, BD-rates, the cache, wrong words."""

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
from tunewright.errors import DataError, UsageError
from tunewright.recipes.compression.evaluation import measure, measure_sets
from tunewright.recipes.compression.evaluation.classical_codecs import Classical
from tunewright.recipes.compression.models.factory import make_compressor
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder

JPEG = Classical("jpeg", "jpg", (5, 25, 50, 75, 95), {})


def draw(file: Path, height: int, width: int, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[0:height, 0:width]
    plane = 120 + 80 * np.sin(down / 9 + seed)[..., None] + right[..., None] / 2
    pixels = plane + rng.normal(0, 5, (height, width, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of one model with the weights that are drawn, scaled, and two sets of pictures."""
    place = tmp_path_factory.mktemp("compare")
    small = ["model=hyperprior", "model.channels=4", "model.latent=8", "executor.type=inline"]
    for quality in (1, 3, 5):
        composed = compose(find_recipe("compression"), [*small, f"loss.quality={quality}"])
        folder = RunFolder(place / "runs" / f"q{quality}")
        folder.checkpoints.mkdir(parents=True)
        folder.write_config(composed.tree)
        torch.manual_seed(0)
        state = make_compressor(composed.config.model).state_dict()
        for name in list(state):
            if name.startswith("g_a.") and name.endswith("weight"):
                state[name] = state[name] * (1.0 + 0.15 * quality)
        save_file(state, folder.checkpoints / "best.safetensors")
    for name, count in (("kodak", 3), ("clic", 2)):
        for number in range(count):
            draw(place / name / f"{number}.png", 48 + 8 * number, 64, number)
    return place


@pytest.fixture(autouse=True)
def one_codec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measure_sets, "available", lambda: (JPEG,))
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))


def compared(made: Path, output: Path, *runs: str, **options: Any) -> Any:
    given = {"data": [made / "kodak", made / "clic"], "output": output, **options}
    return tunewright.compare(*(runs or ("q*",)), runs_dir=made / "runs", **given)


def test_each_set_has_all_curves(made: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = compared(made, tmp_path / "out", on_progress=lambda *report: told.append(report))
    assert [(one.name, one.images) for one in found.sets] == [("kodak", 3), ("clic", 2)]
    assert told[-1] == ("comparing", 20, 20)  # 5 pictures by 3 runs and by the codecs
    assert ("reading pictures", 3, 3) in told
    counted = [done for what, done, _ in told if what == "comparing"]
    assert counted == sorted(counted)
    kodak = found.sets[0]
    ours, jpeg = kodak.curves[0], next(c for c in kodak.curves if c.name == "JPEG")
    assert (ours.name, ours.kind) == ("hyperprior-4-8", "run")
    assert [point["point"] for point in ours.points] == [
        "lambda 0.0018",
        "lambda 0.0067",
        "lambda 0.025",
    ]
    for point in ours.points:
        assert point["bpp"] > 0
        assert point["bpp_estimated"] > 0
    assert [point["point"] for point in jpeg.points] == [f"quality {q}" for q in JPEG.qualities]
    assert (jpeg.bd_rate, jpeg.why) == (None, "the anchor")
    assert any(curve.name == "JPEG 2000" for curve in kodak.curves)
    assert kodak.absent["BPG"].startswith("not measured: bpgenc and bpgdec")
    stored = json.loads((tmp_path / "out" / "kodak" / "comparison.json").read_text())
    assert (stored["anchor"], stored["method"], stored["images"]) == ("JPEG", "akima", 3)
    assert {file.name for file in (tmp_path / "out" / "clic").iterdir()} == {
        "comparison.json",
        "rate-distortion.html",
        "rate-distortion.svg",
    }


def test_a_second_call_measures_nothing_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compared(made, tmp_path / "out")
    coded: list[str] = []
    monkeypatch.setattr(measure, "_measure_picture", lambda _o, name, _p: coded.append(name))
    monkeypatch.setattr(Classical, "encode", lambda *_: coded.append("jpeg") or (9, np.zeros(3)))
    again = compared(made, tmp_path / "again")
    assert set(coded) <= {"jpeg"}  # JPEG 2000 is tried once on 8 x 8 pixels
    assert len(coded) == 2
    assert [one.curves for one in again.sets] == [one.curves for one in first.sets]


def test_what_was_stopped_goes_on(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, coded = measure._measure_picture, []

    def stop(opened: Any, name: str, picture: Any) -> Any:
        if len(coded) == 2:
            raise KeyboardInterrupt
        coded.append(name)
        return real(opened, name, picture)

    monkeypatch.setattr(measure, "_measure_picture", stop)
    with pytest.raises(KeyboardInterrupt):
        compared(made, tmp_path / "out", "q1", data=[made / "kodak"])
    monkeypatch.setattr(
        measure, "_measure_picture", lambda *given: coded.append(given[1]) or real(*given)
    )
    compared(made, tmp_path / "out", "q1", data=[made / "kodak"])
    assert coded == ["0.png", "1.png", "2.png"]


def test_a_damaged_cache_is_measured_again(made: Path, tmp_path: Path) -> None:
    first = compared(made, tmp_path / "out", "q1", data=[made / "clic"])
    files = sorted((tmp_path / "cache" / "compressed").rglob("*.json"))
    assert len(files) == 2
    files[0].write_text('{"row": {"bpp": 1}, "notices": []}')
    files[1].write_text('{"row"')
    again = compared(made, tmp_path / "out", "q1", data=[made / "clic"])
    assert again.sets[0].curves == first.sets[0].curves


def test_named_curves_are_compared_with_each_other(made: Path, tmp_path: Path) -> None:
    found = compared(
        made, tmp_path, "plain=q*", "again=q*", anchor="plain", data=[made / "kodak"]
    ).sets[0]
    again = found.curves[1]
    assert again.name == "again"
    assert again.bd_rate == pytest.approx(0.0, abs=1e-9)
    assert again.interval is None  # the same weights: each draw gives 0
    assert again.why == "all pictures give the same difference"


def test_one_lambda_twice_is_noticed(made: Path, tmp_path: Path) -> None:
    found = compared(made, tmp_path, "q1", "q1", data=[made / "clic"])
    assert any("2 runs and 1 lambdas: name the curves" in note for note in found.sets[0].notes)
    assert "fewer than two points" in found.sets[0].curves[0].why


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"anchor": "hvec"}, "--anchor hvec"),
        ({"anchor": "BPG"}, "--anchor BPG, not measured: bpgenc"),
        ({"method": "spline"}, "--method spline"),
        ({"metric": "vmaf"}, "--metric vmaf"),
        ({"data": []}, "no --data"),
    ],
)
def test_wrong_words(made: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compared(made, tmp_path, **options)


def test_what_is_not_there(made: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run matches"):
        compared(made, tmp_path, "x*")
    with pytest.raises(DataError, match="does not exist"):
        compared(made, tmp_path, data=[made / "tecnick"])


@pytest.fixture
def damaged(made: Path, tmp_path: Path) -> Path:
    """A set of three pictures and two that cannot be read."""
    folder = tmp_path / "damaged"
    shutil.copytree(made / "kodak", folder)
    whole = (folder / "1.png").read_bytes()
    (folder / "1 cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.png").write_text("no picture")
    return folder


def test_unreadable_pictures_are_named_before_anything_is_measured(
    made: Path, tmp_path: Path, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_measure_picture", lambda *_: pytest.fail("was measured"))
    with pytest.raises(DataError, match=r"2 of 5 pictures of .*damaged cannot be read") as caught:
        compared(made, tmp_path / "out", data=[made / "clic", damaged])
    assert "1 cut.png" in str(caught.value)
    assert "notes.png" in str(caught.value)
    assert "--skip-bad" in str(caught.value)


def test_unreadable_pictures_are_left_out_of_every_curve(
    made: Path, tmp_path: Path, damaged: Path
) -> None:
    whole = compared(made, tmp_path / "whole", data=[made / "kodak"]).sets[0]
    rest = compared(made, tmp_path / "out", data=[damaged], skip_bad=True).sets[0]
    assert (rest.images, rest.digest, rest.curves) == (3, whole.digest, whole.curves)
    assert sorted(rest.skipped) == ["1 cut.png", "notes.png"]
    assert rest.notes[0] == (
        "2 pictures are left out of damaged as unreadable (1 cut.png, notes.png)"
    )
    stored = json.loads((tmp_path / "out" / "damaged" / "comparison.json").read_text())
    assert stored["skipped"] == dict(rest.skipped)
    assert whole.skipped == {}


def test_a_set_without_a_readable_picture_is_refused(
    made: Path, tmp_path: Path, damaged: Path
) -> None:
    for file in damaged.glob("[0-2].png"):
        file.unlink()
    with pytest.raises(DataError, match="2 of 2 pictures") as caught:
        compared(made, tmp_path / "out", data=[damaged], skip_bad=True)
    assert "--skip-bad" not in str(caught.value)


def test_by_the_command(made: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    words = ["compare", "q*", "--data", str(made / "kodak"), "--data", str(made / "clic")]
    words += ["--output", str(tmp_path / "out"), "--runs-dir", str(made / "runs")]
    monkeypatch.setattr(sys, "argv", ["tunewright", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out = capsys.readouterr().out
    assert not caught.value.code
    assert "kodak, 3 pictures" in out
    assert "clic, 2 pictures" in out
    assert "BD-rate against JPEG, by PSNR (akima)" in out
    assert "not measured: bpgenc and bpgdec" in out
