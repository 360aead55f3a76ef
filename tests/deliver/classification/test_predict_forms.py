"""`predict` and `submit` in the form of a sample submission; `predict` of single pictures."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from practice.pictures.drawn import draw, draw_set, draw_test
from practice.pictures.made import made_run

import tunewright
from tunewright import cli
from tunewright.errors import DataError, UsageError
from tunewright.runs.atomic import read_json, write_json


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("forms")
    draw_set(place / "data")
    draw_test(place / "test", 6)
    made_run(place / "runs" / "one", place / "data", steps=30)
    return place


@pytest.fixture
def here(place, tmp_path, monkeypatch) -> Path:
    """A working folder with nothing in it yet; runs and pictures are named by their paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(file: Path, delimiter: str = ",") -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


def predicted(place: Path, *words: str, **options):
    given = {"data": place / "test", "runs_dir": place / "runs", "on_progress": quiet}
    return tunewright.predict("one", *words, **(given | options))


def submitted(place: Path, **options):
    return tunewright.submit("one", runs_dir=place / "runs", on_progress=quiet, **options)


def sample(here: Path, header: str, cell: str, ids=range(5, -1, -1)) -> Path:
    lines = [header, *(f"img_{number},{cell}" for number in ids)]
    (here / "sample_submission.csv").write_text("\n".join(lines) + "\n")
    return here / "sample_submission.csv"


def test_like_a_sample_and_back(place, here):
    plain = predicted(place, output=here / "plain.csv")
    labels = dict(rows_of(here / "plain.csv")[1:])
    like = sample(here, "Id,Category", "red")
    found = predicted(place, like=like)
    rows = rows_of(here / "predictions.csv")
    assert rows[0] == ["Id", "Category"]
    assert [row[0] for row in rows[1:]] == [f"img_{n}" for n in range(5, -1, -1)]
    assert all(labels[f"{name}.png"] == label for name, label in rows[1:])
    assert (found.form, found.said) == ("labels", plain.said)
    packed = submitted(place)
    assert (packed.rows, packed.made_here) == (6, True)
    with zipfile.ZipFile(here / "submission.zip") as archive:
        assert archive.read("code/configs/sample_submission.csv") == like.read_bytes()
        assert b"`Id,Category`" in archive.read("README.md")
    with pytest.raises(DataError, match=r"begins with 'image_id,label': expected 'Id,Category'"):
        submitted(place, predictions=here / "plain.csv", like=like)
    (here / "other.csv").write_text(like.read_text())
    with pytest.raises(DataError, match=r"the header image_id,label.*--like"):
        submitted(place, predictions=here / "other.csv")


def test_a_template_of_another_test_set(place, here):
    like = sample(here, "id,label", "red", ids=range(7))
    with pytest.raises(DataError, match=r"1 of its ids have no picture \('img_6'\)"):
        predicted(place, like=like)
    assert not (here / "predictions.csv").exists()
    with pytest.raises(DataError, match=r"--like .*gone\.csv does not exist"):
        predicted(place, like="gone.csv")


def test_several_labels_and_probabilities(place, here):
    like = sample(here, "id,labels", "red blue")
    predicted(place, like=like, probabilities=here / "q.csv")
    shares = {row[0]: row[1:] for row in rows_of(here / "q.csv")[1:]}
    names = rows_of(here / "q.csv")[0][1:]
    for name, labels in rows_of(here / "predictions.csv")[1:]:
        values = dict(zip(names, map(float, shares[f"{name}.png"]), strict=True))
        assert labels.split(" ") == sorted(names, key=lambda one: -values[one])[:2]
    assert submitted(place).rows == 6
    like = sample(here, "id,red,blue,green", "0,0,0")
    predicted(place, like=like)
    header, *rows = rows_of(here / "predictions.csv")
    assert header == ["id", "red", "blue", "green"]
    for name, *cells in rows:
        own = dict(zip(names, shares[f"{name}.png"], strict=True))
        assert cells == [own["red"], own["blue"], own["green"]]
    assert submitted(place, verify_only=True, output=here / "none.zip").rows == 6


def test_a_form_without_a_template(place, here):
    predicted(place, form="top-k", top=2)
    rows = rows_of(here / "predictions.csv")
    assert rows[0] == ["image_id", "label"]
    assert all(len(row[1].split(" ")) == 2 for row in rows[1:])
    assert submitted(place).made_here
    predicted(place, form="probabilities")
    assert rows_of(here / "predictions.csv")[0] == ["image_id", "blue", "green", "red"]
    assert submitted(place).rows == 6
    with pytest.raises(UsageError, match=r"--form top5.*labels, top-k, probabilities"):
        predicted(place, form="top5")
    with pytest.raises(UsageError, match="--top 0"):
        predicted(place, form="top-k", top=0)
    with pytest.raises(UsageError, match=r"--top 2 with labels.*--form top-k"):
        predicted(place, top=2)


