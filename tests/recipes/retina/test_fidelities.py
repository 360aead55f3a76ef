"""Named fidelities of `retina`, its grid, and warm-ups that do not fit the run."""

from pathlib import Path

import pytest

from tunewright.config.compose import compose
from tunewright.config.layers import Layer
from tunewright.errors import ConfigError, SpaceError
from tunewright.recipes.fidelity import check_before_training
from tunewright.recipes.registry import find_recipe
from tunewright.request import ParsedRequest, parse_request
from tunewright.runs.atomic import write_yaml
from tunewright.search.prepare import build_checked_space, prepare, stage
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.points import grid
from tunewright.spaces.space import Space

RETINA = find_recipe("retina")
SMALL = ("data.image_size=32", "model.embed_dim=16", "model.text_width=16")


def request(*words: str, command: str = "tune", **given: object) -> ParsedRequest:
    return parse_request(["retina", *words], command=command, **given)  # type: ignore[arg-type]


def space_of(*words: str, **given: object) -> tuple[Space, list[str]]:
    found = request(*words, **given)
    tree, config = stage(RETINA, found.composed, "explore")
    return build_checked_space(RETINA, found.composed, tree, config, found.space)


def test_the_quick_fidelity_is_a_stratified_sample_of_two_epochs_in_every_stage() -> None:
    composed = request("fidelity=quick").composed
    for name in ("explore", "final"):
        config = stage(RETINA, composed, name)[1]
        assert config.training.epochs == 2
        assert (config.data.train_rows, config.data.valid_rows) == (100, 50)  # type: ignore[attr-defined]
    assert composed.config.fidelity == "quick"
    assert not composed.config.study.final


def test_the_quick_fidelity_says_that_it_ranks_nothing() -> None:
    few = check_before_training(RETINA, compose(RETINA, [*SMALL, "fidelity=quick"]).config)
    assert any("6 optimiser steps" in text and "rank nothing" in text for text in few)
    many = [*SMALL, "fidelity=quick", "training.epochs=17"]
    found = check_before_training(RETINA, compose(RETINA, many).config)
    assert not any("rank nothing" in text for text in found)


def test_typed_keys_win_over_the_fidelity_and_are_named() -> None:
    composed = request("fidelity=quick", "--epochs", "5", command="train").composed
    assert composed.config.training.epochs == 5
    [notice] = [text for text in composed.notices if "leaves what was typed" in text]
    assert "training.epochs = 5 (override 'training.epochs=5') in place of 2" in notice


def test_a_file_of_the_user_wins_over_the_fidelity(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    write_yaml(file, {"recipe": "retina", "training": {"epochs": 7}})
    composed = parse_request([str(file), "fidelity=quick"], command="train").composed
    assert composed.config.training.epochs == 7
    assert any("mine.yaml" in text and "in place of 2" in text for text in composed.notices)


def test_what_was_stored_stays_as_it_was_meant(tmp_path: Path) -> None:
    meant = request("fidelity=quick", "training.epochs=5", "data.train_rows=null").composed
    file = tmp_path / "config.yaml"
    for stored in (True, False):
        layers = [Layer(file, meant.tree, stored)]
        assert compose(RETINA, layers=layers).tree == meant.tree
        assert compose(RETINA, ["fidelity=quick"], layers=layers).tree == meant.tree


def test_another_fidelity_replaces_what_the_stored_one_had_set(tmp_path: Path) -> None:
    quick = request("fidelity=quick", "optim.lr=1e-4", command="train").composed
    layers = [Layer(tmp_path / "best_config.yaml", quick.tree)]
    full = compose(RETINA, ["fidelity=full"], layers=layers).config
    assert full.fidelity == "full"
    assert (full.training.epochs, full.training.patience) == (10, 3)
    assert full.data.train_rows is None  # type: ignore[attr-defined]
    assert full.study.final
    assert full.optim.lr == 1e-4
    none = compose(RETINA, ["fidelity=null"], layers=layers).config
    assert none.training.epochs == compose(RETINA).config.training.epochs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("retina", "fidelity=quik"), r"expected one of quick, full. Did you mean 'quick'"),
        (("pairs", "fidelity=quick"), r"the recipe pairs declares no fidelities. Set what"),
        (("retina", "stages.final.fidelity=full"), r"expected one fidelity for all stages"),
        (("retina", "fidelity=quick", "--warmup", "2000"), r"2000 steps, and the full run has 80"),
    ],
)
def test_a_fidelity_that_cannot_be_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_request(words, command="train")


