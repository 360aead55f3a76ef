"""Importances as `analyze`, its JSON, Python and the report show them."""

import json
import re

import pytest

import tunewright
from tunewright.cli import main
from tunewright.errors import UsageError

UNIT = {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}


def train(params, report):
    """`x` moves the score, `y` the error of the tail."""
    score = -((params["x"] - 0.3) ** 2)
    report(1, metrics={"value": score, "tail_error": abs(params["y"] - 0.7)})
    return {"value": score, "tail_error": abs(params["y"] - 0.7)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    runs = tmp_path_factory.mktemp("importances")
    space = {"x": UNIT, "y": UNIT, "z": UNIT}
    words = ("executor.type=inline", "study.pruner.type=none", "study.sampler.type=random")
    named = {"goal": "value:max", "trials": 40, "name": "study", "runs_dir": runs}
    tunewright.tune(train, space, *words, **named)
    return runs


def typed(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["tunewright", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, *capsys.readouterr()


def test_the_terminal_shows_intervals_and_other_metrics(runs, monkeypatch, capsys):
    code, out, _ = typed(monkeypatch, capsys, "analyze", "study", "--runs-dir", runs)
    assert code == 0
    assert "importance (PED-ANOVA, 40 finished trials)" in out
    assert re.search(r"x\s*│\s*0\.\d\d\s*│\s*0\.\d\d \.\. \d\.\d\d", out)
    assert re.search(r"tail_error\s*│ y 0\.\d\d", out)


def test_another_metric_and_method_can_be_asked_for(runs, monkeypatch, capsys):
    words = ("analyze", "study", "--runs-dir", runs)
    _, out, _ = typed(monkeypatch, capsys, *words, "--metric", "tail_error")
    assert "importance for tail_error, less is better (PED-ANOVA" in out
    _, out, _ = typed(monkeypatch, capsys, *words, "--importance", "fanova")
    assert "importance (fANOVA, 40 finished trials)" in out
    code, _, err = typed(monkeypatch, capsys, *words, "--metric", "tail_eror")
    assert code == 2
    assert "has the metric 'tail_eror'" in err
    assert "Did you mean 'tail_error'?" in err
    code, _, err = typed(monkeypatch, capsys, *words, "--importance", "anova")
    assert code == 2
    assert "ped-anova, fanova" in err


def test_json_python_and_the_report_agree(runs, monkeypatch, capsys):
    _, out, _ = typed(monkeypatch, capsys, "analyze", "study", "--runs-dir", runs, "--json")
    shown = json.loads(out)
    rows = {row["parameter"]: row for row in shown["importance_details"]["parameters"]}
    assert shown["importances"] == {path: rows[path]["share"] for path in shown["importances"]}
    [other] = [o for o in shown["other_importances"] if o["metric"] == "tail_error"]
    assert other["direction"] == "min"
    view = tunewright.analyze("study", runs_dir=runs)
    assert view.importances().shares == shown["importances"]
    asked = view.importances("tail_error:min")
    assert asked.shares == {row["parameter"]: row["share"] for row in other["parameters"]}
    with pytest.raises(UsageError, match="no finished trial"):
        view.importances("other:max")
    tunewright.report("study", runs_dir=runs)
    page = (runs / "study" / "report.html").read_text()
    charts = {
        title: json.loads(chart)
        for title, _, chart in re.findall(
            r'<h3>([^<]*)</h3>\s*<div class="plot" id="([^"]*)".*?data-for="\2">(.*?)</script>',
            page,
            re.S,
        )
    }
    bars = charts["Importance of each parameter"]["data"][0]
    assert dict(zip(bars["y"], bars["x"], strict=True)) == pytest.approx(
        shown["importances"], rel=1e-3
    )
    assert bars["error_x"]["array"]
    tail = charts["Importances for tail_error"]["data"][0]
    assert tail["y"][-1] == "y"


def test_figures_of_importances_are_files(runs, tmp_path):
    for kind in ("importances", "metrics"):
        file = tmp_path / f"{kind}.svg"
        tunewright.report("study", figure=kind, output=file, runs_dir=runs)
        assert file.stat().st_size > 2000
    file = tmp_path / "fanova.html"
    tunewright.report(
        "study", figure="importances", output=file, importance="fanova", runs_dir=runs
    )
    assert "fANOVA, 40 finished trials" in file.read_text()
