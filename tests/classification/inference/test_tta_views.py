"""Views as people write them."""

import pytest

from tunewright.classification.inference.tta_views import ALONE, MIRRORED, Views, read_views
from tunewright.errors import ConfigError


def names(views: Views) -> list[str]:
    return [view.name for view in views.all()]


def test_nothing_asked_for_is_the_picture_alone():
    assert read_views() == ALONE
    assert names(ALONE) == ["image"]
    assert ALONE.plain


def test_a_bare_tta_is_the_guides_image_and_mirror():
    assert read_views(tta=True) == MIRRORED
    assert names(MIRRORED) == ["image", "hflip"]


def test_the_guides_richer_list():
    views = read_views(named="hflip, vflip, rotate, brightness")
    assert names(views) == [
        "image",
        "hflip",
        "vflip",
        "rotate+5",
        "rotate-5",
        "brightness+10%",
        "brightness-10%",
    ]
    assert [view.brightness for view in views.all()][-2:] == [1.1, 0.9]


def test_a_list_is_these_views_and_no_others():
    assert names(read_views(tta=True, named="vflip")) == ["image", "vflip"]
    assert names(read_views(named=["rotate=7.5"])) == ["image", "rotate+7.5", "rotate-7.5"]


def test_words_change_what_tta_means():
    words = {"tta.rotate": "5", "tta.hflip": "false", "tta.mean": "probabilities"}
    views = read_views(words=words)
    assert views == Views(rotate=5.0, mean="probabilities")
    assert names(read_views(words={"tta.vflip": "true"})) == ["image", "hflip", "vflip"]


@pytest.mark.parametrize(
    "views", [MIRRORED, Views(vflip=True, rotate=7.5), Views(True, True, 5.0, 0.1, "probabilities")]
)
def test_views_can_be_typed_again(views):
    words = dict(word.split("=") for word in views.words)
    assert read_views(tta=True, words=words) == views


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"named": "hflp"}, "Did you mean 'hflip'"),
        ({"named": "rotate=200"}, "degrees"),
        ({"named": "brightness=10"}, "0.1 for 10 %"),
        ({"named": "hflip=2"}, "true or false"),
        ({"words": {"tta.mean": "median"}}, "logits or probabilities"),
        ({"words": {"tta.rotate": "nan"}}, "degrees"),
        ({"words": {"tta.rotate": ".nan"}}, "degrees"),
        ({"words": {"tta.rotate": "["}}, r"tta\.rotate = '\[' .*: expected degrees"),
        ({"words": {"tta.hflip": "{"}}, r"tta\.hflip = '\{' .*expected true or false"),
        ({"words": {"tta.mean": "'"}}, "logits or probabilities"),
        ({"named": "brightness=2020-99-99"}, "0.1 for 10 %"),
    ],
)
def test_what_is_no_view_is_refused(given, text):
    with pytest.raises(ConfigError, match=text):
        read_views(**given)
