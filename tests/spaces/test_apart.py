"""Of two names of which one is the beginning of the other, none is lost without a word."""

import copy

import pytest

import tunewright
from tunewright.errors import SpaceError

N = {"type": "int", "low": 1, "high": 64}
KINDS = {"choices": ["adam", "sgd"]}
DICTIONARIES = {"choices": [{"kind": "adam"}, {"kind": "sgd", "momentum": 0.9}]}


def searched(space, *words, trials=4, folder):
    seen = []

    def function(params, report):
        seen.append(copy.deepcopy(params))
        return 0.5

    inline = ("executor.type=inline", "study.sampler.type=random")
    tunewright.tune(function, space, *words, *inline, trials=trials, name="s", runs_dir=folder)
    return seen


@pytest.mark.parametrize(
    ("space", "words", "names"),
    [
        ({"optim": KINDS, "optim.lr": N}, (), ("optim", "optim.lr")),
        ({"optim.lr": N, "optim": KINDS}, (), ("optim", "optim.lr")),
        ({"optim": N, "optim.lr": N}, (), ("optim", "optim.lr")),
        ({"optim": DICTIONARIES, "optim.lr": N}, (), ("optim", "optim.lr")),
        ({"a": N, "a.b.c": N}, (), ("a", "a.b.c")),
        ({"a.b": KINDS, "a.b.c": N, "x": N}, (), ("a.b", "a.b.c")),
        ({"optim.lr": N}, ("params.optim=adam",), ("optim", "optim.lr")),
        ({"optim": KINDS}, ("params.optim.lr=3",), ("optim", "optim.lr")),
        ({"optim": DICTIONARIES}, ("params.optim.momentum=0",), ("optim", "optim.momentum")),
        (
            {"parameters": {"a.b": N}, "settings": {"params": {"a": "text"}}},
            (),
            ("a", "a.b"),
        ),
        (
            {"parameters": {"a": KINDS, "x": N}, "derived": {"a.b": "2 * x"}},
            ("params.a.b=0",),
            ("a", "a.b"),
        ),
    ],
)
def test_both_names_are_given_before_the_first_trial(space, words, names, tmp_path):
    upper, lower = names
    with pytest.raises(SpaceError, match=rf"^{upper} \(.*\) and {lower} \(.*one would overwrite"):
        searched(space, *words, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_name_in_two_spellings_is_listed_twice(tmp_path):
    with pytest.raises(SpaceError, match=r"optim\.lr is listed twice"):
        searched({"optim": {"lr": N}, "optim.lr": N}, folder=tmp_path)


def test_a_dictionary_is_merged_with_what_is_set_beside_it_and_stays_as_it_is(tmp_path):
    space = {"optim": DICTIONARIES, "x": N}
    before = copy.deepcopy(space)
    seen = searched(space, "params.optim.lr=3", folder=tmp_path)
    assert {params["optim"]["kind"] for params in seen} == {"adam", "sgd"}
    for params in seen:
        assert params["optim"]["lr"] == 3
        assert ("momentum" in params["optim"]) == (params["optim"]["kind"] == "sgd")
    assert space == before


def test_names_that_no_trial_has_together_are_let_be(tmp_path):
    space = {
        "by": {"choices": ["name", "parts"]},
        "model": {"choices": ["mlp", "cnn"], "when": {"by": "name"}},
        "model.width": N | {"when": {"by": "parts"}},
    }
    for params in searched(space, trials=12, folder=tmp_path):
        wanted = (str,) if params["by"] == "name" else (dict,)
        assert isinstance(params["model"], wanted)


def test_settings_in_a_space_of_python_stay_as_they_are(tmp_path):
    space = {
        "study": {"pruner": {"type": "none"}},
        "hyperparameters": {"x": N},
        "fixed": {"study": {"seed": 3}, "params": {"y": {"z": 1}}},
    }
    before = copy.deepcopy(space)
    searched(space, trials=1, folder=tmp_path)
    assert space == before
