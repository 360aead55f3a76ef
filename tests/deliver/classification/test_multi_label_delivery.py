"""Several labels a picture, from a table to a submission."""

import csv
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tunewright
from tunewright.classification.inference.cached_logits import validation_labels, validation_logits
from tunewright.classification.inference.ensemble import blend_labels
from tunewright.classification.metrics.multi_label import (
    bootstrap_label_scores,
    label_scores,
    map_difference,
)
from tunewright.errors import DataError, UsageError
from tunewright.recipes.flowers.setup import open_classifier
from tunewright.runs.folder import RunFolder

COLOURS = {"blue": (40, 60, 220), "green": (40, 190, 60), "red": (220, 50, 40)}
NAMES = tuple(COLOURS)
PIXELS = 24


def draw(folder: Path, number: int, labels: tuple[str, ...]) -> None:
    """Noise with a square of each label's colour, in any corner."""
    drawn = np.random.default_rng(number)
    pixels = drawn.normal(120.0, 12.0, (PIXELS, PIXELS, 3))
    corners = drawn.permutation(4)[: len(labels)]
    for name, corner in zip(labels, corners.tolist(), strict=True):
        top, left = 12 * (corner // 2), 12 * (corner % 2)
        pixels[top : top + 11, left : left + 11] = COLOURS[name]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"p{number:03}.png")


def labels_of(number: int) -> tuple[str, ...]:
    drawn = np.random.default_rng([7, number])
    return tuple(name for name in NAMES if drawn.random() < 0.45)


def draw_set(folder: Path, rows: int, mark: str = ";") -> Path:
    lines = ["image_id,label"]
    for number in range(rows):
        draw(folder / "train", number, labels_of(number))
        lines.append(f"p{number:03},{mark.join(labels_of(number))}")
    for number in range(900, 920):
        draw(folder / "test", number, labels_of(number))
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    return folder


def train(place: Path, name: str, *words: str, recipe: str = "flowers") -> RunFolder:
    size = ("model.name=test_resnet",) if recipe == "flowers" else ()
    return tunewright.train(
        recipe, f"data.dir={place / 'data'}", "data.multi_label=true", "data.image_size=32",
        "data.val_split=0.4", "augmentation=none", "optim.lr=0.01", "executor.type=inline",
        "executor.threads=1", "training.batch_size=16", *size, *words,
        name=name, runs_dir=place / "runs",
    ).folders[0]  # fmt: skip


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("several")
    draw_set(place / "data", 100)
    train(place, "one", "training.epochs=12")
    train(place, "two", "training.epochs=3", "loss=asymmetric", "mixing.mixup_alpha=0.2", "seed=2")
    return place


def run_of(place: Path, name: str = "one") -> RunFolder:
    return RunFolder(place / "runs" / name)


def predict(place: Path, run: str = "one", **options):
    options = {"data": place / "data" / "test", "output": place / "p.csv", **options}
    return tunewright.predict(run, runs_dir=place / "runs", on_progress=quiet, **options)


def rows_of(file: Path) -> list[list[str]]:
    with file.open(newline="") as stream:
        return list(csv.reader(stream))


def test_it_learns_each_label(place):
    metrics = run_of(place).read_outcome().metrics
    assert metrics["val_map"] > 0.8  # 0.45 by chance
    assert {"val_macro_auroc", "val_macro_f1", "val_exact_match", "val_hamming_loss"} <= {*metrics}


def test_predictions_hold_all_labels_from_their_thresholds_on(place):
    found = predict(place, probabilities=place / "shares.csv")
    header, *rows = rows_of(place / "p.csv")
    assert header == ["image_id", "label"]
    assert found.separator == ";"
    _, *shares = rows_of(place / "shares.csv")
    right = 0
    for (name, said), (same, *values) in zip(rows, shares, strict=True):
        assert name == same
        expected = [
            label
            for label, value in zip(NAMES, values, strict=True)
            if float(value) >= found.thresholds[label] - 1e-5
        ]
        assert (said.split(";") if said else []) == expected
        right += expected == [*labels_of(int(name.removeprefix("p")))]
    assert right >= 12  # of 20


def test_thresholds_can_be_set_and_are_kept_for_where_the_pictures_are_gone(place, tmp_path):
    low, high = (
        sum(predict(place, output=tmp_path / "p.csv", threshold=at).said.values())
        for at in (0.01, 0.99)
    )
    assert high < low
    chosen = predict(place).thresholds
    data = place / "data" / "train"
    moved = data.rename(place / "away")
    try:
        assert predict(place).thresholds == pytest.approx(chosen)
        (run_of(place).path / "thresholds.json").rename(tmp_path / "thresholds.json")
        assert predict(place).thresholds == dict.fromkeys(NAMES, 0.5)
    finally:
        moved.rename(data)


