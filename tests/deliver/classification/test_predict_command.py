"""`predict`: a label for every picture."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from practice.pictures.drawn import draw, draw_set, draw_test
from practice.pictures.made import made_run, opened

import tunewright
from tunewright.classification.inference import cached_logits
from tunewright.classification.inference.cached_logits import validation_labels
from tunewright.classification.inference.tta_views import IMAGE
from tunewright.deliver.classification import predict as module
from tunewright.errors import ConfigError, DataError, NotWritten, UsageError
from tunewright.images.loading.square import as_uint8
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("predict")
    draw_set(place / "data")
    draw_test(place / "test", 30)
    made_run(place / "runs" / "one", place / "data")
    return place


def predicted(place: Path, output: Path, *words: str, **options):
    given = {"data": place / "test", "runs_dir": place / "runs", "on_progress": quiet} | options
    return tunewright.predict("one", *words, output=output, **given)


def rows_of(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_every_id_in_order_with_what_the_model_says(place, tmp_path):
    found = predicted(place, tmp_path / "p.csv")
    rows = rows_of(tmp_path / "p.csv")
    names = [f"img_{number}.png" for number in range(30)]
    assert rows[0] == ["image_id", "label"]
    assert [row[0] for row in rows[1:]] == names
    classifier = opened(RunFolder(place / "runs" / "one"))
    for name, label in rows[1:6]:
        with Image.open(place / "test" / name) as picture:
            pixels = torch.from_numpy(as_uint8(picture, 16))[None]
        with torch.no_grad():
            assert classifier.classes[int(classifier.logits(pixels).argmax())] == label
    assert found.predictions == 30
    assert found.tta is None
    content = (tmp_path / "p.csv").read_bytes()
    assert not content.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in content
    assert content.endswith(b"\n")


def test_ids_of_a_table_stay_as_they_are(place, tmp_path):
    """In the table's own order, with spaces, commas and leading zeros."""
    folder = tmp_path / "listed"
    (folder / "test").mkdir(parents=True)
    names = ["007.png", "b c.png", "a,1.png", "ä.png"]
    for number, name in enumerate(names):
        draw(number % 3, number).save(folder / "test" / name)
    with (folder / "test.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["image_id"], *([name] for name in names)])
    predicted(place, tmp_path / "p.csv", data=folder)
    assert [row[0] for row in rows_of(tmp_path / "p.csv")[1:]] == names


def bare_place(tmp_path: Path) -> Path:
    """A run on a table that writes ids without suffix."""
    data = tmp_path / "listed"
    draw_set(data)
    files = sorted(data.rglob("*.png"))
    (tmp_path / "data" / "train").mkdir(parents=True)
    rows = [["image_id", "label"]]
    for number, file in enumerate(files):
        file.rename(tmp_path / "data" / "train" / f"p{number}.png")
        rows.append([f"p{number}", file.parent.name])
    with (tmp_path / "data" / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    made_run(tmp_path / "runs" / "one", tmp_path / "data", steps=2)
    return tmp_path


def test_ids_take_the_form_of_the_training_table(tmp_path):
    place = bare_place(tmp_path)
    draw_test(place / "test", 5)
    predicted(place, tmp_path / "p.csv")
    assert [row[0] for row in rows_of(tmp_path / "p.csv")[1:]] == [f"img_{n}" for n in range(5)]
    packed = tunewright.submit(
        "one", predictions=tmp_path / "p.csv", output=tmp_path / "s.zip", runs_dir=place / "runs"
    )
    assert packed.made_here
    # A run of an earlier version knows its classes only: the training table tells.
    known = json.loads((place / "runs" / "one" / "classes.json").read_text())
    assert known.pop("bare_ids") is True
    (place / "runs" / "one" / "classes.json").write_text(json.dumps(known))
    predicted(place, tmp_path / "q.csv")
    assert (tmp_path / "q.csv").read_text() == (tmp_path / "p.csv").read_text()


def test_ids_keep_the_suffix_that_tells_two_files_apart(tmp_path):
    place = bare_place(tmp_path)
    draw_test(place / "test", 3)
    (place / "test" / "img_0.bmp").write_bytes((place / "test" / "img_0.png").read_bytes())
    found = predicted(place, tmp_path / "p.csv")
    assert "two files would have the id 'img_0'" in found.notices[0]
    assert rows_of(tmp_path / "p.csv")[1][0] == "img_0.bmp"


def test_probabilities_beside_the_labels(place, tmp_path):
    predicted(place, tmp_path / "p.csv", probabilities=tmp_path / "q.csv")
    labels, table = rows_of(tmp_path / "p.csv")[1:], rows_of(tmp_path / "q.csv")
    assert table[0] == ["image_id", "blue", "green", "red"]
    for (name, label), (same, *shares) in zip(labels, table[1:], strict=True):
        values = np.array(shares, dtype=float)
        assert name == same
        assert values.sum() == pytest.approx(1.0, abs=1e-4)
        assert table[0][1 + int(values.argmax())] == label


def test_bare_tta_is_the_mean_of_the_logits_of_picture_and_mirror(place, tmp_path):
    found = predicted(
        place, tmp_path / "p.csv", tta=True, force=True, probabilities=tmp_path / "q.csv"
    )
    assert found.views == ("image", "hflip")
    classifier = opened(RunFolder(place / "runs" / "one"))
    name, *shares = rows_of(tmp_path / "q.csv")[1]
    with Image.open(place / "test" / name) as picture:
        pixels = torch.from_numpy(as_uint8(picture, 16))[None]
    with torch.no_grad():
        mean = (classifier.logits(pixels) + classifier.logits(pixels.flip(3))) / 2
    np.testing.assert_allclose(np.array(shares, dtype=float), mean.softmax(1)[0], atol=1e-5)


def test_the_gain_of_views_has_an_interval(place, tmp_path):
    words = ("tta.rotate=5", "tta.brightness=0.1")
    found = predicted(place, tmp_path / "p.csv", *words, force=True)
    gain = found.tta["gain"]
    assert found.views[1:] == (
        "hflip",
        "rotate+5",
        "rotate-5",
        "brightness+10%",
        "brightness-10%",
    )
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert gain["value"] == pytest.approx(found.tta["with_views"] - found.tta["plain"])
    assert set(found.tta["alone"]) == set(found.views[1:])
    assert found.tta["pictures"] == 28


def test_views_that_lower_the_accuracy_are_refused_unless_forced(tmp_path):
    """Two classes that differ by the brighter side: a mirror makes each the other."""
    draw_set(tmp_path / "data", (20, 20), sides=True)
    made_run(tmp_path / "runs" / "one", tmp_path / "data", steps=30)
    options = {"data": tmp_path / "data", "output": tmp_path / "p.csv"}
    options |= {"runs_dir": tmp_path / "runs", "on_progress": quiet}
    with pytest.raises(ConfigError, match=r"lower the accuracy.*hflip 0\.\d+") as caught:
        tunewright.predict("one", tta=True, **options)
    assert "--force" in str(caught.value)
    assert not (tmp_path / "p.csv").exists()
    forced = tunewright.predict("one", tta=True, force=True, **options)
    assert forced.tta["harmful"] == ["hflip"]
    assert forced.tta["gain"]["high"] < 0
    harmless = tunewright.predict("one", views="vflip,brightness=0.05", **options)
    assert harmless.tta["harmful"] == []


def test_a_loss_of_one_picture_is_told_and_no_refusal(place, tmp_path, monkeypatch):
    """The mirror image costs one of the 28 validation pictures, which chance may do as well."""

    def mirrored_wrongly(classifier, views=(IMAGE,), **_):
        labels = validation_labels(classifier)
        right = torch.nn.functional.one_hot(labels, len(classifier.classes)).float()
        found = torch.stack([right] * len(views))  # [V, N, C]
        if len(views) > 1:
            found[1, 3] = 9.0 * right[3].roll(1)
        return found

    monkeypatch.setattr(cached_logits, "validation_logits", mirrored_wrongly)
    found = predicted(place, tmp_path / "p.csv", tta=True)
    assert (tmp_path / "p.csv").exists()
    tta = found.tta
    assert tta["gain"]["value"] == pytest.approx(-1 / 28)
    assert tta["gain"]["high"] >= 0
    assert tta["harmful"] == []
    both = predicted(place, tmp_path / "q.csv", views="hflip,vflip")
    [notice] = [text for text in both.notices if "but not significantly" in text]
    assert "hflip 0.9643" in notice
    assert "vflip" not in notice


def test_without_its_training_data_a_run_still_predicts(place, tmp_path):
    """But what views are worth cannot be measured then."""
    shutil.copytree(place / "runs" / "one", tmp_path / "runs" / "one")
    tree = RunFolder(tmp_path / "runs" / "one").read_config()
    tree["data"]["dir"] = str(tmp_path / "gone")
    RunFolder(tmp_path / "runs" / "one").write_config(tree)
    (tmp_path / "runs" / "one" / "validation_logits.safetensors").unlink(missing_ok=True)
    options = {"runs_dir": tmp_path / "runs"}
    predicted(place, tmp_path / "a.csv")
    predicted(place, tmp_path / "b.csv", **options)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    with pytest.raises(DataError, match="the gain of the views cannot be measured"):
        predicted(place, tmp_path / "c.csv", tta=True, **options)
    found = predicted(place, tmp_path / "c.csv", tta=True, force=True, **options)
    assert "gone" in found.tta["unknown"]


def test_names_that_are_not_utf8_are_refused_before_the_work(place, tmp_path):
    folder = draw_test(tmp_path / "test", 3)
    (folder / "img_1.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    heard = []
    with pytest.raises(DataError, match=r"'caf\\udce9\.png'.*in UTF-8.*Rename") as refused:
        predicted(
            place, tmp_path / "p.csv", data=folder, on_progress=lambda *said: heard.append(said)
        )
    assert str(refused.value).encode()
    assert heard == []


def test_unreadable_pictures_are_refused_or_answered(place, tmp_path):
    folder = draw_test(tmp_path / "test", 9)
    (folder / "img_4.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 9 pictures cannot be read.*img_4\.png is empty"):
        predicted(place, tmp_path / "p.csv", data=folder)
    assert not (tmp_path / "p.csv").exists()
    found = predicted(
        place, tmp_path / "p.csv", data=folder, skip_bad=True, probabilities=tmp_path / "q.csv"
    )
    assert list(found.skipped) == ["img_4.png"]
    rows = rows_of(tmp_path / "p.csv")
    assert len(rows) == 10
    assert ["img_4.png", "blue"] in rows  # the most frequent class of the training
    shares = next(row for row in rows_of(tmp_path / "q.csv") if row[0] == "img_4.png")[1:]
    counts = opened(RunFolder(place / "runs" / "one")).class_counts
    np.testing.assert_allclose(np.array(shares, dtype=float), counts / counts.sum(), atol=1e-5)


def test_logit_adjustment_moves_towards_the_rare(place, tmp_path):
    plain = predicted(place, tmp_path / "p.csv").said
    adjusted = predicted(place, tmp_path / "p.csv", logit_adjustment=20.0).said
    assert adjusted.get("red", 0) > plain.get("red", 0)
    assert adjusted.get("blue", 0) < plain.get("blue", 0)


def test_labels_are_written_as_the_source_or_as_category_ids(place, tmp_path):
    with pytest.raises(DataError, match=r"no category id is known of 3 classes.*'blue'"):
        predicted(place, tmp_path / "p.csv", category_ids=True)
    shutil.copytree(place / "runs" / "one", tmp_path / "runs" / "one")
    file = tmp_path / "runs" / "one" / "classes.json"
    ids = {"blue": "164", "green": "165", "red": "1749"}
    write_json(file, (read_json(file) or {}) | {"category_ids": ids})
    found = predicted(place, tmp_path / "p.csv", category_ids=True, runs_dir=tmp_path / "runs")
    assert set(found.said) <= set(ids.values())


def test_the_test_folder_of_a_competition_is_the_default(tmp_path, monkeypatch):
    draw_set(tmp_path / "drawn")
    pictures = sorted((tmp_path / "drawn").rglob("*.png"))
    (tmp_path / "data" / "train").mkdir(parents=True)
    lines = ["image_id,label"]
    for number, picture in enumerate(pictures):
        shutil.copyfile(picture, tmp_path / "data" / "train" / f"{number}.png")
        lines.append(f"{number}.png,{sorted(['blue', 'green', 'red']).index(picture.parent.name)}")
    (tmp_path / "data" / "train.csv").write_text("\n".join(lines) + "\n")
    made_run(tmp_path / "runs" / "one", tmp_path / "data", steps=1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"has no test set.*--data DIR"):
        tunewright.predict(on_progress=quiet)
    draw_test(tmp_path / "data" / "test", 5)
    found = tunewright.predict(on_progress=quiet)
    assert found.predictions == 5
    assert "using the newest run" in found.notes[0]
    assert {row[1] for row in rows_of(tmp_path / "predictions.csv")[1:]} <= {"0", "1", "2"}


def test_a_test_split_is_predicted_by_default(tmp_path):
    draw_set(tmp_path / "data")
    run = made_run(tmp_path / "runs" / "one", tmp_path / "data", steps=1, test_split=0.2)
    found = tunewright.predict(run.path, output=tmp_path / "p.csv", on_progress=quiet)
    table = opened(run).sets.test
    assert table is not None
    assert [row[0] for row in rows_of(tmp_path / "p.csv")[1:]] == list(table.ids)
    assert found.predictions == len(table)


def test_it_works_from_any_directory(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tunewright.predict(place / "runs" / "one", data=place / "test", on_progress=quiet)
    assert (tmp_path / "predictions.csv").exists()


def test_what_was_predicted_is_remembered(place, tmp_path):
    predicted(place, tmp_path / "p.csv")
    record = json.loads((place / "runs" / "one" / "predicted.json").read_text())
    assert record["data"] == str(place / "test")
    assert record["files"] == [str(tmp_path / "p.csv")]


def test_a_run_that_may_only_be_read_predicts_and_says_what_was_not_kept(place, tmp_path):
    """Root may write anywhere; where a folder stands, nobody can."""
    run = tmp_path / "runs" / "one"
    shutil.copytree(place / "runs" / "one", run)
    for name in ("predicted.json", "validation_logits.safetensors"):
        (run / name).unlink(missing_ok=True)
        (run / name).mkdir()
    found = predicted(place, tmp_path / "p.csv", tta=True, force=True, runs_dir=run.parent)
    assert len(rows_of(tmp_path / "p.csv")) == 31
    assert found.tta["pictures"] == 28
    (notice,) = (text for text in found.notices if "predicted.json" in text)
    assert "cannot be written" in notice
    assert "submit" in notice


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"data": "nowhere"}, DataError, "nowhere does not exist"),
        ({"batch_size": 0}, UsageError, "1 or more"),
        ({"logit_adjustment": -1.0}, UsageError, "0 or more"),
        ({"logit_adjustment": float("nan")}, UsageError, "0 or more"),
        ({"views": "sideways"}, ConfigError, "view 'sideways'"),
    ],
)
def test_slips_are_named(place, tmp_path, options, error, text):
    with pytest.raises(error, match=text):
        predicted(place, tmp_path / "p.csv", **options)


