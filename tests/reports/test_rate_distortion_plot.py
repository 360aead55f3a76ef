"""The rate-distortion plot, as a page and as a picture."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tunewright.reports.rate_distortion import (
    MS_SSIM,
    PSNR,
    PlotCurve,
    rate_distortion_svg,
    write_rate_distortion,
)

CURVES = [
    PlotCurve("ours & theirs", (0.2, 0.4, 0.8), (28.0, 30.5, 33.0)),
    PlotCurve("JPEG", (0.3, 0.6, 4.0), (27.0, 30.0, 45.0), "classical", "Pillow"),
    PlotCurve("HPCM", (0.1, 0.5), (29.0, 35.0), "published", "a paper"),
]
SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_shows_what_lies_around_the_run() -> None:
    root = ET.fromstring(rate_distortion_svg(CURVES, axis=PSNR, title="a < b"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a < b", "bits per pixel", PSNR, "ours & theirs", "JPEG", "HPCM"} <= set(texts)
    assert "45" not in texts  # JPEG's last point is far to the right
    assert {"0.2", "0.4", "28", "32"} <= set(texts)
    lines = root.findall(f".//{SVG}polyline")
    assert [line.get("stroke-dasharray") for line in lines] == [None, None, "2 4"]
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for x, y in (point.split(",") for point in lines[0].get("points", "").split()):
        assert 0 < float(x) < width
        assert 0 < float(y) < height


def test_a_single_point_has_room_around_it() -> None:
    root = ET.fromstring(rate_distortion_svg([PlotCurve("one", (0.05,), (25.0,))]))
    assert len(root.findall(f".//{SVG}circle")) == 1


def test_the_page_holds_a_panel_for_each_quality(tmp_path: Path) -> None:
    file = tmp_path / "new" / "plot.html"
    write_rate_distortion([(PSNR, CURVES), (MS_SSIM, CURVES[:1])], file, title="Kodak")
    page = file.read_text()
    assert [path.name for path in file.parent.iterdir()] == ["plot.html"]
    assert PSNR in page
    assert MS_SSIM in page
    assert page.rpartition("Plotly.newPlot(")[2].count('"dash":"dot"') == 1
    write_rate_distortion([(PSNR, [])], tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.03), (0.0, 1.0), (28.0, 29.0), (20.0, 50.0)])
def test_ticks_are_round_and_neither_few_nor_many(low: float, high: float) -> None:
    from tunewright.reports.rate_distortion import round_ticks

    found = round_ticks(low, high)
    assert 3 <= len(found) <= 11
    assert all(low <= tick <= high for tick in found)
