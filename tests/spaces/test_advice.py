"""Combinations that a space advises against, good ones, and parameters that change nothing."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import tunewright
from tunewright.errors import ConfigError, SpaceError
from tunewright.runs.atomic import write_yaml
from tunewright.spaces.advice import good_points
from tunewright.spaces.points import grid
from tunewright.spaces.sample import draw
from tunewright.spaces.space import Space

TRIPLE = "data.weighted_sampler=true"
FORBID = "space.avoid=forbid"
SMALL_LARGE = {"training.batch_size": 16, "data.image_size": 288}


def spaced(tmp_path: Path, *words: str, **given: Any) -> tuple[Space, list[str]]:
    """The space of `tailed`, with a file laid over it if anything is given."""
    if given:
        write_yaml(tmp_path / "mine.yaml", given)
        words = (str(tmp_path / "mine.yaml"), *words)
    checked = tunewright.space("tailed", *words)
    return checked.space, list(checked.notices)


def told(notices: list[str], word: str) -> list[str]:
    return [notice for notice in notices if word in notice]


def full(space: Space, **values: Any) -> dict[str, Any]:
    """The default point with values in other places."""
    return space.point({path.replace("__", "."): value for path, value in values.items()})


# --- advised against --------------------------------------------------------------------------


def test_one_notice_names_the_rules_that_this_space_can_sample(tmp_path: Path) -> None:
    space, notices = spaced(tmp_path)
    [notice] = told(notices, "advised against")
    assert "small batches of large pictures (batch normalisation is unsteady" in notice
    assert "regularised three times (it underfits)" in notice
    assert "high tau with focal loss" not in notice, "focal loss has no tau"
    assert "space.avoid=forbid" in notice
    assert len(space.avoid) == 3
    assert space.forbid == ()


@pytest.mark.parametrize(
    ("words", "sampled"),
    [
        (["data.image_size=288"], True),  # set by hand, and the batches are searched
        (["data.image_size=256"], False),
        (["data.image_size=288", "training.batch_size=16"], False),  # nobody chooses
    ],
)
def test_what_is_set_for_the_whole_study_counts_as_it_stands(
    tmp_path: Path, words: list[str], sampled: bool
) -> None:
    space, notices = spaced(tmp_path, *words)
    assert bool(told(told(notices, "advised against"), "small batches")) == sampled
    small = full(space, training__batch_size=16)
    assert ("small batches of large pictures" in space.avoid_rules_of(small)) == sampled


@pytest.mark.parametrize(
    ("parameters", "sampled"),
    [
        ({"loss.tau": {"low": 0.3, "high": 0.8}}, False),
        ({"optim.lr": {"low": 3e-4, "high": 1e-3}}, False),
        ({"optim.lr": {"low": 2e-4, "high": 1e-3}}, True),
        ({"model.dropout": {"low": 0.1, "high": 0.5, "step": 0.3}}, True),
        ({"model.dropout": {"low": 0.1, "high": 0.45, "step": 0.2}}, False),
        ({"model.dropout": {"choices": [0.1, 0.5]}}, True),
        ({"model.dropout": {"choices": [0.1, 0.3]}}, False),
    ],
)
def test_whether_a_rule_can_be_met_is_worked_out_from_the_domains(
    tmp_path: Path, parameters: Mapping[str, Any], sampled: bool
) -> None:
    _, notices = spaced(tmp_path, parameters=parameters)
    name = "high tau" if "loss.tau" in parameters else "regularised"
    assert bool(told(told(notices, "advised against"), name)) == sampled


def test_conditions_of_conditions_are_looked_at(tmp_path: Path) -> None:
    """Tau exists above a learning rate of 1e-4 only: with a slow one it is never high."""
    rule = {"name": "hasty", "because": "", "when": {"tau": {"above": 0.7}, "lr": {"below": 1e-4}}}
    _, notices = spaced(tmp_path, avoid=[rule])
    assert told(told(notices, "advised against"), "hasty") == []
    rule["when"]["lr"] = {"below": 2e-4}
    _, notices = spaced(tmp_path, avoid=[rule])
    assert len(told(told(notices, "advised against"), "hasty")) == 1


def test_marks_are_the_names_of_all_rules_that_hold(tmp_path: Path) -> None:
    space, _ = spaced(tmp_path)
    assert space.avoid_rules_of(full(space)) == ()
    bad = full(
        space,
        training__batch_size=16, data__image_size=288, model__dropout=0.45,
        optim__weight_decay=2e-3, optim__lr=1e-4,
    )  # fmt: skip
    names = ("small batches of large pictures", "regularised three times")
    assert space.avoid_rules_of(bad) == names
    assert space.broken_rule(bad) is None


def test_forbidden_they_are_never_drawn(tmp_path: Path) -> None:
    space, notices = spaced(tmp_path, FORBID)
    assert told(notices, "advised against") == []
    assert len(told(notices, "left out, by space.avoid=forbid")) == 1
    rng = random.Random(0)
    for _ in range(300):
        values = draw(space, rng)
        assert values is not None
        assert space.avoid_rules_of(values) == ()
    rule = space.broken_rule(full(space, training__batch_size=16, data__image_size=288))
    assert str(rule).startswith("small batches of large pictures (training.batch_size = 16")


def test_a_rule_that_nobody_chooses_forbids_nothing(tmp_path: Path) -> None:
    words = [f"{path}={value}" for path, value in SMALL_LARGE.items()]
    space, _ = spaced(tmp_path, FORBID, *words)
    assert draw(space, random.Random(0)) is not None


def test_a_grid_leaves_them_out_too(tmp_path: Path) -> None:
    parameters = {
        "training.batch_size": {"choices": [16, 32]},
        "image_size": {"choices": [224, 288]},
    }
    rule = {"name": "small of large", "when": {"batch_size": 16, "image_size": 288}}
    given = {"inherit": False, "parameters": parameters, "avoid": [rule]}
    assert len(list(grid(spaced(tmp_path, **given)[0]))) == 4
    assert len(list(grid(spaced(tmp_path, FORBID, **given)[0]))) == 3


def test_a_file_lays_its_rules_over_the_recipes_by_name(tmp_path: Path) -> None:
    mine = {"name": "regularised three times", "when": {"dropout": {"above": 0.2}}}
    space, _ = spaced(tmp_path, avoid=[mine, {"name": "own", "when": {"fusion": "msff"}}])
    names = [rule.name for rule in space.avoid]
    assert len(names) == 4
    assert space.avoid_rules_of(full(space, model__dropout=0.3)) == (
        "regularised three times",
        "own",
    )
    space, _ = spaced(tmp_path, avoid=[mine], parameters={"lr": {"low": 1e-3, "high": 1e-2}},
                      inherit=False)  # fmt: skip
    assert [rule.name for rule in space.avoid] == ["regularised three times"]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            {"avoid": {"tau": 1}},
            "avoid in .*: expected a list of mappings with name, because and w",
        ),
        (
            {"avoid": [{"tau": 1}]},
            "avoid: {'tau': 1}: expected a mapping with name, because and wh",
        ),
        ({"avoid": [{"name": "a", "when": {}}]}, "when of 'a': {}: expected a mapping"),
        (
            {"avoid": [{"name": "a", "when": {"loss.tua": 1}}]},
            "names loss.tua.*Did you mean 'loss.tau'",
        ),
        ({"avoid": [{"name": "a", "when": {"tau": 1}}] * 2}, "avoid in .* has a duplicate name"),
        ({"good": [{"name": "a", "set": 3}]}, "set of 'a': 3: expected a mapping"),
        (
            {"good": [{"name": "a", "when": {"tau": 1}}]},
            "expected a mapping with name, because and set",
        ),
        ({"good": [{"name": "a", "set": {"model.drpout": 1}}]}, "good 'a' names .*'model.dropout'"),
        (
            {"parameters": {"tau": {"inert": True}}},
            "loss.tau: inert = True .*: expected the reason",
        ),
    ],
)
def test_advice_that_cannot_be_meant(
    tmp_path: Path, given: Mapping[str, Any], complaint: str
) -> None:
    with pytest.raises(SpaceError, match=complaint):
        spaced(tmp_path, **given)


def test_another_word_for_avoid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"space\.avoid"):
        spaced(tmp_path, "space.avoid=forbids")


# --- good combinations ------------------------------------------------------------------------


def test_good_combinations_are_the_defaults_with_some_values(tmp_path: Path) -> None:
    space, notices = spaced(tmp_path, TRIPLE)
    points = good_points(space)
    assert list(points) == [
        "tail three times",
        "more dropout, less decay",
        "larger pictures, smaller batches",
        "focal and slower",
    ]
    assert told(notices, "good combination") == []
    default = space.default()
    assert default is not None
    assert points["tail three times"] == {**default, "loss.tau": 0.7}
    focal = points["focal and slower"]
    assert "loss.tau" not in focal, "conditional parameters follow the values"
    assert (focal["loss.gamma"], focal["optim.lr"]) == (2.0, 3e-4)
    assert all(space.contains(point) for point in points.values())


@pytest.mark.parametrize(
    ("words", "given", "reason"),
    [
        ([], {}, "data.weighted_sampler is fixed at False here"),
        ([TRIPLE, "loss.type=focal"], {}, "loss.type is fixed at focal here"),
        ([TRIPLE], {"parameters": {"tau": {"high": 0.6}}}, "loss.tau = 0.7 lies outside 0.3"),
        ([TRIPLE, FORBID], {"avoid": [{"name": "no", "when": {"tau": 0.7}}]}, "forbidden: no "),
        ([TRIPLE], {"forbid": [{"tau": {"above": 0.65}}]}, "forbidden: loss.tau above 0.65"),
        ([TRIPLE], {"good": [{"name": "tail three times", "set": {"tau": 0.5}}]},
         "the same as the first trial, the defaults"),
        ([TRIPLE], {"good": [{"name": "tail three times", "set": {"focal_gamma": 1.5}}]},
         "loss.gamma needs loss.type = focal"),
        ([TRIPLE], {"good": [{"name": "tail three times", "set": {"dropout": 0.3}},
                             {"name": "twin", "set": {"dropout": 0.3}}]},
         "'twin' is left out: the same as 'tail three times'"),
    ],
)  # fmt: skip
def test_a_good_combination_that_cannot_be_tried_is_left_out_with_the_reason(
    tmp_path: Path, words: list[str], given: Mapping[str, Any], reason: str
) -> None:
    space, notices = spaced(tmp_path, *words, **given)
    [notice] = told(notices, "is left out")
    assert reason in notice
    left_out = "twin" if "twin" in reason else "tail three times"
    assert left_out not in good_points(space)


def test_values_of_what_is_inert_are_not_looked_at(tmp_path: Path) -> None:
    good = {"name": "focal and slower", "set": {"loss_fn": "focal", "lr": 3e-4, "focal_alpha": 0.4}}
    space, notices = spaced(tmp_path, TRIPLE, good=[good])
    assert told(notices, "is left out") == []
    assert "loss.alpha" not in good_points(space)["focal and slower"]


def test_a_good_value_is_spelled_as_its_domain_spells_it(tmp_path: Path) -> None:
    good = [{"name": "one", "set": {"tau": 0.6, "image_size": 256.0}}]
    space, _ = spaced(tmp_path, TRIPLE, good=good)
    assert isinstance(good_points(space)["one"]["data.image_size"], int)


# --- inert parameters -------------------------------------------------------------------------


def test_an_inert_parameter_is_named_with_its_reason_and_not_sampled(tmp_path: Path) -> None:
    space, notices = spaced(tmp_path)
    [notice] = told(notices, "inert")
    assert notice.startswith("loss.alpha is inert, and stays 0.25: one number only rescales")
    assert "loss.alpha" not in space
    assert "loss.alpha" not in space.derived


@pytest.mark.parametrize("fields", [{"low": 0.1, "high": 0.5}, {"choices": [0.1, 0.5]}])
def test_a_domain_of_ones_own_does_not_make_it_matter(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    space, notices = spaced(tmp_path, parameters={"focal_alpha": fields})
    assert len(told(notices, "inert")) == 1
    assert "loss.alpha" not in space
    space, notices = spaced(tmp_path, parameters={"focal_alpha": {**fields, "inert": False}})
    assert told(notices, "inert") == []
    assert str(space["loss.alpha"].when[0]) == "loss.type = focal"


def test_a_default_that_is_not_the_configurations_is_set(tmp_path: Path) -> None:
    space, notices = spaced(tmp_path, parameters={"dropout": {"default": 0.4, "inert": "why"}})
    assert "model.dropout is inert, and stays 0.4: why" in told(notices, "dropout is inert")[0]
    values = draw(space, random.Random(0))
    assert values is not None
    assert space.complete(values)["model.dropout"] == 0.4


def test_what_is_inert_is_still_checked(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"loss\.alpha: low = 2"):
        spaced(tmp_path, parameters={"focal_alpha": {"low": 2, "high": 1}})


# --- what is written down ---------------------------------------------------------------------


@pytest.mark.parametrize("words", [(TRIPLE,), (TRIPLE, FORBID)])
def test_a_space_with_advice_reads_back_as_the_same_space(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    from tunewright.spaces.specification import specification

    space, _ = spaced(tmp_path, *words)
    written = specification(space)
    again, notices = spaced(tmp_path, TRIPLE, **written)
    assert again == space
    assert told(notices, "inert") == []
    assert specification(again) == written


def test_the_shipped_condition_stays_where_a_file_gives_the_domain(tmp_path: Path) -> None:
    space, _ = spaced(tmp_path, parameters={"tau": {"type": "float", "low": 0.45, "high": 0.55}})
    assert [str(c) for c in space["loss.tau"].when] == [
        "loss.type = smooth_modulation",
        "optim.lr above 0.0001",
    ]
    assert str(space["loss.tau"].domain) == "0.45 .. 0.55"
