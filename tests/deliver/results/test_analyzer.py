"""The analyzer on folders, W&B runs and tables: missing, repeated, damaged and foreign cells."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import tunewright
from tunewright import HyperparameterAnalyzer, cli
from tunewright.deliver.results import analyzer as module
from tunewright.errors import DataError, UsageError

FOLDERS = "lambda_{}_gamma_{}_wlr_{}"


def result(place: Path, name: str, metrics: object) -> None:
    (place / name).mkdir(parents=True)
    text = metrics if isinstance(metrics, str) else json.dumps(metrics)
    (place / name / "metrics.json").write_text(text)


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """Two lambdas, 3 x 2 cells of two seeds, of which one cell is missing at the second lambda."""
    place = tmp_path / "hparam_search"
    for lmbda in ("0.0067", "0.013"):
        for row, gamma in enumerate(("0.001", "3e-3", "0.01")):
            for column, w_lr in enumerate(("0.025", "0.05")):
                if (lmbda, gamma, w_lr) == ("0.013", "0.01", "0.05"):
                    continue
                for seed in (1, 2):
                    psnr = 30 + (gamma == "3e-3" and w_lr == "0.025") + 0.01 * seed + row * 0.02
                    name = FOLDERS.format(lmbda, gamma, w_lr) + f"_seed_{seed}"
                    result(place, name, {"psnr": psnr, "bpp": 0.3 + 0.05 * column, "loss": 1.0})
    return place


def test_the_six_methods_of_the_guide(search: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    analyzer = HyperparameterAnalyzer("./hparam_search")
    analyzer.load_results()

    results = analyzer.analyze(metric="psnr", maximize=True)
    recommendations = analyzer.recommend_parameters(top_k=5, lambda_value=0.013)

    files = analyzer.plot_heatmap("gamma", "w_lr", "psnr", lambda_value=0.013)
    plots = analyzer.plot_comparison("gamma")

    analyzer.save_report("hparam_report.txt")
    assert results.runs == 22
    assert recommendations[0].parameters == {"gamma": 0.003, "w_lr": 0.025}
    assert not recommendations[0].tied
    assert len(recommendations) == 5
    assert [file.suffix for file in files] == [".png", ".html"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert all(file.stat().st_size > 1000 for file in [*files, *plots])
    report = (tmp_path / "hparam_report.txt").read_text()
    assert "gamma = 0.003, w_lr = 0.025 is better than all others by more than the noise" in report
    assert "psnr alone favours cells that spend more bits" in report


def test_the_missing_cell_is_blank_and_repeats_are_counted(search: Path) -> None:
    found = HyperparameterAnalyzer(search).heat_map("gamma", "w_lr", "psnr", 0.013)
    assert found.x.labels == ("0.001", "0.003", "0.01")
    assert found.means[1][2] is None
    assert found.counts == ((2, 2, 2), (2, 2, 0))


def test_within_the_noise_nothing_is_recommended(tmp_path: Path) -> None:
    for place, psnr in enumerate([30.0, 30.1, 30.3, 30.2, 30.1, 30.05]):
        gamma = (0.001, 0.003)[place % 2]
        result(tmp_path, FOLDERS.format(0.013, gamma, 0.025) + f"_{place}", {"psnr": psnr})
    analyzer = HyperparameterAnalyzer(tmp_path)
    ranking = analyzer.analyze("psnr").rankings[0]
    assert ranking.recommended is None
    assert "tied: the runs do not tell 2 of 2 combinations apart" in ranking.verdict
    assert [one.tied for one in analyzer.recommend_parameters()] == [True, True]


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ('{"psnr": 3', "cut off or damaged"),
        ('{"psnr": NaN}', "no number in it is finite"),
        ({"loss": 2.0}, "has no psnr (it has loss)"),
        ({"psnr": float("inf"), "loss": 1.0}, "has no psnr"),
        ("[]", "it is empty"),
        ("7", "no object with metrics"),
    ],
)
def test_damaged_cells_are_noticed(search: Path, metrics: object, said: str) -> None:
    result(search, FOLDERS.format(0.013, 0.002, 0.05), metrics)
    found = HyperparameterAnalyzer(search).analyze("psnr")
    assert found.runs == 22
    assert any(said in notice for notice in found.notices), found.notices


@pytest.mark.parametrize("gamma", ["nan", "x", "-0.1"])
def test_names_that_hold_no_number_are_noticed(search: Path, gamma: str) -> None:
    result(search, FOLDERS.format(0.013, gamma, 0.05), {"psnr": 30.0})
    found = HyperparameterAnalyzer(search).analyze("psnr")
    assert any("gamma = " in notice and "in its name" in notice for notice in found.notices)


def test_the_best_step_of_a_history_counts_not_the_last(tmp_path: Path) -> None:
    rows = [{"epoch": e, "psnr": p, "bpp": 0.1 * e} for e, p in enumerate([20.0, 30.0, 25.0])]
    result(tmp_path, FOLDERS.format(0.013, 0.001, 0.05), rows)
    result(tmp_path, FOLDERS.format(0.013, 0.003, 0.05), {"psnr": [1.0, 2.0, 29.0]})
    found = HyperparameterAnalyzer(tmp_path).analyze("psnr")
    assert [cell.mean for cell in found.rankings[0].cells] == [30.0, 29.0]
    assert found.rankings[0].cells[0].beside == {"bpp": 0.1}  # of the same step
    assert any("the step with the best psnr counts" in notice for notice in found.notices)


def test_a_lambda_that_no_result_has(search: Path) -> None:
    analyzer = HyperparameterAnalyzer(search)
    with pytest.raises(UsageError, match=r"no result with lambda 0\.02.*0\.0067, 0\.013"):
        analyzer.recommend_parameters(lambda_value=0.02)
    with pytest.raises(UsageError, match="no lambda was named"):
        analyzer.heat_map("gamma", "w_lr")


def test_a_lambda_outside_the_tables_is_noticed(tmp_path: Path) -> None:
    result(tmp_path, FOLDERS.format(0.5, 0.001, 0.05), {"psnr": 30.0})
    found = HyperparameterAnalyzer(tmp_path).analyze("psnr")
    assert any("lambda = 0.5 lies outside the tables" in notice for notice in found.notices)


def test_equal_numbers_are_one_cell(tmp_path: Path) -> None:
    for place, gamma in enumerate(("1e-3", ".001", "0.001")):
        result(tmp_path / str(place), FOLDERS.format("0.0130", gamma, "0.05"), {"psnr": 30 + place})
    found = HyperparameterAnalyzer(tmp_path).analyze("psnr")
    assert [cell.runs for cell in found.rankings[0].cells] == [3]


def test_a_metric_without_a_direction(search: Path) -> None:
    with pytest.raises(UsageError, match="accuracy:max"):
        HyperparameterAnalyzer(search).analyze("accuracy")
    with pytest.raises(DataError, match=r"none of 22 results has the metric accuracy.*psnr"):
        HyperparameterAnalyzer(search).analyze("accuracy", maximize=True)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        HyperparameterAnalyzer(tmp_path / "none").load_results()
    with pytest.raises(DataError, match="holds no result of a training"):
        HyperparameterAnalyzer(tmp_path).load_results()


def test_tables_of_trackers_and_of_optuna(tmp_path: Path) -> None:
    (tmp_path / "wandb.csv").write_text(
        " Name, State ,lambda,gamma,w_lr, val/psnr \n"
        "a,finished,0.013,0.001,0.05,30.5\n"
        "b,crashed,0.013,1e-3,0.05,30.7\n"
        "c,running,0.013,0.003,0.05,30.9\n"
    )
    (tmp_path / "optuna.csv").write_text(
        "number,value,params_gamma,params_w_lr,state,psnr\n0,1.0,0.003,0.05,COMPLETE,31.0\n"
    )
    (tmp_path / "notes.csv").write_text("who,what\nme,nothing\n")
    found = HyperparameterAnalyzer(tmp_path).analyze("psnr")
    cell = next(r for r in found.rankings if r.lmbda == 0.013).cells[0]
    assert (cell.mean, cell.runs, cell.badly) == (pytest.approx(30.6), 2, 1)
    assert any("its state is 'running'" in notice for notice in found.notices)
    assert any("marked as crashed" in notice for notice in found.notices)
    assert any("notes.csv has no column gamma" in notice for notice in found.notices)
    assert any("1 results tell no lambda" in notice for notice in found.notices)


def test_results_without_a_lambda_beside_others(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    result(tmp_path, FOLDERS.format(0.013, 0.001, 0.05), {"psnr": 30.0})
    (tmp_path / "optuna.csv").write_text("params_gamma,params_w_lr,psnr\n0.003,0.05,31.0\n")
    code, out, _ = typed(monkeypatch, capsys, str(tmp_path), "--rate-distortion")
    assert code == 0
    assert "no lambda: 1 of 1 combinations" in out
    assert [file.name for file in tmp_path.glob("heatmap*.png")] == [
        "heatmap_gamma_w_lr_psnr_lambda_0.013.png"
    ]


def typed(monkeypatch: Any, capsys: Any, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tunewright", "analyze", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_by_the_command(search: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    words = [str(search), "--rate-distortion", "--output", str(tmp_path / "out")]
    code, out, _ = typed(monkeypatch, capsys, *words)
    assert code == 0
    assert "is better than all others by more than the noise" in out
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert {"hparam_report.txt", "heatmap_gamma_w_lr_psnr_lambda_0.013.png"} <= names
    assert "comparison_w_lr.html" in names


def test_as_json(search: Path, monkeypatch: Any, capsys: Any) -> None:
    code, out, _ = typed(monkeypatch, capsys, str(search), "--rate-distortion", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["rankings"][1]["cells"][0]["parameters"] == {"gamma": 0.003, "w_lr": 0.025}
    assert set(found["verdicts"]) == {"0.0067", "0.013"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lambda", "0.5"], "--rate-distortion"),
        (["--output", "x.png"], "--heatmap with two parameters"),
        (["--rate-distortion", "--trial", "3"], "--rate-distortion has no use for it"),
        (["--rate-distortion", "--lambda", "0.02"], "no result with lambda 0.02"),
        (["--rate-distortion", "--heatmap", "gamma"], "two parameters"),
        (["--rate-distortion", "--heatmap", "gamma,beta"], "no parameter 'beta'"),
        (["--rate-distortion", "--output", "x.png"], "a folder"),
    ],
)
def test_wrong_words(
    search: Path, monkeypatch: Any, capsys: Any, words: list[str], said: str
) -> None:
    code, _, err = typed(monkeypatch, capsys, str(search), *words)
    assert code == 2
    assert said in err


def test_the_class_is_the_packages_own() -> None:
    assert tunewright.HyperparameterAnalyzer is module.HyperparameterAnalyzer