def test_columns_of_zero_and_one(place):
    predict(place, form="zero-one")
    header, *rows = rows_of(place / "p.csv")
    assert header == ["image_id", *NAMES]
    assert {cell for row in rows for cell in row[1:]} == {"0", "1"}
    predict(place)
    plain = [row[1] for row in rows_of(place / "p.csv")[1:]]
    ones = [";".join(n for n, cell in zip(NAMES, row[1:], strict=True) if cell == "1")
            for row in rows]  # fmt: skip
    assert ones == plain


@pytest.mark.parametrize(
    ("header", "cell", "form", "pattern"),
    [
        ("id,tags", "red blue", "labels", r"((blue|green|red)( (blue|green|red))*)?"),
        ("id,tags", "red", "labels", r"((blue|green|red)(;(blue|green|red))*)?"),
        ("id,red,green,blue", "0,0,1", "zero-one", r"[01],[01],[01]"),
        ("id,red,green,blue", "0.5,0.5,0.5", "probabilities", r"([\d.e-]+,){2}[\d.e-]+"),
    ],
)
def test_a_template_shows_the_form(place, tmp_path, header, cell, form, pattern):
    import re

    ids = [f"p{number}" for number in range(919, 899, -1)]
    like = tmp_path / "sample.csv"
    like.write_text("\n".join([header, *(f"{name},{cell}" for name in ids)]) + "\n")
    found = predict(place, like=like)
    assert found.form == form
    first, *lines = (place / "p.csv").read_text().splitlines()
    assert first == header
    assert [line.partition(",")[0] for line in lines] == ids
    assert all(re.fullmatch(pattern, line.partition(",")[2]) for line in lines)
    packed = tunewright.submit("one", predictions=place / "p.csv", output=tmp_path / "s.zip",
                               runs_dir=place / "runs", on_progress=quiet)  # fmt: skip
    assert packed.rows == 20


def test_a_submission_is_checked_and_brings_its_thresholds(place, tmp_path):
    chosen = predict(place).thresholds
    submit = {"runs_dir": place / "runs", "output": tmp_path / "s.zip", "on_progress": quiet}
    assert tunewright.submit("one", predictions=place / "p.csv", **submit).made_here
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        stored = json.loads(archive.read("code/configs/runs/1/thresholds.json"))
    assert stored["thresholds"] == pytest.approx(chosen)
    text = (place / "p.csv").read_text()
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(text.replace("red", "rot", 1))
    with pytest.raises(DataError, match="'rot' is no label of the model"):
        tunewright.submit("one", predictions=wrong, **submit)


def test_single_pictures_say_what_is_predicted(place):
    picture = next((place / "data" / "test").glob("*.png"))
    [one] = tunewright.predict("one", str(picture), runs_dir=place / "runs", on_progress=quiet).top
    assert {row["class"] for row in one["classes"]} == {*NAMES}
    assert all(isinstance(row["predicted"], bool) for row in one["classes"])


def test_the_evaluation_has_a_row_for_each_label(place):
    found = tunewright.evaluate("one", runs_dir=place / "runs").figures
    one = open_classifier(run_of(place), torch.device("cpu"))
    logits = validation_logits(one)[0].double().numpy()
    targets = validation_labels(one).numpy()
    assert found["metrics"]["map"] == pytest.approx(label_scores(targets, logits, targets)["map"])
    assert [row["label"] for row in found["per_label"]] == [*NAMES]
    ends = bootstrap_label_scores(targets, logits, targets).get("map")  # none if all is right
    assert found.get("map_interval") == (None if ends is None else pytest.approx(list(ends)))
    assert set(found["baselines"]) == {"label frequencies", "PCA + logistic regression"}
    assert found["above_baselines"]["label frequencies"]["map"]["low"] > 0
    assert "optimistic" in found["notes"][0]
    assert "confusion" not in found
    names = {"labels.html", "precision_recall.html", "reliability.html", "evaluation.json"}
    assert names <= set(found["files"])
    assert all((run_of(place).path / name).stat().st_size for name in found["files"])


