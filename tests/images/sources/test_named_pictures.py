"""Single pictures, named one by one or by a pattern."""

from pathlib import Path

import pytest
from drawn_pictures import draw

from tunewright.errors import DataError
from tunewright.images.sources.picture_files import (
    find_pictures,
    names_pictures,
    table_of_files,
)


def test_names_and_patterns_each_once_in_natural_order(tmp_path, monkeypatch):
    for name in ("10.png", "9.png", "sub/1.jpg", "a[1].png", "notes.txt.png"):
        draw(tmp_path / name, 1)
    (tmp_path / "notes.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert [str(file) for file in find_pictures(["[0-9]*.png"])] == ["9.png", "10.png"]
    assert [str(file) for file in find_pictures(["a[1].png", "10.png", "1*.png"])] == [
        "a[1].png",
        "10.png",
    ]
    assert len(find_pictures(["**/*"])) == 5
    found = find_pictures([str(tmp_path / "**" / "*.jpg")])
    table = table_of_files(found)
    assert table.ids == (str(tmp_path / "sub" / "1.jpg"),)
    assert table.places[0].file == tmp_path / "sub" / "1.jpg"


@pytest.mark.parametrize(
    ("word", "text"),
    [("gone.jpg", "gone.jpg does not exist"), ("*.jpg", r"no picture fits \*\.jpg")],
)
def test_nothing_of_that_name(tmp_path, monkeypatch, word, text):
    monkeypatch.chdir(tmp_path)
    assert names_pictures(word)
    with pytest.raises(DataError, match=text):
        find_pictures([word])


def test_what_names_no_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder.jpg").mkdir()
    draw("x[1]", 1)
    for word in ("flowers", "folder.jpg", "tta.rotate=5", "test.csv", "x[1]"):
        assert not names_pictures(word)
