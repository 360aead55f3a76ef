"""Heat maps of studies of any recipe, and studies of `compression` as results."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import create_trial

import tunewright
from tunewright import cli
from tunewright.deliver.results import study_results
from tunewright.deliver.results.search_analysis import analyze_search
from tunewright.deliver.results.study_results import read_study_results
from tunewright.errors import StudyError, UsageError
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Goal, Outcome, StudyRecord, Trial

WIDE = {"a.lr": FloatDistribution(1e-5, 1e-1, log=True), "b.x": FloatDistribution(0, 1)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of Optuna's own: 40 drawn trials of two numbers and a text, one of them awful."""
    file = tmp_path_factory.mktemp("made") / "study.db"
    storage = RDBStorage(f"sqlite:///{file}")
    study = optuna.create_study(study_name="s", storage=storage)
    kinds = CategoricalDistribution(["sgd", "adam", None])
    for n in range(40):
        params = {"a.lr": 10 ** -(1 + n % 4 + n / 50), "b.x": n / 40, "kind": kinds.choices[n % 3]}
        study.add_trial(
            create_trial(
                params=params,
                distributions={**WIDE, "kind": kinds},
                value=1e6 if n == 7 else float(n % 4),
            )
        )
    storage.remove_session()
    storage.engine.dispose()
    return file


@pytest.fixture
def database(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of that study's file in the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(made, "study.db")
    return "study.db"


def typed(monkeypatch: Any, capsys: Any, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tunewright", "analyze", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


@pytest.mark.parametrize("suffix", ["png", "html", "svg"])
def test_any_study_is_drawn(
    database: str, tmp_path: Path, monkeypatch: Any, capsys: Any, suffix: str
) -> None:
    words = ["--heatmap", "lr,x", "--output", f"map.{suffix}"]
    code, out, _ = typed(monkeypatch, capsys, database, *words)
    assert code == 0
    assert f"map.{suffix}" in out
    assert "lr was drawn from a range: its numbers are gathered in 8 logarithmic ranges" in out
    assert (tmp_path / f"map.{suffix}").stat().st_size > 5000


def test_texts_and_unset_values(database: str) -> None:
    found = tunewright.analyze(database, heatmap="kind,x", output="map.png").heat_map
    assert found is not None
    assert found.x.labels == ("adam", "sgd", "not set")
    assert found.runs == 40
    assert (found.metric, found.direction) == ("value", "min")


def test_as_json(database: str, monkeypatch: Any, capsys: Any) -> None:
    words = ["--heatmap", "kind,x", "--output", "map.png", "--json"]
    _, out, _ = typed(monkeypatch, capsys, database, *words)
    shown = json.loads(out)
    assert shown["plots"] == ["map.png"]
    assert shown["heat_map"]["x"]["labels"] == ["adam", "sgd", "not set"]
    _, out, _ = typed(monkeypatch, capsys, database, "--json")
    assert "heat_map" not in json.loads(out)


@pytest.mark.parametrize(
    ("heatmap", "said"),
    [
        ("lr", "two parameters"),
        ("lr,lr", "two parameters"),
        ("lr,momentum", "no parameter 'momentum': expected one of"),
    ],
)
def test_wrong_parameters(database: str, heatmap: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tunewright.analyze(database, heatmap=heatmap, output="map.png")


def test_wrong_files(database: str) -> None:
    with pytest.raises(UsageError, match=r"map\.jpg"):
        tunewright.analyze(database, heatmap="lr,x", output="map.jpg")
    with pytest.raises(StudyError, match=r"without its folder.*--output heatmap\.png"):
        tunewright.analyze(database, heatmap="lr,x")


class View:
    """A study of `compression`: two trials, the first of them with two seeds."""

    def __init__(self, folder: Path, lmbda: float) -> None:
        gammas = ({"balance.gamma": 0.001}, {"balance.gamma": 0.003})
        trials = [Trial(n, "done", gamma, 1.5, {}) for n, gamma in enumerate(gammas)]
        trials.append(Trial(2, "pruned", gammas[0], 9.0, {}))
        self.record = StudyRecord(folder.name, "compression", "val_loss", "min", tuple(trials))
        self.folder = StudyFolder(folder)
        self.configuration = {
            "loss": {"type": "mse", "lmbda": lmbda, "quality": None},
            "balance": {"type": "famo", "w_lr": 0.025, "gamma": 0.003},
        }
        for number, seeds in ((0, 2), (1, 1)):
            first = self.folder.trial(number)
            for run in [first, *(first.by_seed(seed) for seed in range(1, seeds))]:
                attempt = run.begin_attempt()
                metrics = {"val_loss": 1.5, "val_psnr": 30.0 + number + len(run.path.name) / 100}
                run.write_outcome(Outcome("done", attempt, best_step=4, metrics=metrics))


def test_studies_of_one_lambda_each_are_joined(tmp_path: Path, monkeypatch: Any) -> None:
    views = {lmbda: View(tmp_path / str(lmbda), lmbda) for lmbda in (0.0067, 0.013)}
    monkeypatch.setattr(study_results, "read_study", lambda folder: views[float(Path(folder).name)])
    found = read_study_results(tmp_path / "0.0067") + read_study_results(tmp_path / "0.013")
    assert len(found.results) == 6
    analysis = analyze_search(found, Goal("psnr", "max"))
    assert [ranking.lmbda for ranking in analysis.rankings] == [0.0067, 0.013]
    best, other = analysis.rankings[0].cells
    assert (best.parameters, best.runs) == ({"gamma": 0.003, "w_lr": 0.025}, 1)
    assert (other.parameters, other.runs) == ({"gamma": 0.001, "w_lr": 0.025}, 2)
    assert any("1 pruned trials are left out" in notice for notice in analysis.notices)
    assert any("best checkpoint counts, of epoch 4 to 4" in notice for notice in analysis.notices)


def test_a_study_of_another_recipe_is_left_out(tmp_path: Path, monkeypatch: Any) -> None:
    record = StudyRecord("s", "flowers", "val_f1", "max", ())
    monkeypatch.setattr(
        study_results, "read_study", lambda _: type("Other", (), {"record": record})
    )
    assert read_study_results(tmp_path).notices[0].endswith("is a study of flowers: left out")
