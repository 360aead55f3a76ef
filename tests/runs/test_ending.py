"""How a training ended: in words that are true of it."""

import json
from pathlib import Path

import pytest

import tunewright
from tunewright.cli.output.results import print_trained
from tunewright.runs.ending import Ending, ending_of
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome


def folder_of(path: Path, steps: int, *, outcome: Outcome | None, **training) -> RunFolder:
    folder = RunFolder(path)
    folder.write_config({"training": {"epochs": 50, **training}})
    folder.begin_attempt()
    lines = [{"attempt": 1, "resumed_from": 0}]
    lines += [
        {"attempt": 1, "step": step, "metrics": {}, "seconds": 1.0, "memory_mib": 0.0}
        for step in range(1, steps + 1)
    ]
    folder.progress.write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder.checkpoints.mkdir()
    (folder.checkpoints / "best.json").write_text('{"epoch": 7}')
    if outcome is not None:
        folder.write_outcome(outcome)
    return folder


@pytest.mark.parametrize(
    ("steps", "outcome", "patience", "text"),
    [
        (50, Outcome("done", 1, best_step=41), 5, "trained all 50 epochs; best epoch 41"),
        (
            12,
            Outcome("done", 1, best_step=7),
            5,
            "stopped by patience after epoch 12 of 50; best epoch 7",
        ),
        (
            12,
            Outcome("done", 1, best_step=7),
            None,
            "ended early after epoch 12 of 50; best epoch 7",
        ),
        (9, Outcome("paused", 1), 5, "ended as paused after epoch 9 of 50; best epoch 7"),
        (9, Outcome("pruned", 1), 5, "ended as pruned after epoch 9 of 50; best epoch 7"),
        (
            9,
            Outcome("failed", 1, cause="diverged"),
            5,
            "ended as failed (diverged) after epoch 9 of 50; best epoch 7",
        ),
        (9, None, 5, "has not ended, after epoch 9 of 50; best epoch 7"),
    ],
)
def test_words(tmp_path, steps, outcome, patience, text):
    ending = ending_of(folder_of(tmp_path / "run", steps, outcome=outcome, patience=patience))
    assert str(ending) == text
    assert ending.whole == text.startswith("trained all")


def test_a_folder_without_a_training_has_no_ending(tmp_path):
    assert ending_of(RunFolder(tmp_path)) is None


def test_advice_follows_the_ending():
    patient = Ending("done", 12, 50, 7, patience=5)
    assert "more epochs alone will not help" in patient.advice
    assert "train longer" in Ending("done", 50, 50, 48).advice
    assert "train longer" not in Ending("done", 50, 50, 20).advice
    assert "finish it first" in Ending("paused", 12, 50, 12).advice
    assert "a lower optim.lr" in Ending("failed", 12, 50, 9, cause="diverged").advice


def test_a_training_that_patience_ends_is_not_called_full(tmp_path, console_text):
    words = ["pairs", "executor.type=inline", "training.epochs=40", "optim.lr=0.05"]
    early = tunewright.train(
        *words, "training.patience=1", "training.min_delta=0.5", runs_dir=tmp_path, name="early"
    )
    [ending] = early.endings
    assert not ending.whole
    assert ending.epochs < 40
    said = console_text(print_trained, early)
    assert said.startswith(f"stopped by patience after epoch {ending.epochs} of 40: val_recall_1")
    assert f"best epoch {ending.best} of 40" in said
    assert "in full" not in said
    result = tunewright.evaluate(early.folders[0].path).figures
    assert any(f"stopped by patience after epoch {ending.epochs}" in n for n in result["notes"])


def test_seeds_say_which_of_them_ended_early(tmp_path, console_text):
    trained = tunewright.train(
        "pairs",
        "executor.type=inline",
        "training.epochs=5",
        "training.patience=1",
        "training.min_delta=0.9",
        "seeds=[1,2]",
        runs_dir=tmp_path,
    )
    said = console_text(print_trained, trained)
    assert "seed-1: stopped by patience after epoch 2 of 5" in said
    assert "seed-2: stopped by patience after epoch 2 of 5" in said


@pytest.fixture
def console_text():
    from io import StringIO

    from rich.console import Console

    def shown(printer, *values):
        stream = StringIO()
        printer(Console(file=stream, width=200), *values)
        return stream.getvalue()

    return shown
