"""What a study refuses before its first trial, and where its results may go."""

import os
from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set

import tunewright
from tunewright.config.compose import compose
from tunewright.deliver.find_run import find_run
from tunewright.errors import ConfigError, StudyError, UsageError
from tunewright.recipes.registry import find_recipe
from tunewright.search.prepare import prepare, refuse_leading_out
from tunewright.search.storage.database import open_storage
from tunewright.search.storage.urls import absolute_url
from tunewright.spaces.read import read_space

QUADRATIC = ("quadratic", "executor.type=inline", "study.pruner.type=none", "training.epochs=3")


def test_trials_of_another_database_are_not_trained_on(tmp_path: Path) -> None:
    tunewright.tune(*QUADRATIC, trials=2, name="one", runs_dir=tmp_path)
    url = f"sqlite:///{tmp_path}/other.db"
    with pytest.raises(StudyError, match="knows no such study"):
        tunewright.tune(*QUADRATIC, trials=2, name="one", storage=url, runs_dir=tmp_path)


def test_a_training_does_not_move_into_a_study(tmp_path: Path) -> None:
    tuned = tunewright.tune(*QUADRATIC, trials=2, name="one", runs_dir=tmp_path)
    trained = tunewright.train(*QUADRATIC, name="one", runs_dir=tmp_path)
    assert trained.folders[0].path == tmp_path / "one-2"
    assert not (tuned.folder.path / "config.yaml").exists()


def test_final_is_always_the_best_trial(tmp_path: Path) -> None:
    for trials in (2, 20):
        tuned = tunewright.tune(*QUADRATIC, trials=trials, name="one", runs_dir=tmp_path)
        assert tuned.final is not None
        assert tuned.final.folders[0].path == tmp_path / "one" / "final"


def test_other_rules_are_another_space(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    path = next(p.path for p in tunewright.space(*QUADRATIC).space.parameters)
    fields = "parameters:\n  " + path + ": {type: float, low: 0.0, high: 1.0}\n"
    file.write_text(fields)
    tunewright.tune(*QUADRATIC, space=file, trials=2, name="one", runs_dir=tmp_path)
    file.write_text(fields + "forbid:\n  - " + path + ": {above: 0.9}\n")
    found = tunewright.tune(*QUADRATIC, space=file, trials=3, name="one", runs_dir=tmp_path)
    assert all(trial.parameters[path] <= 0.9 for trial in found.record.trials)
    assert (tmp_path / "one" / "study-1.db").exists()


def test_seeds_are_distinct() -> None:
    with pytest.raises(ConfigError, match="each of them once"):
        tunewright.show("quadratic", "seeds=[1,1]")


def test_a_study_keeps_the_seed_that_it_was_begun_with(tmp_path: Path) -> None:
    """Also one of an older version, in which a typed `seed` left the search alone."""
    recipe = find_recipe("quadratic")

    def seed_of(*words: str) -> int:
        composed = compose(recipe, [*QUADRATIC[1:], "study.name=one", *words])
        return prepare(recipe, composed, given=None, runs=tmp_path).settings.seed

    assert seed_of("seed=7") == 7
    tunewright.tune(*QUADRATIC, "seed=7", "study.seed=0", trials=2, name="one", runs_dir=tmp_path)
    assert seed_of("seed=7") == 0
    assert seed_of("seed=7", "study.seed=3") == 3


def test_relative_urls_become_whole_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///s", "sqlite:///./s", f"sqlite:///{tmp_path}/s"):
        assert absolute_url(url) == f"sqlite:///{tmp_path}/s"
    assert absolute_url("sqlite:///s?timeout=5") == f"sqlite:///{tmp_path}/s?timeout=5"
    with pytest.raises(StudyError, match="outlive"):
        open_storage("sqlite:///:memory:")


def test_a_study_stands_for_its_final_run(tmp_path: Path) -> None:
    (tmp_path / "one" / "final" / "checkpoints").mkdir(parents=True)
    (tmp_path / "one" / "final" / "config.yaml").write_text("recipe: quadratic\n")
    assert find_run(Path("one"), tmp_path).folder.path == tmp_path / "one" / "final"


@pytest.mark.parametrize("name", ["a\0b", os.fsdecode(b"caf\xe9")])
def test_a_name_that_cannot_be_stored_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="text that can be stored"):
        refuse_leading_out(name, tmp_path)


def test_a_study_of_another_recipe_is_named_before_its_space_is_read(tmp_path: Path) -> None:
    tunewright.tune("quadratic", "executor.type=inline", trials=1, name="one", runs_dir=tmp_path)
    with pytest.raises(StudyError, match="'one' belongs to the recipe 'quadratic'"):
        tunewright.tune("pairs", trials=1, name="one", runs_dir=tmp_path)


@pytest.mark.parametrize(("choices", "size"), [("[32, 48]", 48), ("[16, 224]", 224)])
def test_pictures_are_decoded_at_a_size_of_the_space(
    tmp_path: Path, choices: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewright.classification import data_checks

    sizes: list[int] = []
    build = data_checks.build_store
    monkeypatch.setattr(
        data_checks,
        "build_store",
        lambda table, pixels, **rest: (sizes.append(pixels), build(table, pixels, **rest))[1],
    )
    space = tmp_path / "space.yaml"
    space.write_text(f"parameters:\n  data.image_size: {{choices: {choices}}}\n")
    recipe = find_recipe("longtail")
    folder = draw_set(tmp_path / "data", (12, 12))
    composed = compose(recipe, [f"data.dir={folder}", "study.pruner.type=none"])
    given = read_space(space, recipe.dialect.aliases)
    prepare(recipe, composed, given=given, runs=tmp_path / "runs")
    assert set(sizes) == {size}
