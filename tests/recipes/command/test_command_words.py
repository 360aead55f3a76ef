"""The words of a command: placeholders, macros, and what is refused before the first trial."""

import json
import shlex
import sys
from pathlib import Path

import pytest
import typer
import yaml

import tunewright
from tunewright.cli import app
from tunewright.errors import ConfigError, TunewrightError, UsageError
from tunewright.recipes.command.placeholders import (
    TrialValues,
    fill_shell,
    fill_words,
    translate_macros,
)
from tunewright.search.callbacks import StudyCallback

PARAMS = {"optim": {"lr": 0.001, "name": "adam w"}, "augment": True, "tilt": False, "odd-name/x": 3}

PAIRS = ["optim.lr=0.001", "optim.name=adam w", "augment=True", "tilt=False", "odd-name/x=3"]


def fill(*words, tmp_path=Path("files"), params=PARAMS):
    values = TrialValues(params, 7, 20, Path("out"), tmp_path, "train.py")
    return fill_words(words, values)


@pytest.mark.parametrize(
    ("word", "filled"),
    [
        ("{optim.lr}", ["0.001"]),
        ("--lr={optim.lr}", ["--lr=0.001"]),
        ("{optim.name}", ["adam w"]),
        ("{augment}", ["True"]),
        ("{odd-name/x}", ["3"]),
        ("{augment?--augment}", ["--augment"]),
        ("{tilt?--tilt}", []),
        ("{tilt?--tilt:--no-tilt}", ["--no-tilt"]),
        ("{optim}", ['{"lr": 0.001, "name": "adam w"}']),
        ("{run_dir}/log", ["out/log"]),
        ("{seed}-{epochs}", ["7-20"]),
        ("{program}", ["train.py"]),
        ("{env}", ["/usr/bin/env"]),
        ("{interpreter}", ["python"]),
        ('{"a": {"b": {optim.lr}}}', ['{"a": {"b": 0.001}}']),
        ("{{optim.lr}}", ["{optim.lr}"]),
        ("${HOME} {} {a,b} {print $1}", ["${HOME} {} {a,b} {print $1}"]),
        (
            "{overrides}",
            ["optim.lr=0.001", "optim.name='adam w'", "augment=true", "tilt=false", "odd-name/x=3"],
        ),
        (
            "{args}",
            [f"--{pair}" for pair in PAIRS],
        ),
        (
            "{args_no_boolean_flags}",
            ["--optim.lr=0.001", "--optim.name=adam w", "--augment", "--odd-name/x=3"],
        ),
        (
            "{args_no_hyphens}",
            PAIRS,
        ),
    ],
)
def test_placeholders(word, filled):
    assert fill(word) == filled


def test_files_of_parameters(tmp_path):
    [json_file, yaml_file] = fill("{params_json}", "{params_yaml}", tmp_path=tmp_path)
    assert json.loads(Path(json_file).read_text()) == PARAMS
    assert yaml.safe_load(Path(yaml_file).read_text()) == PARAMS
    assert json.loads(fill("{args_json}")[0])["optim.lr"] == 0.001


def test_a_parameter_that_a_trial_lacks_takes_its_option_along():
    words = ("train", "--momentum", "{momentum}", "--m={momentum}", "{momentum}", "--last")
    assert fill(*words, params={}) == ["train", "--last"]


def test_no_argument_for_null():
    params = {"foo": 1, "bar": None, "flag": True}
    assert fill("{args}", params=params) == ["--foo=1", "--flag=True"]
    assert fill("{args_no_hyphens}", params=params) == ["foo=1", "flag=True"]
    assert fill("{args_no_boolean_flags}", params=params) == ["--foo=1", "--flag"]
    assert fill("{overrides}", params=params) == ["foo=1", "bar=null", "flag=true"]
    assert json.loads(fill("{args_json}", params=params)[0]) == params


def test_a_parameter_comes_before_a_placeholder_of_its_name():
    assert fill("{seed}", "{epochs}", params={"epochs": 3}) == ["7", "3"]


def test_values_are_quoted_for_a_shell():
    values = TrialValues({"a": "x; rm -rf $HOME", "b": 1}, 0, 1, Path("o"), None)
    line = fill_shell("echo {a} {b} ${{c}} | awk '{print $1}'", values, shlex.quote)
    assert line == "echo 'x; rm -rf $HOME' 1 ${c} | awk '{print $1}'"


def test_macros_of_sweep_files():
    words = ["${env}", "${interpreter}", "${program}", "${args_no_boolean_flags}", "x"]
    translated = ["{env}", "{interpreter}", "{program}", "{args_no_boolean_flags}", "x"]
    assert translate_macros(words) == translated
    with pytest.raises(ConfigError, match=r"\$\{arg\}.*Did you mean 'args'"):
        translate_macros(["${arg}"])


SPACE = {
    "lr": {"type": "float", "low": 0.0, "high": 1.0},
    "kind": {"type": "categorical", "choices": ["-a", "b"]},
    "augment": {"type": "categorical", "choices": [True, False]},
}


