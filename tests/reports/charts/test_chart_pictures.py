"""Charts as pictures for papers."""

import pytest
from PIL import Image

from tunewright.errors import UsageError
from tunewright.reports.charts.chart import Chart, ChartAxis, ParallelAxis, ParallelChart, Series
from tunewright.reports.charts.picture import write_charts

CHARTS = [
    Chart(
        "points",
        [Series("a", [1e-4, 1e-2], [0.5, 0.7], low=[0.4, None], high=[0.6, None])],
        ChartAxis("lr", log=True),
    ),
    Chart(
        "bars",
        [Series("", [3.0, 1.0], ["x", "y"], "bars", across=True)],
        y=ChartAxis(categories="xy"),
    ),
    Chart("lines", [Series("a", [1, 2, None, 3], [1, 2, None, 3], "line", "pale")]),
    Chart("shades", [Series("", [1, 2, 3], [1, 2, 3], shades=[1, 2, 3])], shade_title="rank"),
    ParallelChart(
        "all",
        [ParallelAxis("a", [0.0, None], [(0.0, "one")]), ParallelAxis("b", [1.0, 2.0])],
        [0.1, 0.2],
        "score",
    ),
]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_all_charts_stand_in_one_picture(tmp_path, suffix):
    file = tmp_path / f"all{suffix}"
    write_charts(CHARTS, file)
    assert file.stat().st_size > 5000
    if suffix == ".svg":
        assert "0.0001" in file.read_text() or "lr" in file.read_text()


def test_a_chart_alone_has_the_width_of_a_page(tmp_path):
    write_charts(CHARTS[:1], tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (1400, 840)


def test_the_same_chart_gives_the_same_bytes(tmp_path):
    for name in "ab":
        write_charts(CHARTS, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"ends in \.png"):
        write_charts(CHARTS[:1], tmp_path / "one.gif")