@pytest.mark.parametrize("option", ["output", "probabilities"])
def test_a_folder_is_refused_before_a_picture_is_read(place, tmp_path, monkeypatch, option):
    monkeypatch.setattr(module, "open_blend", lambda *_: pytest.fail("opened a model"))
    given = {"data": place / "test", "output": tmp_path / "p.csv", option: tmp_path}
    with pytest.raises(UsageError, match=f"--{option} {tmp_path} is a folder: expected the name"):
        tunewright.predict("one", runs_dir=place / "runs", on_progress=quiet, **given)


@pytest.mark.parametrize("same", ["p.csv", "folder/../p.csv"])
def test_labels_and_probabilities_do_not_share_a_file(place, tmp_path, monkeypatch, same):
    monkeypatch.setattr(module, "open_blend", lambda *_: pytest.fail("opened a model"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="are the same file: expected two files"):
        predicted(place, tmp_path / "p.csv", probabilities=tmp_path / same)
    assert not (tmp_path / "p.csv").exists()


def test_predictions_that_cannot_be_written_name_no_other_folder_of_runs(place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        NotWritten, match=r"p\.csv cannot be written: .*choose another path"
    ) as caught:
        predicted(place, tmp_path / "file" / "p.csv")
    assert "--runs-dir" not in str(caught.value)


def test_words_are_views_or_slips(place, tmp_path):
    with pytest.raises(UsageError, match=r"'optim.lr=1'.*tta.hflip"):
        predicted(place, tmp_path / "p.csv", "optim.lr=1")
    found = predicted(place, tmp_path / "p.csv", "vflip=true", "tta.hflip=false", force=True)
    assert found.views == ("image", "vflip")
    with pytest.raises(UsageError, match="one run"):
        predicted(place, tmp_path / "p.csv", "two")


def test_a_process_of_its_own_says_the_same(place, tmp_path):
    made_run(tmp_path / "runs" / "one", place / "data", inline=False)
    said = []
    found = predicted(
        place,
        tmp_path / "there.csv",
        tta=True,
        force=True,
        runs_dir=tmp_path / "runs",
        on_progress=lambda *what: said.append(what),
    )
    here = predicted(place, tmp_path / "here.csv", tta=True, force=True)
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()
    assert found.tta == here.tta
    assert ("predicting", 30, 30) in said
    assert ("judging the views", 28, 28) in said
    with pytest.raises(DataError, match="does not exist"):
        predicted(place, tmp_path / "p.csv", runs_dir=tmp_path / "runs", data=tmp_path / "none")
    broken = tmp_path / "runs" / "one" / "checkpoints" / "best.safetensors"
    broken.write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot be read"):
        predicted(place, tmp_path / "p.csv", runs_dir=tmp_path / "runs")
