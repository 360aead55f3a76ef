"""`check`: a report of limits."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run
from rich.console import Console

import tunewright
from tunewright import cli
from tunewright.cli.output.classification import print_checked
from tunewright.deliver.classification import check as module
from tunewright.errors import UsageError
from tunewright.runs.atomic import write_json


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("check")
    draw_set(place / "data")
    for seed in (1, 2):
        made_run(place / "runs" / f"run{seed}", place / "data", seed=seed, steps=1)
    stored = {"runs": ["../run1", "../run2"], "weights": [0.5, 0.5], "average": "probabilities"}
    write_json(place / "runs" / "both" / "ensemble.json", stored)
    return place / "runs"


def checked(runs: Path, run: str = "run1", **options):
    generous = {"max_latency": "1000s", "input_size": 48, "on_progress": quiet, "runs_dir": runs}
    return tunewright.check(run, **(generous | options))


def passed(report) -> dict[str, bool | None]:
    return {row.name: row.passed for row in report.rows}


def test_everything_within_its_limits(runs):
    report = checked(runs)
    assert report.passed
    assert passed(report) == {
        "size": True,
        "size, if exported so": None,
        "latency, file to label": True,
        "latency, models alone": None,
        "parameters": True,
        "input": True,
    }
    stored = json.loads((runs / "run1" / "check.json").read_text())
    assert stored["passed"]
    assert stored["whole"]["runs"] >= 100
    assert stored["whole"]["warm_ups"] >= 10


def test_a_run_that_may_only_be_read_is_reported_all_the_same(runs, tmp_path):
    """Root may write anywhere; where a folder stands, nobody can."""
    shutil.copytree(runs / "run1", tmp_path / "run1")
    (tmp_path / "run1" / "check.json").unlink(missing_ok=True)
    (tmp_path / "run1" / "check.json").mkdir()
    report = checked(tmp_path)
    assert report.passed
    assert any("check.json cannot be written" in note for note in report.notes)


def test_the_size_is_that_of_the_exported_file(runs):
    report = checked(runs)
    for half, name in ((False, "float32"), (True, "float16")):
        file = tunewright.export("run1", half=half, runs_dir=runs, on_progress=quiet)
        assert report.figures.bytes[name] == [file.bytes]


def test_a_model_too_large_passes_in_half_and_both_are_named(runs):
    whole, half = (checked(runs).figures.bytes[name][0] for name in ("float32", "float16"))
    limit = (whole + half) // 2
    report = checked(runs, max_size=limit)
    assert passed(report)["size"] is False
    assert not report.passed
    assert "it would pass" in report.rows[1].measured
    assert any("--half" in note for note in report.notes)
    assert checked(runs, max_size=limit, half=True).passed


def test_sizes_have_both_units():
    assert module.in_megabytes(749.1 * 2**20) == "785.5 MB (749.1 MiB)"


@pytest.mark.parametrize(
    ("options", "row"),
    [
        ({"max_latency": 1e-6}, "latency, file to label"),
        ({"max_params": 100}, "parameters"),
        ({"max_size": "1kB"}, "size"),
    ],
)
def test_each_limit_fails_by_itself(runs, options, row):
    report = checked(runs, **options)
    assert {name for name, ok in passed(report).items() if ok is False} == {row}


def test_an_ensemble_adds_its_sizes_and_views_are_counted(runs):
    report = checked(runs, "both", tta=True)
    one = checked(runs)
    assert sum(report.figures.bytes["float32"]) == 2 * one.figures.bytes["float32"][0]
    assert report.figures.parameters == 2 * one.figures.parameters
    assert report.figures.views == ("image", "hflip")
    assert any("2 view(s) (image, hflip), 2 model(s)" in note for note in report.notes)
    assert "2 files" in report.rows[0].measured


def test_declared_and_native_input_are_both_told(runs):
    report = checked(runs, input_size=600)
    assert "600 x 600 is taken, the model sees 16 x 16" in report.rows[-1].measured


def test_what_drop_path_and_amp_do_not_do(runs):
    notes = " ".join(checked(runs).notes)
    assert "drop_path_rate changes no byte" in notes
    assert "use_amp acts in training" in notes
    assert "study.constraints=['size_mib <=" in notes


def test_benchmark_adds_other_precisions(runs):
    report = checked(runs, benchmark=True)
    assert "bfloat16 autocast" in report.figures.precisions
    assert "float32" not in report.figures.precisions  # it is what was judged
    figures = tunewright.benchmark(
        "run1", tta=True, input_size=48, runs_dir=runs, on_progress=quiet
    )
    assert figures.views == ("image", "hflip")
    assert set(figures.precisions) == set(report.figures.precisions)


def test_benchmark_shows_the_latency_that_was_judged(runs, capsys):
    report = checked(runs, benchmark=True)
    print_checked(Console(width=120), report)
    (line,) = (text for text in capsys.readouterr().out.splitlines() if "alone, float32 " in text)
    judged = report.figures.models
    assert f"{judged['p50_ms']:.2f}" in line
    assert f"{judged['p95_ms']:.2f}" in line


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_size": "500 apples"}, "--max-size 500 apples: expected a size such as 500MB"),
        ({"max_latency": "-1ms"}, "a time such as 100ms"),
        ({"max_params": "0"}, "above zero"),
        ({"input_size": 0}, "pixels on a side"),
    ],
)
def test_limits_that_cannot_be_read(runs, options, text):
    with pytest.raises(UsageError, match=text):
        checked(runs, **options)


def test_the_exit_code_tells(runs, monkeypatch, capsys):
    for limit, code, word in (("1000s", 0, "passed"), ("0.000001ms", 1, "FAILED")):
        words = ["check", "run1", "--runs-dir", str(runs), "--max-latency", limit]
        words += ["--input", "48"]
        monkeypatch.setattr(sys, "argv", ["tunewright", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert (caught.value.code or 0) == code
        assert word in capsys.readouterr().out
