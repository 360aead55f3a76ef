"""Each page of figures is one file: it needs no other file and no network."""

import re
from pathlib import Path
from typing import Any

import pytest

from tunewright.classification.evaluation.evaluation import PANELS
from tunewright.reports import figures
from tunewright.reports.classification import write_confusion
from tunewright.reports.figures import write_curves, write_lr_curve
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


def test_losses_that_are_not_the_same_quantity_have_a_panel_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training loss that is focal or smoothed is no plain cross-entropy: no shared axis."""
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "write_page", lambda figure, _file: drawn.append(figure))
    history = [
        Progress(1, step, {"train_loss": 0.2 / step, "val_loss": 2.0 / step}, float(step))
        for step in (1, 2, 3)
    ]
    write_curves(history, PANELS, tmp_path / "curves.html")
    [figure] = drawn
    assert [(trace.name, trace.xaxis, trace.yaxis) for trace in figure.data] == [
        ("train_loss", "x", "y"),
        ("val_loss", "x2", "y2"),
    ]
    assert [note.text for note in figure.layout.annotations] == [
        "training loss, as configured",
        "validation loss, plain cross-entropy",
    ]
