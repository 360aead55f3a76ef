"""Files and flags of another program, as one who comes from it types them."""

from pathlib import Path
from typing import Any

import pytest

import tunewright
from tunewright.cli import main
from tunewright.errors import SpaceError, UsageError
from tunewright.request import ParsedRequest, parse_request
from tunewright.runs.atomic import write_yaml

GUIDES_FILE = """\
study:
  name: colornet_study
  direction: maximize
  n_trials: 40
  timeout: null
  sampler: {type: TPE}
  pruner: {type: MedianPruner, n_startup_trials: 5, n_warmup_steps: 10}
hyperparameters:
  backbone: {type: categorical, choices: [colornet_v1]}
  fusion: {type: categorical, choices: ["msff", "global_concat", "simple_concat"]}
  loss_fn: {type: categorical, choices: [smooth_modulation, focal]}
  tau: {type: float, low: 0.3, high: 0.8}
  modulation_type: {type: categorical, choices: [linear, cosine, step]}
  focal_gamma: {type: float, low: 1.0, high: 3.0}
  focal_alpha: {type: float, low: 0.1, high: 0.5}
  dropout: {type: float, low: 0.1, high: 0.5}
  image_size: {type: categorical, choices: [224, 256, 288]}
  batch_size: {type: categorical, choices: [16, 32, 48, 64]}
  lr: {type: float, low: 5e-5, high: 5e-3, log: true}
  weight_decay: {type: float, low: 1e-6, high: 5e-3, log: true}
fixed:
  epochs: 20
  use_weighted_sampler: true
  device: cuda
  experiment_name: colornet_finetune
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("hyperparameters.yaml").write_text(GUIDES_FILE, encoding="utf-8")
    return Path("hyperparameters.yaml")


def study_block(tmp_path: Path, fixed: dict[str, Any] | None = None, **study: Any) -> ParsedRequest:
    tree = {"study": study, "hyperparameters": {"lr": {"low": 1e-4, "high": 1e-2}}}
    write_yaml(tmp_path / "study.yaml", {**tree, **({"fixed": fixed} if fixed else {})})
    return parse_request(["tailed", str(tmp_path / "study.yaml")], command="tune")


def told(request: ParsedRequest, word: str) -> list[str]:
    return [notice for notice in request.composed.notices if word in notice]


# --- the guide's own file ---------------------------------------------------------------------


def test_the_guides_file_is_a_study_as_it_stands(file: Path) -> None:
    request = parse_request(["tailed", str(file)], command="tune")
    config = request.composed.config
    assert (config.study.name, config.study.trials) == ("colornet_study", 40)
    assert config.study.sampler.type == "tpe"
    assert config.study.pruner.model_dump() == {
        "type": "median",
        "startup_trials": 5,
        "warmup_steps": 10,
        "interval_steps": 1,
    }
    assert config.training.epochs == 20
    assert request.composed.tree["data"]["weighted_sampler"] is True
    assert config.goals == ("val_accuracy",)
    assert len(told(request, "device = cuda")) == 1
    assert "the executor assigns a device to each worker" in told(request, "device = cuda")[0]
    [unread] = told(request, "experiment_name = colornet_finetune")
    assert "the study is called colornet_study" in unread


def test_the_guides_file_keeps_the_conditions_of_the_recipes_space(file: Path) -> None:
    checked = tunewright.space("tailed", str(file))
    space, notices = checked.space, checked.notices
    assert [str(c) for c in space["loss.tau"].when] == [
        "loss.type = smooth_modulation",
        "optim.lr above 0.0001",
    ]
    assert str(space["loss.gamma"].when[0]) == "loss.type = focal"
    assert len([n for n in notices if n.startswith("loss.alpha is inert")]) == 1
    assert "loss.alpha" not in space
    assert "training.epochs" not in space
    assert space.good[0].name == "tail three times"


@pytest.mark.parametrize(
    ("sampler", "own"), [("TPE", "tpe"), ("Random", "random"), ("CmaEs", "cma_es")]
)
def test_samplers_by_the_guides_names(tmp_path: Path, sampler: str, own: str) -> None:
    request = study_block(tmp_path, sampler={"type": sampler, "n_startup_trials": 7})
    assert request.composed.config.study.sampler.type == own
    assert bool(told(request, "study.sampler.startup_trials")) == (own != "tpe")


@pytest.mark.parametrize(
    ("pruner", "own"),
    [
        ("MedianPruner", {"startup_trials": 5, "warmup_steps": 2}),
        ("PercentilePruner", {"startup_trials": 5, "warmup_steps": 2}),
        ("HyperbandPruner", {}),
        (None, {}),
    ],
)
def test_pruners_by_the_guides_names_with_keys_that_not_all_have(
    tmp_path: Path, pruner: str | None, own: dict[str, int]
) -> None:
    request = study_block(
        tmp_path, pruner={"type": pruner, "n_startup_trials": 5, "n_warmup_steps": 2}
    )
    made = request.composed.config.study.pruner.model_dump()
    types = {"MedianPruner": "median", "PercentilePruner": "percentile"}
    expected = types.get(str(pruner), "hyperband" if pruner else "none")
    assert made["type"] == expected
    assert {key: made[key] for key in own} == own
    assert len(told(request, "is ignored")) == (0 if own else 2), "what is not read is told"


def test_the_name_of_an_experiment_is_the_studys_where_it_has_none(tmp_path: Path) -> None:
    request = study_block(tmp_path, {"experiment_name": "mine", "device": "cpu"}, n_trials=3)
    assert request.composed.config.study.name == "mine"
    assert told(request, "experiment_name") == []
    request = study_block(tmp_path, {"experiment_name": "mine"}, name="mine")
    assert told(request, "experiment_name") == []


def test_all_cores_in_optunas_word(tmp_path: Path) -> None:
    assert study_block(tmp_path, n_jobs=-1).composed.config.study.jobs is None
    assert study_block(tmp_path, n_jobs=2).composed.config.study.jobs == 2


def test_a_direction_that_the_goal_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="asks for the min of val_accuracy: expected its max"):
        study_block(tmp_path, direction="minimize")
    with pytest.raises(SpaceError, match=r"study\.direction = 'up'"):
        study_block(tmp_path, direction="up")
    request = study_block(tmp_path, direction="minimize", metric="val_loss")
    assert request.composed.config.goals == ("val_loss:min",)
    words = ["tailed", str(tmp_path / "study.yaml"), "goal=val_tail_f1:max"]
    assert parse_request(words, command="tune").composed.config.goals == ("val_tail_f1:max",)


# --- the guide's own command ------------------------------------------------------------------


def test_the_guides_command_runs_as_it_is_typed(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"tune tailed --hp-config {file} --n-trials 7 --experiment colornet_finetune"
    rest = ["--output-dir", "elsewhere", "--manifest", "crops.jsonl", "executor.type=inline"]
    monkeypatch.setattr("sys.argv", ["tunewright", *words.split(), *rest])
    with pytest.raises(SystemExit) as caught:
        main()
    shown = capsys.readouterr()
    assert not caught.value.code, shown.err
    study = Path("elsewhere/colornet_finetune")
    assert (study / "best_config.yaml").exists()
    assert not Path("runs").exists()
    assert "dir: crops.jsonl" in (study / "best_config.yaml").read_text()
    record = tunewright.analyze("colornet_finetune", runs_dir="elsewhere").record
    assert len(record.trials) == 7
    assert record.trials[1].good == "tail three times"
    assert "loss.alpha is inert" in shown.out + shown.err


def test_a_flag_names_the_space(file: Path) -> None:
    for words in (["--hp-config", str(file)], [f"--hp_config={file}"]):
        request = parse_request(["tailed", *words], command="tune", options=["space", "trials"])
        assert request.space is not None
        assert "loss.tau" in request.space.parameters
        assert request.runs is None


def test_the_command_space_takes_the_flag_too(file: Path) -> None:
    space = tunewright.space("tailed", "--hp-config", str(file)).space
    assert str(space["model.name"].domain) == "colornet_v1"


def test_a_flag_names_the_configuration(file: Path) -> None:
    Path("base.yaml").write_text("training: {epochs: 11}\n", encoding="utf-8")
    request = parse_request(["tailed", "--base-config", "base.yaml"], command="train")
    assert request.composed.config.training.epochs == 11


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hp-config", "hyperparameters.yaml", "hyperparameters.yaml"], "together: expected one"),
        (["--base-config", "b.yaml", "mine.yaml"], r"mine\.yaml and b\.yaml together"),
        (["--output-dir", "a", "--output-dir", "b"], "--output-dir b and a: expected one of them"),
        (["--hp-confg", "hyperparameters.yaml"], "Did you mean '--hp-config'"),
    ],
)
def test_flags_that_cannot_be_meant(file: Path, words: list[str], message: str) -> None:
    for name in ("mine.yaml", "b.yaml"):
        Path(name).write_text("seed: 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        parse_request(["tailed", *words], command="tune")


def test_a_command_without_the_option_has_no_flag_for_it(file: Path) -> None:
    with pytest.raises(UsageError, match=r"--hp-config: expected an option of `tunewright train`"):
        tunewright.train("tailed", "--hp-config", str(file))
    with pytest.raises(UsageError, match="--output-dir: expected an option"):
        tunewright.show("tailed", "--output-dir", "elsewhere")


def test_two_folders_of_runs_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one folder of runs"):
        tunewright.train("tailed", "--output-dir", "elsewhere", runs_dir=tmp_path)


def test_the_folder_of_runs_holds_for_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inline = ("tailed", "executor.type=inline", "--output-dir", "elsewhere")
    trained = tunewright.train(*inline, name="run")
    assert trained.folders[0].path == tmp_path / "elsewhere/run"
    made = tunewright.plan(*inline, trials=2)
    assert made.trials == 2
    assert not Path("runs").exists()


def test_a_sweep_of_wandb_is_a_space_for_a_recipe(tmp_path):
    """Its names are the recipe's or the guides'; what is typed outweighs it."""
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "method: random\n"
        "metric: {name: val_accuracy, goal: maximize, target: 0.9}\n"
        "run_cap: 7\n"
        "program: train.py\n"
        "early_terminate: {type: hyperband, min_iter: 2}\n"
        "parameters:\n"
        "  learning_rate: {min: 0.001, max: 0.1}\n"
        "  training: {parameters: {epochs: {value: 5}, batch_size: {values: [64, 128]}}}\n"
    )
    request = parse_request(["longtail", str(file), "data=digits"], command="tune")
    config = request.composed.config
    assert list(request.space.parameters) == ["optim.lr", "training.batch_size"]
    assert config.training.epochs == 5
    assert (config.study.trials, config.study.target) == (7, 0.9)
    assert config.study.sampler.type == "random"
    assert (config.study.pruner.type, config.study.pruner.min_resource) == ("asha", 2)
    assert config.goals == ("val_accuracy:max",)
    assert any("train.py of" in notice for notice in request.composed.notices)
    words = ["longtail", str(file), "data=digits", "training.epochs=9", "study.trials=3"]
    typed = parse_request(words, command="tune").composed.config
    assert (typed.training.epochs, typed.study.trials) == (9, 3)


def test_a_sweep_of_wandb_says_what_the_recipe_command_runs(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "method: grid\nprogram: train.py\nmetric: {name: loss}\n"
        "parameters: {optim.name: {values: [adam, sgd]}, epochs: {value: 3}}\n"
    )
    request = parse_request(["command"], command="tune", space=file)
    config = request.composed.config
    assert config.command == ("{env}", "{interpreter}", "{program}", "{args}")
    assert config.script.program == "train.py"
    assert config.params == {"epochs": 3}
    assert list(request.space.parameters) == ["optim.name"]
    assert config.study.trials == 2
    typed = parse_request(
        ["command"], command="tune", space=file, settings={"command": ["python", "other.py"]}
    )
    assert typed.composed.config.command == ("python", "other.py")