def test_other_data_is_measured_by_the_same_labels(place, tmp_path):
    lines = ["image_id,label"]
    for number in range(900, 920):
        draw(tmp_path / "more", number, labels_of(number))
        lines.append(f"p{number},{';'.join((*labels_of(number), 'pink'))}")
    (tmp_path / "more.csv").write_text("\n".join(lines) + "\n")
    found = tunewright.evaluate("one", data=tmp_path / "more.csv", runs_dir=place / "runs").figures
    assert found["images"] == 20
    assert found["unknown_classes"] == {"pink": 20}
    assert any("pink" in note for note in found["notes"])
    assert found["metrics"]["map"] > 0.6


@pytest.mark.parametrize("method", ["mean", "weighted", "greedy"])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_an_ensemble_averages_each_label(place, method, average):
    found = tunewright.ensemble("one", "two", method=method, average=average,
                                name=f"{method}-{average}", runs_dir=place / "runs",
                                on_progress=quiet)  # fmt: skip
    members = [open_classifier(run_of(place, name), torch.device("cpu")) for name in ("one", "two")]
    logits = torch.stack([validation_logits(one)[0] for one in members]).double()
    weights = [row["weight"] for row in found.members]
    kept = [at for at, weight in enumerate(weights) if weight > 0]
    kind = "probabilities" if average == "probabilities" else "geometric"
    scores = blend_labels(logits[kept], [weights[at] for at in kept], kind).numpy()
    targets = validation_labels(members[0]).numpy()
    assert found.metric == "map"
    assert found.accuracy == pytest.approx(label_scores(targets, scores, targets)["map"])
    assert found.gain["low"] <= found.gain["value"] <= found.gain["high"]
    assert "mean average precision" in found.verdict
    predicted = predict(place, f"{method}-{average}")
    assert set(predicted.thresholds) == {*NAMES}


def test_probabilities_of_an_ensemble_are_means_and_do_not_add_up_to_one():
    logits = torch.tensor([[[0.0, 2.0]], [[1.0, -1.0]]], dtype=torch.float64)
    mean = blend_labels(logits, [0.25, 0.75], "probabilities").exp()
    torch.testing.assert_close(mean, 0.25 * logits[0].sigmoid() + 0.75 * logits[1].sigmoid())
    geometric = blend_labels(logits, [0.25, 0.75], "geometric").exp()
    torch.testing.assert_close(geometric, (0.25 * logits[0] + 0.75 * logits[1]).sigmoid())


@pytest.mark.slow
def test_a_soup_of_equal_runs_is_that_run(place, tmp_path):
    shutil.copytree(place / "runs" / "one", place / "runs" / "same")
    found = tunewright.ensemble("one", "same", method="soup", runs_dir=place / "runs",
                                on_progress=quiet)  # fmt: skip
    assert (found.metric, found.gain["value"]) == ("map", 0.0)
    assert found.accuracy == pytest.approx(run_of(place).read_outcome().metrics["val_map"])
    assert "mean average precision" in found.verdict
    for name in ("one", "soup"):
        predict(place, name, output=tmp_path / f"{name}.csv")
    assert (tmp_path / "soup.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert tunewright.evaluate(place / "runs" / "soup").metrics["map"] == found.accuracy


@pytest.mark.slow
def test_a_greedy_soup_is_chosen_on_one_half_and_judged_on_the_other(place):
    found = tunewright.ensemble("one", "two", method="greedy-soup", name="greedily",
                                runs_dir=place / "runs", on_progress=quiet)  # fmt: skip
    rows = len(validation_labels(open_classifier(run_of(place), torch.device("cpu"))))
    assert found.gain["pictures"] == rows // 2
    assert sum(member["weight"] for member in found.members) == pytest.approx(1.0)
    stored = json.loads((place / "runs" / "greedily" / "soup.json").read_text())
    assert stored["metric"] == "map"
    assert [member["accuracy"] for member in stored["members"]] == [
        pytest.approx(run_of(place, name).read_outcome().metrics["val_map"])
        for name in ("one", "two")
    ]
    best = json.loads((run_of(place, "greedily").checkpoints / "best.json").read_text())
    assert best["metrics"] == {"val_map": pytest.approx(found.accuracy)}


@pytest.mark.parametrize("to", ["safetensors", "torch-export", "onnx"])
def test_an_export_says_how_labels_follow_from_its_logits(place, tmp_path, to):
    if to == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    found = tunewright.export("one", to=to, output=tmp_path / f"m.{to}", runs_dir=place / "runs",
                              on_progress=quiet)  # fmt: skip
    assert found.largest_difference <= found.limit
    if to == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(found.file))
        facts = session.get_modelmeta().custom_metadata_map
        assert json.loads(facts["multi_label"]) is True
        assert len(json.loads(facts["thresholds"])) == 3


