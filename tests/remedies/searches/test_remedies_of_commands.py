"""What errors about the recipe `command` advise, followed in the command line or in its file."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from before_training import no_training  # noqa: F401
from follow_remedies import Case, follow, run
from tunewright.errors import RunError

pytestmark = pytest.mark.slow  # each is quick, and they are many
SPACE = "tune command --goal val_accuracy:max --space space.yaml"
SEARCH = f"{SPACE} --"
FILE = "tune command.yaml"


def write(name: str, text: str):
    return lambda: Path(name).write_text(text, encoding="utf-8")


def command(words: str, **more: object):
    """Write command.yaml, with the words as they stand in YAML."""
    rest = {"goal": "val_accuracy:max", "parameters": {"lr": {"choices": [0.1, 0.2]}}, **more}
    return write("command.yaml", f"recipe: command\ncommand: {words}\n{yaml.safe_dump(rest)}")


CASES = {
    "no command": Case(
        SPACE, "-- python train.py --lr {lr}",
        "tune command --space space.yaml --goal val_accuracy:max -- python train.py --lr {lr}",
    ),
    "no goal": Case(
        "tune command --space space.yaml -- python train.py {lr}", "--goal val_accuracy:max",
        "tune command --space space.yaml --goal val_accuracy:max -- python train.py {lr}",
    ),
    "no goal, in the file": Case(
        FILE, "goal: val_accuracy:max in the file", "",
        command("[python, train.py, '{lr}']", goal=""),
        command("[python, train.py, '{lr}']", goal="val_accuracy:max"),
    ),
    "a placeholder": Case(
        f"{SEARCH} python train.py {{lrr}}", "Did you mean 'lr'?",
        f"{SEARCH} python train.py {{lr}}"
    ),
    "braces of the script": Case(
        f"{SEARCH} python train.py {{lr}} --format {{xyzzy}}", "doubled: {{xyzzy}}",
        f"{SEARCH} python train.py {{lr}} --format {{{{xyzzy}}}}",
    ),
    "no epochs": Case(
        f"{SEARCH} python train.py {{lr}} {{epochs}}", "training.epochs=20, before the --",
        f"{SPACE} training.epochs=20 -- python train.py {{lr}} {{epochs}}",
    ),
    "one file of metrics": Case(
        f"{SPACE} metrics.file=metrics.json -- python train.py {{lr}}",
        "metrics.file={run_dir}/NAME",
        f"{SPACE} 'metrics.file={{run_dir}}/metrics.json' -- python train.py {{lr}} {{run_dir}}",
    ),
    "a parameter that nothing reads": Case(
        "tune command --goal val_accuracy:max --space two.yaml -- python train.py {lr}",
        "Add {depth} to the command", "tune command --goal val_accuracy:max --space two.yaml -- "
        "python train.py {lr} {depth}",
    ),
    "a parameter that nothing reads, taken out": Case(
        "tune command --goal val_accuracy:max --space two.yaml -- python train.py {lr}",
        "or take it out of the space", f"{SEARCH} python train.py {{lr}}",
    ),
    "a script as a program": Case(
        f"{SEARCH} train.py {{lr}}", "Write python train.py", f"{SEARCH} python train.py {{lr}}"
    ),
    "a shell script as a program": Case(
        f"{SEARCH} run.sh {{lr}}", "Write sh run.sh", f"{SEARCH} sh run.sh {{lr}}"
    ),
    "a program misspelt": Case(
        f"{SEARCH} pyton train.py {{lr}}", "Did you mean 'python'?",
        f"{SEARCH} python train.py {{lr}}"
    ),
    "no permission": Case(
        f"{SEARCH} ./run.sh {{lr}}", "chmod +x ./run.sh", "",
        mend=lambda: Path("run.sh").chmod(0o755)
    ),
    "no permission, through the shell": Case(
        f"{SEARCH} ./run.sh {{lr}}", "or write sh ./run.sh", f"{SEARCH} sh ./run.sh {{lr}}"
    ),
    "a script misspelt": Case(
        f"{SEARCH} python trian.py {{lr}}", "Did you mean 'train.py'?",
        f"{SEARCH} python train.py {{lr}}",
    ),
    "a macro": Case(
        f"{SEARCH} python train.py '${{arg}}'", "Did you mean 'args'?",
        f"{SEARCH} python train.py '${{args}}'",
    ),
    "a macro for a parameter": Case(
        f"{SEARCH} python train.py '${{lr}}'", "A parameter is written {lr}",
        f"{SEARCH} python train.py {{lr}}",
    ),
    "a macro for a variable": Case(
        FILE, "a variable of the shell $HOUSE", "",
        command("python train.py {lr} ${HOUSE}", script={"shell": True}),
        command("python train.py {lr} $HOUSE", script={"shell": True}),
    ),
    "a switch that is a number": Case(
        f"{SEARCH} python train.py {{lr?--lr}}", "Write {lr}", f"{SEARCH} python train.py {{lr}}"
    ),
    "a line in a file": Case(
        FILE, "`script: {shell: true}`", "", command("python train.py {lr}"),
        command("python train.py {lr}", script={"shell": True}),
    ),
    "a line in a file, as words": Case(
        FILE, "[python, train.py, --lr, '{lr}']", "", command("python train.py {lr}"),
        command("[python, train.py, --lr, '{lr}']"),
    ),
    "a placeholder without quotes": Case(
        FILE, "Write '{lr}'", "", command("[python, train.py, {lr}]"),
        command("[python, train.py, '{lr}']"),
    ),
    "a command of somebody else": Case(
        "train theirs/config.yaml", "say so with --yes", "train theirs/config.yaml --yes",
        lambda: stored("theirs"),
    ),
}  # fmt: skip


def stored(name: str) -> None:
    """Write a run's folder that somebody else made."""
    Path(name).mkdir()
    Path(name, "checkpoints").mkdir()
    tree = {"recipe": "command", "command": ["python", "train.py", "theirs"], "goal": "acc:max"}
    Path(name, "config.yaml").write_text(yaml.safe_dump(tree))


def make_sandbox() -> None:
    """Write a script, one for a shell, and spaces of one and two parameters."""
    Path("train.py").write_text("print('val_acuracy=0.5')\n")
    Path("run.sh").write_text("#!/bin/sh\necho val_accuracy=0.5\n")
    Path("space.yaml").write_text("parameters: {lr: {choices: [0.1, 0.2]}}\n")
    Path("two.yaml").write_text(
        "parameters: {lr: {choices: [0.1, 0.2]}, depth: {choices: [1, 2]}}\n"
    )


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_command_helps(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_sandbox()
    follow(CASES[name])


@pytest.mark.parametrize(
    ("goal", "said", "instead"),
    [
        ("acuracy", "Did you mean 'val_accuracy'?", "goal=val_accuracy:max"),
        ("score", "Set `goal`", "goal=val_accuracy:max"),
        ("score", "say with `metrics`", "goal=score:max 'metrics.pattern=[\"=(?P<score>.*)\"]'"),
    ],
)
def test_the_advice_about_a_metric_helps(goal, said, instead, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_sandbox()
    write("run.yaml", "recipe: command\ncommand: [sh, run.sh]\nexecutor: {type: inline}\n")()
    with pytest.raises(RunError) as refused:
        run("train", "run.yaml", f"goal={goal}:max")
    assert said in str(refused.value)
    [log] = re.findall(r"See the whole log in (\S+)\.$", str(refused.value))
    assert "val_accuracy=0.5" in Path(log).read_text()
    run("train", "run.yaml", *shlex.split(instead))
