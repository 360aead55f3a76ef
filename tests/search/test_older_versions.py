"""Studies, runs and databases of earlier versions open, and go on where they were killed."""

import json
import zipfile
from pathlib import Path

import optuna
import pytest
from typer.testing import CliRunner

from tunewright.cli import app

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "version_0_1_0.zip"
TYPED = (
    *("training.precision=fp32", "training.layout=contiguous", "training.compile=never"),
    *("executor.threads=1", "training.checkpoint_seconds=0", "model.output_dim=8"),
)


def searched(epochs: int, trials: int, name: str) -> list[str]:
    """What was typed for the two studies."""
    return [
        *("tune", "pairs", *TYPED, "--space", "runs/space.yaml", "training.batch_size=512"),
        *(f"stages.explore.training.epochs={epochs}", f"training.epochs={epochs}"),
        *("--jobs", "1", "--trials", str(trials), "--name", name),
    ]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def run(*words: str) -> str:
    """Type a command in the working folder, in this process."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def reports(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


def test_a_finished_study_is_shown_and_analysed(place, optuna_storage):
    before = (place / "runs/finished/best_results.json").read_bytes()
    assert "trial 0" in run("analyze", "runs/finished")
    run(*searched(4, 3, "finished"))
    assert (place / "runs/finished/best_results.json").read_bytes() == before
    study = optuna.load_study(
        study_name="finished", storage=optuna_storage(f"sqlite:///{place}/runs/finished/study.db")
    )
    assert len(study.trials) == 3


@pytest.mark.slow
def test_a_killed_study_goes_on(place):
    trial = place / "runs/study/trials/00003"
    before = reports(trial)
    run(*searched(6, 6, "study"))
    after = reports(trial)
    assert after[: len(before)] == before, "what was reported stays"
    assert {report["attempt"] for report in after} == {1, 2}
    outcomes = [
        json.loads((folder / "outcome.json").read_text())
        for folder in sorted((place / "runs/study/trials").iterdir())
    ]
    assert len(outcomes) == 6
    assert json.loads((place / "runs/study/final/outcome.json").read_text())["state"] == "done"


@pytest.mark.slow
def test_a_killed_training_goes_on(place):
    folder = place / "runs/train-pairs"
    before = [report["step"] for report in reports(folder) if report.get("metrics")]
    run("train", "pairs", *TYPED, "training.epochs=60", "training.batch_size=512")
    again = [report for report in reports(folder) if report["attempt"] == 2]
    steps = [report["step"] for report in again if report.get("metrics")]
    assert steps[0] in (before[-1], before[-1] + 1), "from the last checkpoint, not from the start"
    assert (folder / "outcome.json").exists()


def test_a_lost_database_is_rebuilt(place):
    for file in (place / "runs/finished").glob("study.db*"):
        file.unlink()
    run("repair", "runs/finished")
    assert "trial 0" in run("analyze", "runs/finished")


def test_a_run_is_evaluated(place):
    stored = json.loads((place / "runs/finished/final/evaluation.json").read_text())
    run("evaluate", "runs/finished/final")
    found = json.loads((place / "runs/finished/final/evaluation.json").read_text())
    assert found["metrics"]["recall_1"] == pytest.approx(stored["metrics"]["recall_1"], abs=0.02)