def test_semicolons_are_read_and_commas_are_packed(place, here):
    predicted(place)
    text = (here / "predictions.csv").read_text()
    (here / "theirs.csv").write_text(text.replace(",", ";"))
    assert submitted(place, predictions=here / "theirs.csv").rows == 6
    with zipfile.ZipFile(here / "submission.zip") as archive:
        assert archive.read("result/predictions.csv").decode() == text
    assert submitted(place, predictions=here / "theirs.csv", verify_only=True).verified_only


def test_category_ids_as_the_template_has_them(place, here):
    made_run(here / "runs" / "one", place / "data", steps=2)
    file = here / "runs" / "one" / "classes.json"
    ids = {"blue": "164", "green": "165", "red": "1749"}
    write_json(file, (read_json(file) or {}) | {"category_ids": ids})
    like = sample(here, "id,label", "164")
    predicted(place, like=like, runs_dir=here / "runs")
    assert {row[1] for row in rows_of(here / "predictions.csv")[1:]} <= set(ids.values())
    found = tunewright.submit("one", runs_dir=here / "runs", on_progress=quiet)
    assert found.rows == 6


def test_what_is_packed_writes_the_same_form(place, here):
    like = sample(here, "id,labels", "red blue")
    predicted(place, like=like)
    submitted(place)
    with zipfile.ZipFile(here / "submission.zip") as archive:
        archive.extractall(here / "unpacked")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "plugin")}
    script = str(here / "unpacked" / "code" / "inference.py")
    for words, file in ((["--output", "mine.csv"], "mine.csv"), (["--plain"], "predictions.csv")):
        command = [sys.executable, script, "--data", str(place / "test"), *words]
        done = subprocess.run(
            command, cwd=here / "unpacked", env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        written = (here / "unpacked" / file).read_text()
        assert (written == (here / "predictions.csv").read_text()) == (file == "mine.csv")


def test_single_pictures_write_nothing(place, here):
    draw(2, 500).save(here / "photo.png")
    before = (place / "runs" / "one" / "predicted.json").read_bytes()
    found = predicted(place, "photo.png", str(place / "test" / "img_[01].png"), data=None)
    assert [one["picture"] for one in found.top] == [
        "photo.png",
        str(place / "test" / "img_0.png"),
        str(place / "test" / "img_1.png"),
    ]
    shares = [row["probability"] for row in found.top[0]["classes"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0, abs=1e-4)
    assert len(predicted(place, "photo.png", data=None, top=1).top[0]["classes"]) == 1
    assert found.files == ()
    assert {file.name for file in here.iterdir()} == {"photo.png"}
    assert (place / "runs" / "one" / "predicted.json").read_bytes() == before
    written = predicted(place, "photo.png", data=None, output=here / "p.csv")
    assert rows_of(written.files[0])[1][0] == "photo.png"


def typed(monkeypatch, capsys, *words):
    """Exit code, stdout and stderr of a command run in this process."""
    monkeypatch.setattr(sys, "argv", ["tunewright", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return caught.value.code or 0, out, err


def test_single_pictures_on_screen(place, here, monkeypatch, capsys):
    draw(2, 500).save(here / "photo.png")
    runs = ("--runs-dir", str(place / "runs"))
    code, out, _ = typed(monkeypatch, capsys, "predict", "one", "photo.png", "--top", "2", *runs)
    lines = [line for line in out.splitlines() if not line.startswith("note:")]
    assert (code, lines[0]) == (0, "photo.png")
    assert [line.split()[0] for line in lines[1:]] == [
        row["class"] for row in predicted(place, "photo.png", data=None, top=2).top[0]["classes"]
    ]
    code, out, _ = typed(monkeypatch, capsys, "predict", "photo.png", "--json", *runs)
    assert (code, len(json.loads(out)["top"][0]["classes"])) == (0, 3)
    code, _, err = typed(monkeypatch, capsys, "predict", "one", "gone.png", *runs)
    assert (code, "gone.png does not exist" in err) == (2, True)
    code, _, err = typed(monkeypatch, capsys, "predict", "one", str(place / "test"), *runs)
    assert (code, "is predicted with --data" in " ".join(err.split())) == (2, True)
    words = ("predict", "one", "photo.png", "--data", str(place / "test"), *runs)
    code, _, err = typed(monkeypatch, capsys, *words)
    assert (code, "expected one of them" in err) == (2, True)


def test_an_unreadable_picture(place, here, monkeypatch, capsys):
    (here / "bad.png").write_bytes(b"")
    runs = ("--runs-dir", str(place / "runs"))
    code, _, err = typed(monkeypatch, capsys, "predict", "one", "bad.png", *runs)
    assert (code, "bad.png is empty" in err) == (2, True)
    code, out, _ = typed(monkeypatch, capsys, "predict", "one", "bad.png", "--skip-bad", *runs)
    assert (code, "\nbad.png: could not be read: " in out) == (0, True)


def test_other_data_on_screen(place, here, monkeypatch, capsys):
    words = ("evaluate", "one", "--data", str(place / "data"), "--runs-dir", str(place / "runs"))
    code, out, _ = typed(monkeypatch, capsys, *words)
    assert code == 0
    assert "macro_f1" in out
    assert "evaluation-data-" in out
    assert "by class" in out
    assert "green" in out
