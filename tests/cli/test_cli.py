"""What can be typed, what is answered, and with which exit code."""

import builtins
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import create_trial
from typer.testing import CliRunner

import tunewright
from tunewright import cli
from tunewright.cli.output import formatting
from tunewright.errors import ConfigError, UsageError
from tunewright.request import parse_request
from tunewright.runs.atomic import read_yaml
from tunewright.typed_arguments import Configs

HEAVY = ("torch", "optuna", "hydra", "pydantic", "numpy", "sklearn", "plotly", "rich")


def typed(monkeypatch, capsys, *words):
    """Exit code, stdout and stderr of a command run in this process."""
    monkeypatch.setattr(sys, "argv", ["tunewright", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return caught.value.code or 0, out, err


def loaded_by(*words):
    """The heavy modules in a fresh process after a command; its exit code must be 0."""
    code = f"""
import sys
sys.argv = ["tunewright", *{list(words)!r}]
from tunewright.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stderr.split()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A working folder with the files that a newcomer might name."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "mine.yaml": "recipe: pairs\nseed: 5\n",
        "partial.yaml": "seed: 6\n",
        "typo.yaml": "recipe: pairs\noptim:\n  lrr: 1e-3\n",
        "other.yaml": "recipe: radio\n",
        "list.yaml": "- a\n",
        "broken.yaml": "a: [1",
        "double.yaml": "optim:\n  lr: 1\n  lr: 2\n",
        "text.yaml": "just a text",
        "space.yaml": "parameters:\n  lr: {low: 1e-5, high: 1e-3}\n",
        "study.yaml": "study_name: x\nsearch_space:\n  lr: {low: 1e-5, high: 1e-3}\nn_trials: 9\n",
        "foreign.yaml": "search_space:\n  backbone: {choices: [a]}\n",
        "trails.yaml": "n_trails: 3\nsearch_space:\n  lr: {high: 1e-3}\n",
        "sampler.yaml": "sampler: TPEE\nsearch_space:\n  lr: {high: 1e-3}\n",
        "run/best_config.yaml": "recipe: pairs\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_help_loads_nothing_heavy():
    assert loaded_by("--help") == []
    assert set(loaded_by("tune", "--help")) <= {"pydantic"}  # Typer's own


def test_show_loads_no_more_than_it_reads():
    assert set(loaded_by("show", "pairs")) <= {"hydra", "pydantic", "rich"}


def test_space_loads_no_torch():
    assert "torch" not in loaded_by("space", "pairs")


def test_help_is_printed_and_names_the_commands():
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for command in ("tune", "train", "evaluate", "show", "space", "analyze", "pairs"):
        assert f"\n  {command} " in result.output


def test_no_module_hides_a_builtin_of_the_package():
    # a submodule becomes an attribute of its package: cli/print.py would replace `print`
    names = {module.name for module in pkgutil.iter_modules(cli.__path__)}
    assert names.isdisjoint(dir(builtins))


def test_a_recipe_or_a_file_that_names_it(files):
    by_name = parse_request(["pairs", "seed=5"], command="train")
    by_file = parse_request(["mine.yaml"], command="train")
    by_option = parse_request([], command="train", configs=Configs(files / "mine.yaml"))
    both = parse_request(["pairs", "mine.yaml"], command="train")
    assert by_name.composed.config == by_file.composed.config
    assert by_file.composed.config == by_option.composed.config == both.composed.config
    assert {r.recipe.name for r in (by_name, by_file, by_option, both)} == {"pairs"}


def test_a_partial_file_stands_behind_its_recipe(files):
    assert parse_request(["pairs", "partial.yaml"], command="train").composed.config.seed == 6
    found = parse_request(["pairs"], command="train", configs=Configs(files / "partial.yaml"))
    assert found.composed.config.seed == 6


def test_a_space_file_is_one_wherever_it_stands(files):
    for found in (
        parse_request(["pairs", "space.yaml"], command="tune"),
        parse_request(["pairs"], command="tune", configs=Configs(files / "space.yaml")),
        parse_request(["pairs"], command="tune", space=files / "space.yaml"),
        parse_request(["mine.yaml"], command="tune", space=files / "space.yaml"),
    ):
        assert list(found.space.parameters) == ["optim.lr"]
    assert parse_request(["pairs"], command="tune").space is None


def test_a_study_file_sets_what_stands_beside_its_space(files):
    config = parse_request(["pairs", "study.yaml"], command="tune").composed.config
    assert (config.study.name, config.study.trials) == ("x", 9)
    settings = {"study.trials": 3, "study.name": None}
    config = parse_request(
        ["pairs", "study.yaml"], command="tune", settings=settings
    ).composed.config
    assert (config.study.name, config.study.trials) == ("x", 3)


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        (["--learning-rate", "8e-4"], "optim.lr", 8e-4),
        (["--learning_rate=1e-4"], "optim.lr", 1e-4),
        (["--batch-size", "64"], "training.batch_size", 64),
        (["--n-trials", "7"], "study.trials", 7),
        (["--head-type", "mlp"], "model.type", "mlp"),
        (["--loss-type", "queue_infonce"], "loss.type", "queue"),
        (["--learnable-temp"], "loss.learnable_temp", True),
        (["--base-data-dir", "a folder"], "data.dir", "a folder"),
    ],
)
def test_the_guides_flags_reach_their_paths(words, path, value):
    tree = parse_request(["pairs", *words], command="tune").composed.tree
    section, key = path.split(".")
    assert tree[section][key] == value


@pytest.mark.parametrize("folder", ["my runs/a", "~", "-x/y", "it's", "$HOME", "#a", "a*?[1]"])
def test_a_printed_command_means_the_same_in_a_shell(folder):
    [program, command, path] = shlex.split(
        formatting.format_command("analyze", Path(folder)), comments=True
    )
    assert (program, command) == ("tunewright", "analyze")
    assert Path(path) == Path(folder)
    assert not path.startswith("-")


def test_options_of_ours_are_quoted_as_they_must_be():
    settings = {"study.name": "it's, a {name}", "study.storage": "sqlite:///a b.db"}
    study = parse_request(["pairs"], command="tune", settings=settings).composed.config.study
    assert (study.name, study.storage) == ("it's, a {name}", "sqlite:///a b.db")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "without a recipe: expected one of .*pairs.*, or a configuration file"),
        (["piars"], "recipe 'piars': .*Did you mean 'pairs'"),
        (["none.yaml"], "none.yaml does not exist"),
        (["pairs", "none.yaml"], "none.yaml does not exist"),
        (["run"], "run is a folder: .*The configuration in it is run/best_config.yaml"),
        (["pairs", "run"], "run is a folder"),
        (["partial.yaml"], "does not say which recipe .*tunewright show RECIPE partial.yaml"),
        (["other.yaml"], r"recipe 'radio' \(set in other.yaml\)"),
        (["pairs", "other.yaml"], r'recipe = "radio" \(set in other.yaml:1\)'),
        (["list.yaml"], "list.yaml holds a YAML list: expected a mapping"),
        (["broken.yaml"], "broken.yaml is not readable as YAML"),
        (["pairs", "double.yaml"], "line 3: duplicate key .lr."),
        (["pairs", "text.yaml"], "text.yaml holds .just a text. only: expected a mapping"),
        (["typo.yaml"], r"optim.lrr is not a known key \(set in typo.yaml:3\).*'optim.lr'"),
        (["pairs", "mine.yaml", "partial.yaml"], "2 files: expected one configuration"),
        (["pairs", "space.yaml", "study.yaml"], "2 files: expected one configuration and one"),
        (["pairs", "optim.lr"], "'optim.lr': expected a YAML file or an override"),
        (["pairs", "optim.lr="], 'optim.lr = "" .set in override'),
        (["pairs", "optim.lr=fast"], 'optim.lr = "fast" .*: expected a valid number'),
        (["pairs", "optm.lr=1"], "optm is not a known key .set in override.*Did you mean 'optim'"),
        (["pairs", "model.type=clip", "model.num_heads=4"], "expected model.type to be attention"),
        (["pairs", "--spce", "x"], "--spce: .*`tunewright show`. Did you mean '--space'"),
        (["pairs", "--lerning-rate", "1"], "Did you mean '--learning-rate'"),
        (["pairs", "--colour", "red"], "See tunewright show --help"),
        (["pairs", "trails.yaml"], "n_trails is not a known key .set in trails.yaml:1.*'n_trials'"),
        (["pairs", "sampler.yaml"], 'study.sampler.type = "TPEE" .set in .*one of tpe, random'),
        (["pairs", "study.trials=-3"], "study.trials = -3 .*greater than or equal to 1"),
    ],
)
def test_what_cannot_be_meant(files, words, complaint):
    with pytest.raises((UsageError, ConfigError), match=complaint):
        parse_request(words, command="show", options=["space", "config"])


def test_one_file_is_named_once(files):
    for words in (["mine.yaml"], ["pairs", "mine.yaml"]):
        with pytest.raises(UsageError, match=r"mine\.yaml and --config mine.yaml together"):
            parse_request(
                words, command="train", configs=Configs((files / "mine.yaml").relative_to(files))
            )
    with pytest.raises(UsageError, match=r"expected one space"):
        parse_request(["pairs", "space.yaml"], command="tune", space=files / "study.yaml")


def test_show_prints_each_value_with_its_origin(files, monkeypatch, capsys):
    code, out, err = typed(monkeypatch, capsys, "show", "mine.yaml", "lr=8e-4")
    assert (code, err) == (0, "")
    lines = {line.split("#")[0].strip(): line.partition("# ")[2] for line in out.splitlines()}
    assert lines["seed: 5"] == "mine.yaml:2"
    assert lines["lr: 0.0008"] == "override 'lr=8e-4'"
    assert lines["eps: 1.0e-08"] == "default"
    (files / "again.yaml").write_text(out)
    again = parse_request(["again.yaml"], command="show").composed.config
    assert again == parse_request(["mine.yaml", "lr=8e-4"], command="show").composed.config


def test_space_prints_what_is_searched(files, monkeypatch, capsys):
    code, out, _ = typed(monkeypatch, capsys, "space", "pairs", "space.yaml")
    assert code == 0
    assert "optim.lr             1e-05 .. 0.001 (log)" in out
    assert "model.hidden_dim" in out
    assert "when model.type = clip or mlp" in out
    assert "note: model.output_dim: [256, 512, 768, 1024] shrunk to" in out
    code, out, _ = typed(monkeypatch, capsys, "space", "space.yaml", "--recipe", "pairs", "--yaml")
    (files / "found.yaml").write_text(out)
    assert read_yaml(files / "found.yaml")["parameters"]["optim.lr"]["high"] == 1e-3
    again = typed(monkeypatch, capsys, "space", "pairs", "found.yaml", "--yaml")
    assert again == (0, out, "")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["show", "piars"], 2, "tunewright: recipe 'piars'"),
        (["show", "pairs", "optim.lrr=1"], 2, "tunewright: optim.lrr is not a known key"),
        (["space", "pairs", "foreign.yaml"], 2, "backbone in the space .*foreign.yaml:2"),
        (["space", "pairs", "data.dir=nowhere"], 2, "nowhere is no folder: expected one with"),
        (["tune", "pairs", "--spce", "x"], 2, "Did you mean '--space'"),
        (["tune", "pairs", "--trials", "-3"], 2, "study.trials = -3"),
        (["tune", "pairs", "--trials", "three"], 2, "valid integer"),
        (["tune", "mine.yaml", "--config", "mine.yaml"], 2, "together: expected one of them"),
        (["analyze", "nothing"], 2, "no study 'nothing' in runs"),
        (["evaluate", "nothing"], 2, "no trained run in nothing"),
        (["fly"], 2, "No such command 'fly'"),
        (["show", "--config-dir", "nowhere", "pairs"], 2, "expected an existing folder"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_message(
    files, monkeypatch, capsys, words, code, complaint
):
    found, out, err = typed(monkeypatch, capsys, *words)
    assert (found, out) == (code, "")
    assert re.search(complaint, err)
    assert "Traceback" not in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_closed(files, monkeypatch, capsys):
    (files / "closed").mkdir(mode=0o500)
    code, _, err = typed(monkeypatch, capsys, "tune", "pairs", "--runs-dir", "closed")
    assert code == 2
    assert "closed" in err


def test_a_runs_folder_that_is_a_file(files, monkeypatch, capsys):
    code, _, err = typed(monkeypatch, capsys, "tune", "pairs", "--runs-dir", "mine.yaml")
    assert code == 2
    assert "mine.yaml" in err
    assert "--runs-dir" in err


def test_verbose_shows_where_an_error_was_raised(monkeypatch, capsys):
    code, _, err = typed(monkeypatch, capsys, "show", "piars", "--verbose")
    assert code == 2
    assert "Traceback" in err
    assert err.rstrip().endswith("Did you mean 'pairs'?")


def test_what_a_library_makes_of_ctrl_c_is_still_ctrl_c(monkeypatch, capsys):
    """Clearing up after a KeyboardInterrupt can raise an error of its own."""

    def interrupted(*_words, **_options):
        try:
            try:
                raise KeyboardInterrupt
            finally:
                raise AttributeError("a half-built tree")
        except AttributeError:
            raise ConfigError("a file is not readable as YAML") from None

    monkeypatch.setattr("tunewright.cli.output.configuration.print_configuration", interrupted)
    code, out, err = typed(monkeypatch, capsys, "show", "pairs")
    assert (code, out, err) == (130, "", "tunewright: interrupted\n")


@pytest.mark.parametrize("flag", ["--trials", "--n-trials", "--timeout"])
def test_an_option_of_a_search_beside_train_is_a_slip(flag, monkeypatch, capsys):
    code, _, err = typed(monkeypatch, capsys, "train", "pairs", flag, "5")
    assert code == 2
    assert f"tunewright tune ... {flag} 5" in err


def test_a_name_stays_in_the_folder_of_runs(files, monkeypatch, capsys):
    for command in ("tune", "train"):
        code, _, err = typed(monkeypatch, capsys, command, "quadratic", "--name", "../elsewhere")
        assert code == 2
        assert "--runs-dir" in err
    assert not (files.parent / "elsewhere").exists()


def test_a_configuration_that_a_study_left_begins_a_study_of_its_own(files):
    (files / "run/study.yaml").write_text("name: run\n")
    (files / "run/top_configs").mkdir()
    (files / "run/top_configs/02.yaml").write_text("recipe: pairs\n")
    for file, name in (("best_config", "run-around-best"), ("top_configs/02", "run-around-02")):
        found = parse_request([f"run/{file}.yaml"], command="tune")
        assert found.composed.config.study.name == name
        assert any(name in notice for notice in found.composed.notices)
    found = parse_request(["run/best_config.yaml", "study.name=mine"], command="tune")
    assert found.composed.config.study.name == "mine"
    assert (
        parse_request(["run/best_config.yaml"], command="train").composed.config.study.name is None
    )


def test_a_space_of_rules_alone_lies_over_the_recipes_space(files):
    (files / "rules.yaml").write_text("forbid:\n  - {model.type: mlp}\n")
    assert parse_request(["pairs", "rules.yaml"], command="tune").space.forbid == (
        {"model.type": "mlp"},
    )


def test_a_notebook_may_write_paths_as_text_and_a_space_as_a_mapping(files):
    found = tunewright.space("quadratic").space
    assert "point.x" in {p.path for p in found.parameters}
    assert tunewright.show(config="mine.yaml").config.seed == 5
    request = parse_request(
        ["quadratic"], command="tune", space={"point.x": {"low": 0.0, "high": 1.0}}
    )
    assert list(request.space.parameters) == ["point.x"]


def test_analyze_reads_any_study_without_torch(files, monkeypatch, capsys, optuna_storage):
    study = optuna.create_study(study_name="s", storage=optuna_storage("sqlite:///study.db"))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert "torch" not in loaded_by("analyze", "study.db")
    code, out, _ = typed(monkeypatch, capsys, "analyze", "study.db", "--json")
    assert (code, json.loads(out)["trials"]) == (0, 3)


def test_analyze_says_why_there_are_no_importances(files, monkeypatch, capsys, optuna_storage):
    study = optuna.create_study(study_name="s", storage=optuna_storage("sqlite:///study.db"))
    study.add_trials(
        create_trial(
            params={"x": n / 20, "y": n % 3},
            distributions={"x": FloatDistribution(0, 1), "y": IntDistribution(0, 2)},
            value=0.25,
        )
        for n in range(20)
    )
    why = "no importances: every score is 0.25: nothing to explain"
    code, out, _ = typed(monkeypatch, capsys, "analyze", "study.db")
    assert (code, f"note: {why}" in out, "PED-ANOVA" in out) == (0, True, False)
    code, out, _ = typed(monkeypatch, capsys, "analyze", "study.db", "--json")
    shown = json.loads(out)
    assert (shown["importances"], shown["importance_notes"]) == ({}, [why])
    assert tunewright.analyze("study.db").overview.importance_notes == [why]


def test_analyze_prints_the_findings_first(files, monkeypatch, capsys, optuna_storage):
    study = optuna.create_study(study_name="s", storage=optuna_storage("sqlite:///study.db"))
    study.add_trials(
        create_trial(
            params={"x": n / 40, "y": n % 3},
            distributions={"x": FloatDistribution(0.0, 2.0), "y": IntDistribution(0, 2)},
            value=abs(n / 40 - 2) + (n * 7 % 5) / 100,
        )
        for n in range(80)
    )
    code, out, _ = typed(
        monkeypatch, capsys, *("analyze", "--storage", "sqlite:///study.db", "--study-name", "s")
    )
    title = "the best x lies at the edge of what was searched"
    assert code == 0
    assert out.index(title) < out.index("study s: 80 trials")
    assert "trial.suggest_float('x', 0.0, 3.0)" in out
    _, out, _ = typed(monkeypatch, capsys, "analyze", "study.db", "--json")
    found = next(one for one in json.loads(out)["findings"] if one["name"] == "edge")
    assert (found["title"], found["parameters"]) == (title, ["x"])
    _, out, _ = typed(monkeypatch, capsys, "analyze", "study.db", "--trial", "3")
    assert title not in out


def test_a_file_with_defaults_is_a_top_level_file(tmp_path):
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "mine.yaml").write_text("type: sgd\nlr: 0.5\n")
    file = tmp_path / "top.yaml"
    file.write_text("defaults: [pairs, override optim: mine, _self_]\nrecipe: pairs\nseed: 7\n")
    composed = parse_request([str(file)], command="train").composed
    assert composed.tree["optim"]["type"] == "sgd"
    assert composed.tree["optim"]["lr"] == 0.5
    assert composed.tree["seed"] == 7
    with pytest.raises(UsageError, match="one top-level file"):
        parse_request([str(file)], command="train", configs=Configs(config_name="other"))


def test_ctrl_c_while_pydantic_builds_a_schema_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pydantic_core import SchemaError

    from tunewright.cli import application, main

    def interrupted() -> None:
        raise SchemaError("Error building `literal` serializer:\nSchemaError: KeyboardInterrupt: ")

    monkeypatch.setattr(application, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "Traceback" not in capsys.readouterr().err
