"""`bd-rate`: what names a curve, what is refused, and what the command prints."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunewright
from tunewright import cli
from tunewright.deliver.compression.bd_rate import bd_rate
from tunewright.deliver.compression.rate_curves import find_curve
from tunewright.errors import DataError, UsageError

BASE = {
    "bpp": [0.1211, 0.1757, 0.2729, 0.4125, 0.5898, 0.8209],
    "psnr": [29.4022, 30.7547, 32.4012, 34.2063, 36.0145, 37.7525],
}
LARGE = {
    "bpp": [0.0951, 0.1537, 0.2438, 0.3778, 0.5516, 0.7843],
    "psnr": [28.9135, 30.4490, 32.1219, 33.9923, 35.8511, 37.7480],
}


def written(file: Path, value: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))
    return file


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four evaluated runs in a folder, and one of other pictures beside it."""
    jpeg = {"bpp": [0.2, 0.4, 0.8, 1.6], "psnr": [28.0, 31.0, 34.0, 37.0], "settings": "Pillow"}
    for index, (bpp, psnr) in enumerate([(0.4, 33.0), (0.1, 28.0), (0.2, 30.5), (0.8, 36.0)]):
        stored = {"bpp": bpp, "psnr": psnr, "ms_ssim": 1.0 - 0.01 / bpp, "digest": "d"}
        written(
            tmp_path / "runs" / f"hpcm-{index}" / "evaluation.json",
            {**stored, "model": "HPCM-tiny", "classical": {"jpeg": jpeg}, "published": "kodak"},
        )
    written(tmp_path / "other" / "evaluation.json", {"bpp": 0.3, "psnr": 32.0, "digest": "others"})
    return tmp_path / "runs"


