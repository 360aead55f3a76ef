"""Heat maps and comparison plots as files: blank cells, one cell, texts, a thousand cells."""

import json
import re
from pathlib import Path

import pytest

from tunewright.analysis.grid.effect_curves import effect_panel
from tunewright.analysis.grid.heat_map import HeatMap, Point, Value, heat_map
from tunewright.analysis.grid.rank_cells import LambdaRanking, RankedCell
from tunewright.analysis.grid.ties import Noise
from tunewright.errors import UsageError
from tunewright.reports.effect_plot import write_effects
from tunewright.reports.heat_map import write_heat_map

GRID = [
    Point(float(i), float(j), float(i * j))
    for i in range(40)
    for j in range(30)
    if (i, j) != (3, 4)
]
MAPS = {
    "one cell": [Point(0.001, 0.05, 30.0)],
    "texts": [Point("<b>famo", True, 1.0), Point("$qp$", None, -2.0), Point(None, False, 3.0)],
    "a thousand": GRID,
}


def drawn(points: list[Point]) -> HeatMap:
    return heat_map(points, ("ga$mma", "w_lr"), ("psnr", "max"), title="<i>a study")


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("suffix", ["png", "pdf", "html"])
def test_any_map_is_written(tmp_path: Path, name: str, suffix: str) -> None:
    file = tmp_path / f"map.{suffix}"
    write_heat_map(drawn(MAPS[name]), file)
    assert file.stat().st_size > 3000


def test_a_missing_cell_is_blank_in_the_page(tmp_path: Path) -> None:
    write_heat_map(drawn([Point(1.0, 1.0, 5.0), Point(2.0, 2.0, 6.0)]), tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    found = re.search(r'"z":(\[\[.*?\]\])', page)
    assert found is not None
    assert json.loads(found[1]) == [[5.0, None], [None, 6.0]]


def test_names_are_no_markup_of_the_page(tmp_path: Path) -> None:
    write_heat_map(drawn(MAPS["texts"]), tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    assert "<b>famo" not in page
    assert "<i>a study" not in page


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"map\.gif"):
        write_heat_map(drawn(GRID), tmp_path / "map.gif")


def test_a_far_cell_is_counted() -> None:
    points = [Point(float(n), 1.0, 30.0 + n / 10) for n in range(8)]
    found = drawn([*points, Point(9.0, 1.0, -1e6)])
    assert any("1 of 9 cells lie far from the others" in notice for notice in found.notices)


def ranking(values: list[Value]) -> LambdaRanking:
    cells = tuple(
        RankedCell(n, {"gamma": v, "w_lr": w}, 30.0 + n, 1 + n % 2, 0.1, {}, False, 0, ())
        for n, (v, w) in enumerate((v, w) for v in values for w in (0.01, 0.05))
    )
    return LambdaRanking(0.013, cells, Noise(None, 0, "unknown"))


@pytest.mark.parametrize("values", [[0.001, 0.01, 0.1], ["famo", "qp", None], [0.003]])
@pytest.mark.parametrize("suffix", ["png", "html"])
def test_comparison_plots_are_written(tmp_path: Path, values: list[Value], suffix: str) -> None:
    panel = effect_panel(ranking(values), "gamma")
    assert [curve.name for curve in panel.curves] == ["w_lr = 0.01", "w_lr = 0.05"]
    file = tmp_path / f"plot.{suffix}"
    write_effects([panel, panel], "gamma", "psnr", file)
    assert file.stat().st_size > 3000