@pytest.fixture
def tune(tmp_path, monkeypatch):
    """Tune a command in an empty folder that holds `train.py`; in this process."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("print('acc=1')")
    (tmp_path / "plain.sh").write_text("#!/bin/sh\necho acc=1\n")

    def run(*words, goal="acc:max", space=SPACE, settings=(), **options):
        given = {"goal": goal, "space": space, "trials": 1, **options}
        return tunewright.tune("command", "executor.type=inline", *settings, script=words, **given)

    return run


PYTHON = sys.executable


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "without a command: expected its words after --"),
        ((PYTHON, "train.py", "{lr}", "{augmnet}", "{kind}"), "{augmnet}.*Did you mean 'augment'"),
        ((PYTHON, "train.py", "{print}", "{args}"), r"Braces that belong.*doubled: \{\{print\}\}"),
        ((PYTHON, "train.py", "{lr}"), "nothing reads augment, kind: the command contains lr"),
        ((PYTHON, "trian.py", "{args}"), "'trian.py' does not exist.*Did you mean 'train.py'"),
        (("train.py", "{args}"), "'train.py' of the command.*Write python train.py"),
        (("pyton", "train.py", "{args}"), "'pyton' of the command.*Did you mean 'python'"),
        (("./plain.sh", "{args}"), "cannot be executed.*chmod \\+x ./plain.sh, or write sh"),
        ((PYTHON, "train.py", "{args}", "{epochs}"), "Add training.epochs=20"),
        ((PYTHON, "{program}", "{args}"), "script.program is not set"),
        (("{lr?x}", "{args}"), "a parameter that is true or false"),
    ],
)
def test_what_is_refused_at_the_door(tune, words, message, tmp_path):
    with pytest.raises(TunewrightError, match=message):
        tune(*words)
    assert not (tmp_path / "runs").exists()


def test_a_goal_must_be_named(tune):
    with pytest.raises(ConfigError, match=r"no goal is set.*--goal val_accuracy:max"):
        tune(PYTHON, "train.py", "{args}", goal=None)


def test_a_metrics_file_belongs_to_one_trial(tune):
    with pytest.raises(ConfigError, match="a file of each trial's own"):
        tune(PYTHON, "train.py", "{args}", settings=["metrics.file=results.csv"])
    tune(PYTHON, "train.py", "{args}", settings=["metrics.file={run_dir}/results.csv"])


def test_a_variable_is_written_with_its_name(tune):
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        tune(PYTHON, "train.py", "{args}", env=["LR"])


def test_what_a_script_may_misunderstand_is_said(tune, capsys):
    words = (PYTHON, "train.py", "--lr", "{lr}", "--kind", "{kind}", "--augment={augment}")
    seen = []

    class Watch(StudyCallback):
        def notice(self, text):
            seen.append(text)

    tune(*words, watch=Watch())
    text = "\n".join(seen)
    assert "searched: lr 0 .. 1; kind one of -a | b; augment one of true | false" in text
    assert f"trial 0 runs: {PYTHON} train.py --lr 0.5 --kind -a --augment=True" in text
    assert "for a switch write {augment?--augment}" in text
    assert "a choice of kind begins with a dash" in text
    assert "the best acc that a run reports (metrics.score=last" in text


def test_a_script_that_reads_its_parameters_needs_no_placeholder(tune, tmp_path):
    (tmp_path / "train.py").write_text("import tunewright.client as tw\nprint('acc=1')")
    assert tune(PYTHON, "train.py").record.best.score == 1


@pytest.mark.parametrize(
    ("text", "words", "is_told"),
    [
        ("print('acc=1')", ("{args}",), True),
        ("print('acc=1')", ("{run_dir}", "{args}"), False),
        ("import tunewright.client as tw\nprint('acc=1')", ("{args}",), False),
    ],
)
def test_a_script_without_a_state_is_told_what_pauses_cost(tune, tmp_path, text, words, is_told):
    (tmp_path / "train.py").write_text(text)
    notices = []

    class Watch(StudyCallback):
        def notice(self, text):
            notices.append(text)

    settings = ("study.sampler.type=curves", "training.epochs=8")
    tune(PYTHON, "train.py", *words, settings=settings, watch=Watch())
    told = [one for one in notices if "begins again" in one]
    assert bool(told) is is_told


def test_one_file_holds_all(tune, tmp_path):
    file = {
        "command": ["${interpreter}", "train.py", "${args}"],
        "goal": "acc:max",
        "study": {"trials": 2, "name": "whole"},
        "executor": {"type": "inline"},
        "env": {"LR": "{lr}"},
        "parameters": SPACE,
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(file))
    with pytest.raises(UsageError, match=r"study\.yaml does not say which recipe it is for"):
        tunewright.tune("study.yaml")
    tuned = tunewright.tune("command", "study.yaml")
    assert tuned.folder.path.name == "whole"
    assert len(tuned.record.of_state("done")) == 2
    trained = tunewright.train(str(tuned.folder.best_config), "executor.type=inline")
    assert trained.outcomes[0].metrics == {"acc": 1.0}


def test_unquoted_braces_of_yaml_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text("recipe: command\ncommand: [python, {lr}]\ngoal: acc\n")
    with pytest.raises(ConfigError, match=r"Write '\{lr\}'"):
        tunewright.tune("study.yaml")


def test_what_follows_two_dashes_is_the_scripts():
    own = ["python", "train.py", "--name", "{lr}", "--", "--seed=1"]
    command = typer.main.get_command(app).commands["tune"]
    given = command.make_context("tune", ["command", "--name", "mine", "--", *own]).params
    assert (given["words"], given["name"], given["script"]) == (["command"], "mine", own)