def typed(monkeypatch: Any, capsys: Any, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tunewright", "bd-rate", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_files_of_lists(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    anchor, test = (
        str(written(tmp_path / f"{name}.json", curve))
        for name, curve in (("base", BASE), ("large", LARGE))
    )
    code, out, _ = typed(monkeypatch, capsys, anchor, test)
    assert code == 0
    assert "BD-rate  -4.273 % (the test needs 4.273 % fewer bits at equal PSNR)" in out
    assert "BD-PSNR  +0.1863 dB at equal rate" in out
    assert "method   akima, over 29.40 to 37.75 dB (94% of what either reaches)" in out
    code, out, _ = typed(monkeypatch, capsys, anchor, test, "--method", "cubic", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["bd_rate"] == pytest.approx(-4.354960849295519)
    assert (found["method"], found["metric"], found["notices"]) == ("cubic", "psnr", [])
    assert found["overlap"]["high"] == 37.748
    assert found["test"]["bpp"] == LARGE["bpp"]


def test_the_function_takes_lists_and_published_curves() -> None:
    found = tunewright.bd_rate("published:HPCM-Base@kodak", LARGE, method="pchip")
    assert found.bd_rate == pytest.approx(-4.2648734062045275)
    assert "LIC-HPCM" in found.notices[0]
    arrays = {key: np.array(values, np.float32) for key, values in LARGE.items()}
    assert tunewright.bd_rate(BASE, arrays).bd_rate == pytest.approx(-4.273, abs=1e-3)


def test_no_overlap_is_said_and_is_no_success(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    anchor = str(written(tmp_path / "a.json", BASE))
    better = {**BASE, "psnr": [value + 20 for value in BASE["psnr"]]}
    test = str(written(tmp_path / "b.json", better))
    code, out, _ = typed(monkeypatch, capsys, anchor, test)
    assert code == 1
    assert "note: no overlap: the anchor reaches 29.4 to 37.75 dB" in out
    assert "BD-rate  " not in out
    code, out, _ = typed(monkeypatch, capsys, anchor, test, "--json")
    assert (code, json.loads(out)["bd_rate"]) == (1, None)


@pytest.mark.parametrize("named", ["runs", "runs/hpcm-*", "hpcm-*"])
def test_evaluated_runs_are_points(runs: Path, named: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(runs.parent)
    found = find_curve(named)
    assert found.curve.bpp == (0.1, 0.2, 0.4, 0.8)
    assert found.curve.quality == (28.0, 30.5, 33.0, 36.0)
    assert found.digest == "d"
    absolute = find_curve(str(runs / "hpcm-[0-2]"))
    assert absolute.curve.bpp == (0.1, 0.2, 0.4)


def test_beside_the_classical_codec_that_was_measured_with_them(runs: Path) -> None:
    jpeg = f"{runs}/hpcm-0/evaluation.json:jpeg"
    found = bd_rate(jpeg, runs)
    assert found.bd_rate < -30.0
    assert found.notices == ()
    with pytest.raises(DataError, match=r"no codec 'avif'.*jpeg"):
        bd_rate(f"{runs}/hpcm-0/evaluation.json:avif", runs)


def test_both_are_drawn_with_what_was_measured_beside_them(
    runs: Path, monkeypatch: Any, capsys: Any
) -> None:
    picture, page = runs.parent / "new" / "rd.svg", runs.parent / "new" / "rd.html"
    jpeg = f"{runs}/hpcm-0/evaluation.json:jpeg"
    code, out, _ = typed(monkeypatch, capsys, jpeg, str(runs), "--plot", str(picture))
    assert code == 0
    assert str(picture) in out
    drawn = picture.read_text()
    for name in ("HPCM-tiny, 4 runs", "JPEG", "HPCM-Large (published)"):
        assert drawn.count(f">{name}<") == 1
    bd_rate(runs, LARGE, plot=page)
    assert "HPCM-tiny, 4 runs" in page.read_text()
    with pytest.raises(UsageError, match=r"ends in \.html or \.svg"):
        bd_rate(runs, LARGE, plot=runs / "plot.pdf")


def test_ms_ssim_is_compared_in_decibels(runs: Path) -> None:
    found = find_curve(runs, metric="ms_ssim")
    assert found.curve.quality[0] == pytest.approx(10.0)  # 1 - .01 / .1
    given = {"bpp": [0.1, 0.2], "ms_ssim": [11.0, 12.0]}
    assert "read as decibels" in find_curve(given, metric="ms_ssim").notices[0]
    with pytest.raises(DataError, match="not both"):
        find_curve({"bpp": [0.1, 0.2], "ms_ssim": [0.9, 12.0]}, metric="ms_ssim")


def test_points_of_different_pictures_are_no_curve(runs: Path) -> None:
    with pytest.raises(DataError, match="different pictures"):
        find_curve(runs.parent / "*" / "**")
    with pytest.raises(DataError, match=r"other/evaluation.json is one point"):
        find_curve(runs.parent / "other" / "evaluation.json")
    with pytest.raises(DataError, match="is one point"):
        find_curve(runs.parent / "other")
    other = {**LARGE, "digest": "others"}
    assert "different pictures" in bd_rate(runs, other).notices[-1]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"bpp": [0.1, 0.2]}, "no list 'psnr' among 'bpp'"),
        ({"bpp": [0.1, 0.2], "psnr": [30, None]}, r"psnr\[1\] = None"),
        ({"bpp": [0.1, 0.2], "psnr": "3031"}, "no list 'psnr'"),
        ({"psnr": 3}, "no 'bpp'"),
        ([1], "holds no JSON object"),
    ],
)
def test_files_that_are_no_curve(tmp_path: Path, value: object, said: str) -> None:
    file = written(tmp_path / "a.json", value)
    with pytest.raises(DataError, match=said) as caught:
        bd_rate(file, LARGE)
    assert "a.json" in str(caught.value)


def test_what_is_not_there(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    (tmp_path / "a.json").write_text('{"bpp": [0.1,')
    with pytest.raises(DataError, match="not readable as JSON"):
        find_curve(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"bpp": [0.1, 0.2],\n "psnr": [30, Infinity]}')
    with pytest.raises(DataError, match=r"not readable as JSON \(Infinity .* line 2"):
        find_curve(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"no evaluation.json in"):
        find_curve(tmp_path)
    code, _, err = typed(monkeypatch, capsys, str(tmp_path / "none.json"), "x")
    assert code == 2
    assert "does not exist" in err
    with pytest.raises(UsageError, match="Did you mean 'published:hpcm-large@kodak'"):
        bd_rate("published:hpcm-larg@kodak", LARGE)
    with pytest.raises(UsageError, match="no other was published"):
        find_curve("published:hpcm-base@clic", metric="ms_ssim")
    with pytest.raises(UsageError, match="one of akima, pchip, cubic"):
        bd_rate(BASE, LARGE, method="spline")
    with pytest.raises(UsageError, match="one of psnr, ms_ssim"):
        bd_rate(BASE, LARGE, metric="vmaf")
