"""Each page of figures is one file: it needs no other file and no network."""

import re
from pathlib import Path

from tunewright.report.classification import write_confusion
from tunewright.report.figures import write_curves, write_lr_curve
from tunewright.runs.record import Progress


def test_a_page_needs_no_other_file(tmp_path: Path) -> None:
    history = [Progress(1, step, {"val_loss": 1.0 / step}, 1.0) for step in (1, 2, 3)]
    write_curves(history, {"loss": ["val_loss"]}, tmp_path / "curves.html")
    write_lr_curve(
        [1e-3, 1e-2], [1.0, 0.5], [1.0, 0.5], tmp_path / "lr.html", marks={"valley": 1e-2}
    )
    write_confusion([[3, 1], [0, 4]], ["a", "b"], tmp_path / "confusion.html")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "confusion.html",
        "curves.html",
        "lr.html",
    ]
    for file in tmp_path.iterdir():
        page = file.read_text(encoding="utf-8")
        assert "Plotly.newPlot(" in page
        assert not re.search(r"<(script|link|img)\b[^>]*\b(src|href)=[\"']?(?!data:)", page)
        assert 4e6 < file.stat().st_size < 7e6, "the script of Plotly is part of the page"
