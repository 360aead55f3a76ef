"""`evaluate --data` of a classifier: other labelled pictures, with figures of their own."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from practice.pictures.drawn import draw, draw_set
from practice.pictures.made import made_run

import tunewright
from tunewright.errors import DataError
from tunewright.runs.atomic import read_json, write_json


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("labelled")
    draw_set(place / "data")
    made_run(place / "runs" / "one", place / "data", steps=30)
    for label, name in enumerate(["blue", "green", "red"]):
        (place / "other" / name).mkdir(parents=True)
        for number in range(4):
            draw(label, 900 + number).save(place / "other" / name / f"{number}.png")
    return place


def measured(place: Path, data: Path, **options):
    given = {"runs_dir": place / "runs", "on_progress": quiet}
    return tunewright.evaluate("one", data=data, **given | options)


def test_a_folder_of_classes_has_figures_of_its_own(place):
    own = tunewright.evaluate("one", runs_dir=place / "runs")
    before = (place / "runs" / "one" / "evaluation.json").read_bytes()
    found = measured(place, place / "other")
    figures = found.figures
    assert figures["images"] == 12
    low, high = figures["accuracy_interval"]
    assert low <= found.metrics["accuracy"] <= high
    assert "macro_f1" in found.metrics
    assert [row["class"] for row in figures["per_class"]] == ["blue", "green", "red"]
    assert [row["pictures"] for row in figures["per_class"]] == [4, 4, 4]
    assert all(len(row["recall_interval"]) == 2 for row in figures["per_class"])
    assert (place / "runs" / "one" / "evaluation.json").read_bytes() == before
    assert own.figures["split"] == "valid"
    shutil.copytree(place / "other", place / "again" / "other")
    second = measured(place, place / "again" / "other")
    assert second.files[0] != found.files[0]
    assert json.loads(found.files[0].read_text())["data"] == str(place / "other")


def test_pictures_of_the_training_are_told(place):
    found = measured(place, place / "data")
    assert any("also in the run's training or validation set" in note for note in found.notes)
    assert not any("also in" in note for note in measured(place, place / "other").notes)


def test_pictures_that_are_all_but_black_are_told(place, tmp_path):
    shutil.copytree(place / "other", tmp_path / "set")
    for file in (tmp_path / "set").glob("*/*.png"):
        Image.open(file).point(lambda value: value // 100).save(file)
    found = measured(place, tmp_path / "set")
    assert any("all but black" in note for note in found.notes)
    assert not any("all but black" in note for note in measured(place, place / "other").notes)


def test_classes_that_the_run_does_not_know_are_named(place, tmp_path):
    shutil.copytree(place / "other", tmp_path / "set")
    (tmp_path / "set" / "red").rename(tmp_path / "set" / "violet")
    found = measured(place, tmp_path / "set")
    assert found.figures["unknown_classes"] == {"violet": 4}
    assert found.figures["images"] == 8
    assert any("4 of 12 pictures (violet: 4); with these" in note for note in found.notes)
    assert any("classes of the run have no picture here (red)" in note for note in found.notes)
    for name in ("blue", "green"):
        shutil.rmtree(tmp_path / "set" / name)
    with pytest.raises(DataError, match=r"none of the classes.*\(violet\).*blue, green, red"):
        measured(place, tmp_path / "set")


def test_a_table_with_readable_names_and_a_zip(place, tmp_path):
    """Labels may be what the training data calls the classes for its readers."""
    shutil.copytree(place / "runs" / "one", tmp_path / "runs" / "one")
    file = tmp_path / "runs" / "one" / "classes.json"
    names = {"blue": "Blau", "green": "Grün", "red": "Rot"}
    write_json(file, (read_json(file) or {}) | {"names": names})
    rows = [["Id", "Category"]]
    (tmp_path / "t").mkdir()
    for number, picture in enumerate(sorted((place / "other").rglob("*.png"))):
        shutil.copyfile(picture, tmp_path / "t" / f"{number}.png")
        rows.append([str(number), names[picture.parent.name]])
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=";").writerows(rows)
    table = measured(tmp_path, tmp_path / "t.csv")
    assert [row["name"] for row in table.figures["per_class"]] == ["Blau", "Grün", "Rot"]
    zipped = Path(shutil.make_archive(str(tmp_path / "z"), "zip", place / "other"))
    assert measured(tmp_path, zipped).metrics == table.metrics


def test_without_the_training_data_the_note_says_so(place, tmp_path):
    shutil.copytree(place / "runs" / "one", tmp_path / "runs" / "one")
    config = tmp_path / "runs" / "one" / "config.yaml"
    config.write_text(config.read_text().replace(str(place / "data"), str(tmp_path / "gone")))
    found = measured(tmp_path, place / "other")
    assert any("its data is gone" in note for note in found.notes)


def test_one_class_and_a_test_split(place, tmp_path):
    shutil.copytree(place / "other" / "red", tmp_path / "one" / "red")
    assert measured(place, tmp_path / "one").figures["images"] == 4
    shutil.copytree(place / "data", tmp_path / "split" / "train")
    shutil.copytree(place / "other", tmp_path / "split" / "test")
    found = measured(place, tmp_path / "split")
    assert found.figures["images"] == 12
    assert any("its test set of 12 pictures is measured" in note for note in found.notes)
