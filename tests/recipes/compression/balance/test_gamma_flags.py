"""The guide's flags of balanced training, as they are typed there."""

import shlex

import pytest

from tunewright.config.apply import with_values
from tunewright.errors import ConfigError, SpaceError
from tunewright.recipes.registry import find_recipe
from tunewright.request import parse_request
from tunewright.search.prepare import prepare, trial_values

COMPRESSION = find_recipe("compression")

BALANCED = "--use_balanced --gamma 0.006 --w_lr 0.025"


def balance(words, command="train"):
    config = parse_request(["compression", *shlex.split(words)], command=command).composed.config
    return config.balance


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "--use_balanced --adaptive_gamma --gamma_strategy cosine --gamma 0.006 --w_lr 0.025",
            {"type": "cosine", "final": None, "warmup": 0},
        ),
        (
            "--use_balanced --adaptive_gamma --gamma_strategy step --gamma 0.006 --w_lr 0.025 "
            "--step_epochs 1000 2000",
            {"type": "step", "final": None, "milestones": [1000, 2000]},
        ),
        (
            "--use_balanced --adaptive_gamma --gamma_strategy adaptive --gamma 0.006 "
            "--w_lr 0.025 --adaptive_window 50 --adaptive_threshold 0.01",
            {"type": "adaptive", "final": None, "window": 50, "threshold": 0.01, "warmup": 0},
        ),
        (f"{BALANCED} --adaptive_gamma --gamma_strategy hpcm", {"type": "hpcm"}),
        (f"{BALANCED} --adaptive_gamma", {"type": "linear", "final": None, "warmup": 0}),
        (
            f"{BALANCED} --adaptive_gamma --gamma_final 0.002",
            {"type": "linear", "final": 0.002, "warmup": 0},
        ),
        (BALANCED, {"type": "fixed"}),
        (f"{BALANCED} --adaptive_gamma false", {"type": "fixed"}),
    ],
)
def test_the_guides_commands_act_as_typed(words, expected):
    found = balance(words)
    assert found.type == "famo"
    assert (found.gamma, found.w_lr) == (0.006, 0.025)
    assert found.schedule.model_dump(mode="json") == expected


@pytest.mark.parametrize(
    "words",
    [
        "--gamma_strategy cosine --adaptive_gamma --use_balanced",
        "--use-balanced --adaptive-gamma --gamma-strategy=cosine",
        "gamma_strategy=cosine adaptive_gamma=true use_balanced=true",
        "gamma_strategy=cosine --adaptive_gamma --use_balanced",
        "balance.schedule.type=cosine --adaptive_gamma --use_balanced",
        "--use_balanced true --adaptive_gamma yes --gamma_strategy cosine",
    ],
)
def test_the_strategy_holds_in_whatever_order_it_is_typed(words):
    assert balance(words).schedule.type == "cosine"


def test_the_strategy_of_a_file_holds_in_whatever_order_it_is_written(tmp_path):
    file = tmp_path / "balanced.yaml"
    file.write_text("use_balanced: true\ngamma_strategy: step\nadaptive_gamma: true\n")
    assert balance(str(file)).schedule.type == "step"
    file.write_text("step_epochs: [10, 20]\nadaptive_gamma: true\ngamma_strategy: step\n")
    assert balance(f"{file} --use_balanced").schedule.milestones == (10, 20)


def test_a_switch_takes_no_word_that_follows():
    config = parse_request(
        ["--use_balanced", "compression", "--adaptive_gamma", "training.epochs=7"],
        command="train",
    ).composed.config
    assert config.balance.schedule.type == "linear"
    assert config.training.epochs == 7


def test_several_values_end_where_the_numbers_end():
    config = parse_request(
        shlex.split(
            "compression --use_balanced --gamma_strategy step --step_epochs 10 20 30 "
            "training.epochs=40"
        ),
        command="train",
    ).composed.config
    assert config.balance.schedule.milestones == (10, 20, 30)
    assert config.training.epochs == 40


@pytest.mark.parametrize("value", ["-0.001", "0", "nan", "inf", "high", "true"])
@pytest.mark.parametrize("name", ["gamma", "w_lr"])
def test_a_gamma_or_w_lr_is_a_positive_number(name, value):
    with pytest.raises(ConfigError, match=rf"override 'balance\.{name}="):
        balance(f"--use_balanced --{name} {value}")


def test_gamma_without_the_balanced_loss_says_what_it_needs():
    with pytest.raises(ConfigError, match=r"expected balance\.type to be famo"):
        balance("--gamma 0.006")
    with pytest.raises(ConfigError, match=r"expected balance\.type to be famo"):
        balance("--adaptive_gamma")


def test_a_key_of_another_strategy_says_whose_it_is():
    with pytest.raises(ConfigError, match=r"expected balance\.schedule\.type to be adaptive"):
        balance("--use_balanced --adaptive_gamma --gamma_strategy cosine --adaptive_window 50")


def prepared(tmp_path, *words):
    """Return a study as `tunewright tune` prepares it."""
    request = parse_request(["compression", *words, "data.crop=128"], command="tune")
    return prepare(request.recipe, request.composed, given=request.space, runs=tmp_path)


def test_a_schedule_of_gamma_holds_in_the_trials_that_balance(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "parameters: {balance.type: {choices: [none, famo]}, optim.lr: {choices: [1e-3, 1e-4]}}"
    )
    words = ("balance.schedule.type=adaptive", "balance.schedule.window=2", "training.epochs=9")
    study = prepared(tmp_path, str(tmp_path / "s.yaml"), *words)
    for kind in ("none", "famo"):
        values = trial_values(COMPRESSION, study, {"balance.type": kind, "optim.lr": 1e-3})
        balance = with_values(study.explore, values, COMPRESSION.config)[0]["balance"]
        assert balance.get("schedule", {}).get("window") == (2 if kind == "famo" else None)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("balance.schedule.final=.0002", "expected balance.type to be famo"),
        ("balance.schedule.type=adaptive", "expected balance.type to be famo"),
    ],
)
def test_a_schedule_of_gamma_without_a_balance_is_refused_by_name(word, expected, tmp_path):
    with pytest.raises(SpaceError, match=expected):
        prepared(tmp_path, word)
