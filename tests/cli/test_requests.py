"""The functions of the package, as a notebook calls them."""

import json
from pathlib import Path

import pytest

import tunewright
from tunewright.errors import ConfigError, UsageError
from tunewright.runs.atomic import read_yaml


def test_words_are_a_recipe_and_a_callable_is_a_function(tmp_path):
    fast = ("executor.type=inline", "study.final=false")
    typed = tunewright.tune("quadratic", *fast, trials=1, runs_dir=tmp_path)
    assert typed.record.recipe == "quadratic"
    called = tunewright.tune(
        lambda params, report: params["x"],
        space={"x": {"low": 0.0, "high": 1.0}},
        name="called",
        trials=1,
        runs_dir=tmp_path,
    )
    assert called.record.recipe == "function"
    assert called.record.goal == "value"


def test_what_only_functions_have_is_no_option_of_the_command(tmp_path):
    with pytest.raises(UsageError, match="--step") as caught:
        tunewright.tune("quadratic", "--step", "9", runs_dir=tmp_path)
    assert "--steps'" not in str(caught.value)


def test_a_sampler_and_a_pruner_are_named_like_their_keys(tmp_path):
    fast = ("executor.type=inline", "study.final=false")
    options = {"sampler": "random", "pruner": "median", "trials": 1, "runs_dir": tmp_path}
    record = tunewright.tune("quadratic", *fast, **options).record
    stored = read_yaml(tmp_path / "quadratic" / "study.yaml")["configuration"]["study"]
    assert record.recipe == "quadratic"
    assert (stored["sampler"]["type"], stored["pruner"]["type"]) == ("random", "median")
    with pytest.raises(ConfigError, match="Did you mean 'random'"):
        tunewright.tune("quadratic", *fast, **{**options, "sampler": "randm"})


def test_a_file_is_a_word_as_text_or_as_a_path(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: quadratic\nseed: 5\n")
    assert tunewright.show(file).config.seed == tunewright.show(str(file)).config.seed == 5


def test_what_a_search_returns_is_json_and_a_table(tmp_path):
    fast = ("executor.type=inline", "study.final=false")
    tuned = tunewright.tune("quadratic", *fast, trials=2, name="two", runs_dir=tmp_path)
    trained = tunewright.train("quadratic", fast[0], "seeds=[1,2]", runs_dir=tmp_path)
    seen = tunewright.analyze("two", runs_dir=tmp_path, save_configs=True)
    found = [tuned, trained, seen, tunewright.repair("two", runs_dir=tmp_path)]
    found += [tunewright.space("quadratic"), tunewright.show("quadratic")]
    for result in found:
        stored = json.loads(json.dumps(result.as_json(), allow_nan=False))
        assert stored == result.as_json()
        assert "<table>" in result._repr_html_()
    assert tuned.as_json()["best"]["number"] == tuned.record.best.number
    assert trained.as_json()["mean"] == trained.mean
    assert [file.name for file in seen.files] == ["01.yaml", "02.yaml"]
    assert seen.as_json()["files"] == [str(file) for file in seen.files]


def test_a_run_folder_is_a_path(tmp_path):
    trained = tunewright.train("quadratic", "executor.type=inline", name="a", runs_dir=tmp_path)
    assert Path(trained.folders[0]) == tmp_path / "a"
