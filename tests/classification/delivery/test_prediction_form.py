"""What is written for the classes of a run, and in which form."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.classification.delivery.contest_form import SeveralLabels
from tunewright.classification.delivery.prediction_form import (
    class_texts,
    contest_form,
    label_names,
    label_thresholds,
    several_labels,
)
from tunewright.errors import DataError
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import RunFolder

TEXTS = {"labels": ("rose", "tulip")}
PLAIN: dict[str, Any] = {"like": None, "form": None, "top": None}


def blend_in(place: Path, *, multi_label: bool = False, **known: Any) -> Any:
    write_json(
        place / "classes.json", {"classes": ["rose", "tulip"], "class_counts": [3, 4], **known}
    )
    return SimpleNamespace(
        classes=("rose", "tulip"),
        members=[SimpleNamespace(folder=RunFolder(place))],
        multi_label=multi_label,
    )


def test_labels_are_written_as_the_training_data_has_them(tmp_path: Path) -> None:
    blend = blend_in(tmp_path)
    assert label_names(blend, category_ids=False) == ("rose", "tulip")
    assert class_texts(blend, category_ids=False) == TEXTS
    with pytest.raises(DataError, match="no category id is known of 2 classes"):
        class_texts(blend, category_ids=True)


def test_ids_and_names_are_offered_where_every_class_has_its_own(tmp_path: Path) -> None:
    blend = blend_in(
        tmp_path,
        category_ids={"rose": "7", "tulip": "9"},
        names={"rose": "Rosa", "tulip": "Rosa"},
    )
    assert label_names(blend, category_ids=True) == ("7", "9")
    assert class_texts(blend, category_ids=False) == {**TEXTS, "category ids": ("7", "9")}


def test_a_plain_label_a_picture_needs_no_form() -> None:
    assert contest_form(TEXTS, ["a", "b"], None, **PLAIN) is None
    form = contest_form(TEXTS, ["a", "b"], None, like=None, form="top-k", top=2)
    assert form is not None
    assert form.table([[0.2, 0.8], [0.9, 0.1]])[1:] == [["a", "tulip rose"], ["b", "rose tulip"]]


def test_several_labels_a_picture_have_thresholds_and_a_separator(tmp_path: Path) -> None:
    assert label_thresholds(blend_in(tmp_path), tmp_path, 0.3) == (None, [])
    blend = blend_in(tmp_path, multi_label=True, label_separator="|")
    thresholds, notices = label_thresholds(blend, tmp_path, 0.3)
    assert thresholds is not None
    assert (list(thresholds.each), notices) == ([0.3, 0.3], [])
    several = several_labels(blend, thresholds.each)
    assert several == SeveralLabels((0.3, 0.3), "|")
    form = contest_form(TEXTS, ["a", "b"], several, **PLAIN)
    assert form is not None
    assert form.table([[0.4, 0.8], [0.2, 0.1]])[1:] == [["a", "rose|tulip"], ["b", ""]]
