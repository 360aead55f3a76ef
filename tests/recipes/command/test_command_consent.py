"""A command that comes with somebody else's folder runs only where its owner was asked."""

import shutil
import sys

import pytest

import tunewright
from tunewright.errors import UsageError
from tunewright.recipes.command.consent import is_known

SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0}}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of two trials, as it arrives in the home of somebody else."""
    (tmp_path / "train.py").write_text("import sys\nprint(f'acc={sys.argv[1]}')\n")
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "theirs"))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    monkeypatch.chdir(tmp_path)
    tuned = tunewright.tune(
        "command",
        "executor.type=inline",
        space=SPACE,
        goal="acc:max",
        trials=2,
        name="study",
        script=[sys.executable, "train.py", "{x}"],
    )
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "ours"))
    return tuned.folder


def test_going_on_with_a_strangers_study_asks(study):
    with pytest.raises(UsageError, match=r"train.py '\{x\}': expected that you want.*--yes"):
        tunewright.tune(resume="study", trials=3)
    assert len(list(study.trials.iterdir())) == 2
    assert len(tunewright.tune(resume="study", trials=3, yes=True).record.trials) == 3
    assert len(tunewright.tune(resume="study", trials=4).record.trials) == 4  # agreed once


def test_training_a_strangers_configuration_asks(study, tmp_path):
    copied = tmp_path / "elsewhere" / "best_config.yaml"
    copied.parent.mkdir()
    shutil.copy(study.best_config, copied)
    for file in (study.best_config, copied):
        with pytest.raises(UsageError, match="was not run here before"):
            tunewright.train(str(file))
    trained = tunewright.train(str(study.best_config), "executor.type=inline", yes=True)
    assert trained.outcomes[0].state == "done"


def test_what_was_typed_here_is_not_asked_about(study, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "theirs"))
    assert len(tunewright.tune(resume="study", trials=3).record.trials) == 3


def test_variables_of_a_strangers_file_are_asked_about(study, monkeypatch, tmp_path):
    """Also where the command itself is typed."""
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "theirs"))
    text = study.best_config.read_text()
    study.best_config.write_text(text.replace("env: {}", "env: {LD_PRELOAD: ./evil.so}"))
    assert study.best_config.read_text() != text
    with pytest.raises(UsageError, match=r"LD_PRELOAD=\./evil\.so"):
        tunewright.train(str(study.best_config), f"command=['{sys.executable}','train.py','1']")


def test_another_command_is_asked_about(study, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "theirs"))
    text = study.settings.read_text()
    study.settings.write_text(text.replace("train.py", "evil.py"))
    (tmp_path / "evil.py").write_text("open('done', 'w')\n")
    with pytest.raises(UsageError, match=r"evil\.py"):
        tunewright.tune(resume="study", trials=3)
    assert not (tmp_path / "done").exists()


def test_the_whole_of_what_runs_is_compared(study):
    from tunewright.recipes.command.config import CommandConfig
    from tunewright.recipes.command.consent import remember

    one = CommandConfig(goal="a", command=("x",), env={"A": "1"})
    remember(one)
    assert is_known(one)
    assert not is_known(one.model_copy(update={"env": {"A": "2"}}))
    assert not is_known(one.model_copy(update={"command": ("x", "y")}))
    assert is_known(one.model_copy(update={"params": {"b": 1}}))
