"""What makes no sense with several labels a picture is refused, and each remedy works."""

from pathlib import Path

import pytest

import tunewright
from tunewright.errors import ConfigError, SpaceError, UsageError

ON = "data.multi_label=true"
RECIPES = ("flowers", "longtail")


def shown(*words, recipe="flowers", **options):
    return tunewright.show(recipe, *words, **options)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_switch_brings_a_loss_and_a_goal(recipe):
    found = shown(ON, recipe=recipe)
    assert (found.config.loss.type, found.config.goal) == ("binary_cross_entropy", "val_map")
    assert found.config.loss == type(found.config.loss)()  # nothing of the shipped loss is left
    assert len([notice for notice in found.notices if "data.multi_label = true" in notice]) == 2
    assert shown(recipe=recipe).config.data.multi_label is False


@pytest.mark.parametrize(
    "words",
    [
        ("loss.type=asymmetric", "goal=val_macro_f1"),
        ("loss=asymmetric", "goal=val_macro_f1"),
        ("loss.type=asymmetric", "goal=[val_macro_f1,val_hamming_loss]", "loss.margin=0.1"),
    ],
)
def test_what_is_typed_stays(words):
    found = shown(ON, *words)
    assert found.config.loss.type == "asymmetric"
    assert found.config.goals[0] == "val_macro_f1"
    assert not [notice for notice in found.notices if "data.multi_label" in notice]


def test_a_file_of_a_run_keeps_its_own_loss(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text("recipe: flowers\ndata: {multi_label: true}\nloss: {type: asymmetric}\n")
    found = tunewright.show(file)
    assert found.config.loss.type == "asymmetric"
    assert found.config.goal == "val_map"


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (("loss=focal",), "loss.type = focal", ("loss=binary_cross_entropy",)),
        (("loss.type=logit_adjustment",), "loss.type = logit_adj", ("loss.type=asymmetric",)),
        (
            ("mixing.cutmix_alpha=1",),
            "mixing.cutmix_alpha = 1",
            ("mixing.cutmix_alpha=0", "mixing.mixup_alpha=0.2"),
        ),
        (
            ("data.weighted_sampler=true",),
            "data.weighted_sampler = true",
            ("data.weighted_sampler=false", "loss.positive_weight=3"),
        ),
        (("goal=val_accuracy",), "goal = val_accuracy", ("goal=val_map",)),
        (("goal=val_tail_f1",), "goal = val_tail_f1", ("goal=val_macro_f1",)),
        (
            ("data.columns.label=a", "data.columns.classes=[b,c]"),
            "one of them",
            ("data.columns.label=null",),
        ),
    ],
)  # fmt: skip
def test_settings_that_compare_classes_are_refused(words, message, remedy):
    with pytest.raises(ConfigError) as caught:
        shown(ON, *words)
    assert message in str(caught.value)
    changed = {word.partition("=")[0].removesuffix(".type") for word in remedy}
    kept = [word for word in words if word.partition("=")[0].removesuffix(".type") not in changed]
    shown(ON, *kept, *remedy)


@pytest.mark.parametrize(
    "word",
    [
        "loss.type=asymmetric",
        "loss=binary_cross_entropy",
        "goal=val_map",
        "data.label_separator=';'",
        "data.columns.classes=[a,b]",
    ],
)
def test_settings_of_several_labels_need_the_switch(word):
    with pytest.raises(ConfigError, match=r"Set data\.multi_label=true"):
        shown(word)
    shown(word, ON)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_shipped_space_searches_losses_of_several_labels(recipe):
    found = tunewright.space(recipe, ON).space
    assert found["loss.type"].domain.ends == ("binary_cross_entropy", "asymmetric")
    assert {"loss.positive_weight", "loss.gamma_negative"} <= {p.path for p in found.parameters}
    assert "mixing.cutmix_alpha" not in found
    assert found.default() is not None
    usual = tunewright.space(recipe).space
    assert "binary_cross_entropy" not in usual["loss.type"].domain.ends


def test_a_space_of_losses_that_compare_classes_is_refused(tmp_path: Path):
    file = tmp_path / "space.yaml"
    file.write_text(
        "parameters:\n  loss.type: {type: categorical, choices: [cross_entropy, focal]}\n"
    )
    with pytest.raises((SpaceError, ConfigError, UsageError), match=r"loss\.type=asymmetric"):
        tunewright.space("flowers", file, ON)