def test_onnxruntime_computes_the_logits_of_each_label(place, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    found = tunewright.export("one", to="onnx", output=tmp_path / "m.onnx",
                              runs_dir=place / "runs", on_progress=quiet)  # fmt: skip
    session = onnxruntime.InferenceSession(str(found.file), providers=["CPUExecutionProvider"])
    draws = np.random.default_rng(0)
    pictures = draws.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    (logits,) = session.run(["logits"], {session.get_inputs()[0].name: pictures})
    with torch.no_grad():
        ours = open_classifier(run_of(place), torch.device("cpu")).logits(
            torch.from_numpy(pictures)
        )
    assert logits.shape == (5, 3)
    np.testing.assert_allclose(logits, ours.float().numpy(), rtol=0, atol=1e-4)
    assert np.ptp(logits) > 0.1  # the pictures are told apart


def test_an_export_in_half_precision_is_scored_by_label(place, tmp_path):
    found = tunewright.export("one", half=True, output=tmp_path / "m.safetensors",
                              runs_dir=place / "runs", on_progress=quiet)  # fmt: skip
    assert found.accuracy["metric"] == "map"
    assert found.accuracy["float16"] == pytest.approx(found.accuracy["float32"], abs=0.02)


def test_views_are_judged_by_average_precision(place):
    found = predict(place, tta=True)
    one = open_classifier(run_of(place), torch.device("cpu"))
    from tunewright.classification.inference.tta_views import IMAGE, View

    logits = validation_logits(one, (IMAGE, View("hflip", hflip=True))).double()
    targets = validation_labels(one).numpy()
    gain = map_difference(targets, logits.mean(0).numpy(), logits[0].numpy())
    assert found.tta["metric"] == "map"
    assert found.tta["gain"]["value"] == pytest.approx(gain.value, abs=1e-9)


def test_options_of_one_label_a_picture_are_refused(place):
    with pytest.raises(UsageError, match="--threshold"):
        predict(place, logit_adjustment=1.0)


def test_an_unreadable_picture_has_no_label(place, tmp_path):
    draw(tmp_path, 1, ("red",))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    found = predict(place, data=tmp_path, output=tmp_path / "p.csv", skip_bad=True)
    assert dict(rows_of(tmp_path / "p.csv")[1:])["bad"] == ""
    assert list(found.skipped) == ["bad"]


def test_longtail_learns_several_labels_too(place):
    folder = train(place, "tail", "training.epochs=1", recipe="longtail")
    assert "val_map" in folder.read_outcome().metrics
    assert tunewright.evaluate(folder.path).metrics["map"] > 0


def test_a_search_goes_to_its_end(place):
    found = tunewright.tune(
        "flowers", f"data.dir={place / 'data'}", "data.multi_label=true", "data.image_size=32",
        "data.val_split=0.4", "model.name=test_resnet", "model.pretrained=false",
        "training.epochs=2", "stages.explore.training.epochs=1", "executor.type=inline",
        "executor.threads=1", trials=4, name="search", runs_dir=place / "runs",
    )  # fmt: skip
    assert found.ending == "finished"
    assert (found.record.goal, len(found.record.own)) == ("val_map", 4)
    losses = {trial.parameters["loss.type"] for trial in found.record.own}
    assert losses <= {"binary_cross_entropy", "asymmetric"}
    assert found.evaluation.metrics["map"] > 0
    assert predict(place, place / "runs" / "search" / "final").separator == ";"


def test_patients_with_several_diagnoses(tmp_path):
    data = Path(__file__).parents[4] / "shared" / "data" / "odir_pairs"
    if not data.is_dir():
        pytest.skip("needs the fundus photographs of odir_pairs")
    trained = tunewright.train(
        "flowers", f"data.dir={data}", "data.multi_label=true", "data.group_by=patient_id",
        "data.columns={image: left_file, classes: [N, D, G, C, A, H, M, O]}",
        "data.image_size=32", "model.name=test_resnet", "training.epochs=1",
        "executor.type=inline", "executor.threads=1", runs_dir=tmp_path,
    )  # fmt: skip
    figures = tunewright.evaluate(trained.folders[0].path).figures
    assert [row["label"] for row in figures["per_label"]] == [*"NDGCAHMO"]
    assert figures["images"] == 137