def test_steps_of_a_warm_up_become_fractions_of_the_full_run() -> None:
    composed = request("fidelity=quick", "--warmup", "20", command="train").composed
    assert composed.config.warmup == 0.25  # type: ignore[attr-defined]
    assert composed.config.schedule.warmup_fraction == 0.25
    assert any("20 of the 80 steps of the full run" in text for text in composed.notices)
    assert request("--warmup", "20", command="train").composed.config.warmup == 20  # type: ignore[attr-defined]


def test_steps_in_a_space_become_fractions_of_the_full_run() -> None:
    steps = {"warmup": {"choices": [20, 40, 80, 0.1]}}
    space, notices = space_of("fidelity=quick", space=steps)
    assert space["warmup"].domain == Categorical((0.25, 0.5, 0.1))
    assert "warmup: 80 excluded, since the full run has 80 steps" in notices
    steps = {"warmup": {"type": "int", "low": 8, "high": 2000}}
    space, notices = space_of("fidelity=quick", space=steps)
    assert space["warmup"].domain == Float(0.1, round(79 / 80, 4))
    assert any("2000 excluded" in text for text in notices)
    with pytest.raises(SpaceError, match="no value of warmup is shorter than the full run"):
        space_of("fidelity=quick", space={"warmup": {"choices": [300, 500]}})


def test_warm_ups_that_are_not_shorter_than_the_run_are_excluded_and_named() -> None:
    """256 patients in the smallest batches, of 32, are 8 steps an epoch: 32 in 4 epochs."""
    space, notices = space_of(space={"warmup": {"choices": [0.1, 10, 31, 32, 2000]}})
    assert space["warmup"].domain == Categorical((0.1, 10, 31))
    assert any("warmup: dropped [32, 2000]" in text for text in notices)
    space, notices = space_of(space={"warmup": {"type": "int", "low": 5, "high": 2000}})
    assert space["warmup"].domain == Int(5, 31)
    assert any("warmup: values above 31 up to 2000 are excluded" in text for text in notices)
    with pytest.raises(SpaceError, match="no value of warmup works on this data"):
        space_of(space={"warmup": {"type": "int", "low": 100, "high": 2000}})
    point = dict(space.default() or {})
    assert space.broken_rule({**point, "training.batch_size": 128, "warmup": 8}) is not None


def test_the_grid_is_the_first_phase_of_the_guide() -> None:
    space, _ = space_of("fidelity=quick", "study.sampler.type=grid")
    points = list(grid(space))
    assert len(points) == 16
    assert {point["optim.lr"] for point in points} == {1e-6, 5e-6, 1e-5, 5e-5}
    assert {point["training.batch_size"] for point in points} == {64, 128}
    assert {round(1020 * point["warmup"]) for point in points} == {300, 500}


def test_a_study_is_named_by_its_fidelity(tmp_path: Path) -> None:
    found = request("fidelity=quick", *SMALL)
    prepared = prepare(RETINA, found.composed, given=None, runs=tmp_path)
    assert prepared.name == "retina-quick"


def test_the_grid_is_tried_whole_and_trains_no_winner_unless_asked(tmp_path: Path) -> None:
    words = (*SMALL, "fidelity=quick", "study.sampler.type=grid")
    study = prepare(RETINA, request(*words).composed, given=None, runs=tmp_path).composed
    assert (study.config.study.trials, study.config.study.final) == (16, False)
    asked = request(*words, "study.trials=3", "study.final=true").composed
    found = prepare(RETINA, asked, given=None, runs=tmp_path)
    assert (found.config.study.trials, found.composed.config.study.final) == (3, True)
    # A study goes on with the numbers that are stored, which nobody types again.
    stored = [Layer(tmp_path / "study.yaml", found.composed.tree, stored=True)]
    again = prepare(
        RETINA, compose(RETINA, layers=stored, reserving=True), given=None, runs=tmp_path
    )
    assert (again.config.study.trials, again.composed.config.study.final) == (3, True)
