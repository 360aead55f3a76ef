"""What the commands about classifiers print, and with which exit code they end."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set, draw_test
from practice.pictures.made import made_run

from tunewright import cli


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("commands")
    draw_set(place / "data")
    draw_test(place / "test", 6)
    for seed in (1, 2):
        made_run(place / "runs" / f"run{seed}", place / "data", seed=seed, steps=8)
    return place


@pytest.fixture
def here(place, tmp_path, monkeypatch) -> Path:
    """A working folder with `runs` and `test` in it."""
    shutil.copytree(place / "runs", tmp_path / "runs")
    shutil.copytree(place / "test", tmp_path / "test")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(monkeypatch, capsys, *words):
    """Exit code, stdout and stderr of a command run in this process."""
    monkeypatch.setattr(sys, "argv", ["tunewright", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return caught.value.code or 0, out, err


def test_from_predictions_to_a_submission(here, monkeypatch, capsys):
    code, out, _ = typed(monkeypatch, capsys, "predict", "runs/run1", "--data", "test")
    assert code == 0
    assert "6 predictions of" in out
    assert "next: tunewright submit runs/run1 --predictions predictions.csv" in out
    words = ("submit", "--checkpoint", "runs/run1", "--predictions", "predictions.csv")
    code, out, _ = typed(monkeypatch, capsys, *words)
    assert code == 0
    assert "6 predictions are in order" in out
    assert "model/best_model.safetensors" in out
    assert (here / "submission.zip").exists()
    code, out, _ = typed(monkeypatch, capsys, *words, "--verify-only")
    assert (code, "is whole, nothing was written" in out) == (0, True)


def test_views_as_words_as_a_list_and_as_a_flag(here, monkeypatch, capsys):
    words = ("predict", "run1", "tta.rotate=5", "tta.hflip=false", "--data", "test", "--force")
    _, out, _ = typed(monkeypatch, capsys, *words)
    assert "views image, rotate+5, rotate-5: validation accuracy" in out
    _, out, _ = typed(
        monkeypatch, capsys, "predict", "run1", "--views", "vflip", "--data", "test", "--force"
    )
    assert "views image, vflip: validation accuracy" in out
    words = ("predict", "run1", "--tta", "--data", "test", "--force", "--json")
    _, out, _ = typed(monkeypatch, capsys, *words)
    assert json.loads(out)["views"] == ["image", "hflip"]


def test_without_a_run_the_newest_is_named(here, monkeypatch, capsys):
    code, out, _ = typed(monkeypatch, capsys, "predict", "--data", "test", "--output", "a/b.csv")
    assert code == 0
    assert "note: using the newest run" in out
    assert (here / "a" / "b.csv").exists()
    assert "--predictions a/b.csv" in out
    _, out, _ = typed(monkeypatch, capsys, "predict", "--data", "test", "--output", "a b.csv")
    assert "--predictions 'a b.csv'" in out
    code, out, _ = typed(
        monkeypatch, capsys, "predict", "tta.vflip=true", "--data", "test", "--force"
    )
    assert (code, "views image, hflip, vflip" in out) == (0, True)


def test_benchmark_predicts_nothing(here, monkeypatch, capsys):
    code, out, _ = typed(monkeypatch, capsys, "predict", "--checkpoint", "runs/run1", "--benchmark")
    assert code == 0
    assert "file to label" in out
    assert not (here / "predictions.csv").exists()


def test_an_ensemble_says_what_it_gained(here, monkeypatch, capsys):
    monkeypatch.setattr("tunewright.deliver.classification.ensemble_report.INPUT", 48)
    code, out, _ = typed(monkeypatch, capsys, "ensemble", "run1", "run2", "--name", "both")
    assert code == 0
    assert "the best single run" in out
    assert "next: tunewright predict runs/both --data DIR" in out
    code, _, _ = typed(monkeypatch, capsys, "predict", "both", "--data", "test")
    assert code == 0


def test_an_export_says_how_near_it_is(here, monkeypatch, capsys):
    code, out, _ = typed(monkeypatch, capsys, "export", "run1", "--to", "safetensors", "--half")
    assert code == 0
    assert "max |delta| of the logits" in out
    assert "in float32" in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["predict", "nobody", "--data", "test"], "no trained run in nobody"),
        (["predict", "run1", "--data", "nowhere"], "nowhere does not exist"),
        (["predict", "--checkpoint", "results/checkpoints/best_model.pt"], "does not exist"),
        (["ensemble", "run1"], "two runs or more"),
        (["export", "run1", "--to", "tflite"], "one of onnx, safetensors, torch-export"),
        (["submit", "run1"], "predictions.csv does not exist"),
        (["check", "run1", "--max-size", "small"], "a size such as 500MB"),
    ],
)
def test_slips_end_with_2(here, monkeypatch, capsys, words, text):
    code, out, err = typed(monkeypatch, capsys, *words)
    assert (code, out) == (2, "")
    assert text in err


def test_every_command_has_a_page_of_help(monkeypatch, capsys):
    for command in ("predict", "ensemble", "check", "export", "submit"):
        code, out, _ = typed(monkeypatch, capsys, command, "--help")
        assert code == 0
        assert "--runs-dir" in out
