"""What errors of `analyze`, `report` and the analyzer of searches advise, followed by hand."""

import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from follow_remedies import Case, follow, run
from tunewright import HyperparameterAnalyzer
from tunewright.errors import TunewrightError

pytestmark = pytest.mark.slow  # each is quick, and they are many
SEARCH = "analyze search --rate-distortion"
TUNE = "tune quadratic executor.type=inline study.report=false study.final=false --trials 3"


def put(name: str, text: str = "") -> Callable[[], object]:
    return lambda: Path(name).write_text(text, encoding="utf-8")


CASES = {
    "a metric without a direction": Case(
        f"{SEARCH} --metric lpips_like", "Write lpips_like:max or lpips_like:min",
        f"{SEARCH} --metric lpips_like:min",
    ),
    "a metric misspelt": Case(
        f"{SEARCH} --metric psnrr", "Did you mean 'psnr'?", f"{SEARCH} --metric psnr"
    ),
    "a metric that no result has": Case(
        f"{SEARCH} --metric lpips_lik:min", "Did you mean 'lpips_like'?",
        f"{SEARCH} --metric lpips_like:min",
    ),
    "a report in a file": Case(
        f"{SEARCH} --output file/there", "choose another path", f"{SEARCH} --output folder/there",
        put("file"),
    ),
    "a heat map without a folder": Case(
        "analyze runs/study/study.db --heatmap point.x,point.y", "--output heatmap.png",
        "analyze runs/study/study.db --heatmap point.x,point.y --output heatmap.png",
    ),
    "a parameter of a heat map": Case(
        "analyze study --heatmap point.x,point.yy", "Did you mean 'point.y'?",
        "analyze study --heatmap point.x,point.y",
    ),
    "a figure of a run": Case(
        "report run --figure history", "tunewright report runs/run", "report runs/run"
    ),
    "a figure misspelt": Case(
        "report study --figure histry", "Did you mean 'history'?", "report study --figure history"
    ),
    "a figure of another kind": Case(
        "report study --figure history --output history.txt", "--output history.png",
        "report study --figure history --output history.png",
    ),
    "a figure in a file": Case(
        "report study --figure history --output file/history.png", "choose another path",
        "report study --figure history --output folder/history.png", put("file"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with a study, a run, and the results of a search by other means."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        run(*TUNE.split(), "--name", "study")
        run("train", "quadratic", "executor.type=inline", "training.epochs=2", "--name", "run")
        for gamma in ("0.001", "0.01"):
            for w_lr in ("0.025", "0.05"):
                place = Path("search", f"lambda_0.013_gamma_{gamma}_wlr_{w_lr}")
                place.mkdir(parents=True)
                metrics = {"psnr": 30 + float(w_lr), "bpp": 0.3, "lpips_like": 0.1}
                (place / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_report_helps(name, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    follow(CASES[name])


def test_the_advice_of_the_analyzer_helps(sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    analyzer = HyperparameterAnalyzer("search")
    analyzer.analyze("psnr")
    with pytest.raises(TunewrightError, match="Did you mean 'gamma'"):
        analyzer.heat_map("gama", "w_lr", "psnr")
    analyzer.heat_map("gamma", "w_lr", "psnr")
    Path("file").touch()
    with pytest.raises(TunewrightError, match="choose another path"):
        analyzer.save_report("file/report.txt")
    analyzer.save_report("folder/report.txt")
