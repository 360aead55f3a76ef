"""Views of pictures, their average, and their judgement."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tunewright.classification.inference.tta import apply_view, average_views, judge, sets_to_judge
from tunewright.classification.inference.tta_views import IMAGE, View, read_views

PICTURES = torch.randint(
    0, 256, (3, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def smooth() -> torch.Tensor:
    """A picture without sharp edges, which two resamplings turn alike."""
    y, x = np.mgrid[:64, :64] / 64.0
    waves = np.stack([np.sin(3 * x + y), np.cos(4 * y), np.sin(2 * x - 3 * y)])
    return torch.from_numpy((127.5 + 120.0 * waves).astype(np.uint8))


def test_the_picture_itself_is_not_touched():
    assert apply_view(PICTURES, IMAGE) is PICTURES


def test_mirrors():
    mirrored = apply_view(PICTURES, View("hflip", hflip=True))
    upside_down = apply_view(PICTURES, View("vflip", vflip=True))
    assert torch.equal(mirrored[0, 0, 3], PICTURES[0, 0, 3].flip(0))
    assert torch.equal(upside_down[1, 2, :, 5], PICTURES[1, 2, :, 5].flip(0))


@pytest.mark.parametrize("degrees", [5.0, -5.0, 30.0])
def test_turned_as_pillow_turns_away_from_the_corners(degrees):
    picture = smooth()
    ours = apply_view(picture[None], View("turned", degrees=degrees))[0]
    image = Image.fromarray(picture.permute(1, 2, 0).numpy())
    theirs = np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    inner = slice(16, 48)
    difference = (
        ours[:, inner, inner].int() - torch.from_numpy(theirs.copy())[:, inner, inner].int()
    )
    assert difference.abs().max() <= 2
    assert ours.dtype == torch.uint8


def test_what_a_turn_uncovers_is_reflected_and_not_black():
    white = torch.full((1, 3, 16, 16), 200, dtype=torch.uint8)
    assert torch.equal(apply_view(white, View("turned", degrees=20.0)), white)


def test_brightness_is_a_factor_within_the_range():
    brighter = apply_view(PICTURES, View("brighter", brightness=1.1))
    expected = (PICTURES.double() * 1.1).round().clamp(max=255)
    assert (brighter.double() - expected).abs().max() <= 1
    assert brighter.dtype == torch.uint8


def test_the_flip_of_a_net_that_flips_cannot_tell_is_no_tta():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    with torch.no_grad():
        logits = torch.stack(
            [net(apply_view(PICTURES, view).float()) for view in read_views(tta=True).all()]
        )
    torch.testing.assert_close(average_views(logits), logits[0], rtol=1e-5, atol=1e-4)


def test_the_mean_of_logits_and_of_probabilities():
    logits = torch.tensor([[[2.0, 0.0, -1.0]], [[0.0, 3.0, 1.0]]], dtype=torch.float64)
    torch.testing.assert_close(average_views(logits)[0], logits[:, 0].mean(0))
    probabilities = average_views(logits, "probabilities").exp()[0]
    torch.testing.assert_close(probabilities, logits[:, 0].softmax(1).mean(0))
    assert torch.equal(average_views(logits[:1], "probabilities"), logits[0])


def said(labels: torch.Tensor, wrong: int, start: int = 0) -> torch.Tensor:
    """Scores that have all labels right but `wrong` of them, from `start` on."""
    rows = torch.arange(len(labels))
    return torch.eye(2)[torch.where((rows >= start) & (rows < start + wrong), 1 - labels, labels)]


def test_a_view_that_is_shown_to_lower_the_accuracy_is_named():
    labels = torch.arange(60) % 2
    scores = {"image": said(labels, 20), "all": said(labels, 0)}
    scores |= {"hflip": said(labels, 10), "vflip": said(labels, 50)}
    judged = judge(scores, labels, torch.tensor([30, 30]))
    assert (judged.harmful, judged.lower) == (("vflip",), ())
    assert (judged.plain, judged.together) == (pytest.approx(2 / 3), 1.0)
    assert judged.gains["all"].value == pytest.approx(1 / 3)


@pytest.mark.parametrize(("rows", "lost", "gained"), [(52, 1, 0), (17, 2, 1), (400, 12, 9)])
def test_a_loss_that_the_pictures_cannot_tell_from_none_is_no_harm(rows, lost, gained):
    labels = torch.arange(rows) % 2
    view = said(labels, lost, start=gained)
    scores = {"image": said(labels, gained), "hflip": view, "all": view}
    judged = judge(scores, labels, torch.tensor([9, 9]))
    assert judged.together < judged.plain
    assert judged.harmful == ()
    assert judged.lower == ("hflip", "all")


def test_each_view_is_judged_beside_the_picture():
    views = read_views(named="hflip,vflip").all()
    assert sets_to_judge(views) == {
        "image": [0],
        "all": [0, 1, 2],
        "hflip": [0, 1],
        "vflip": [0, 2],
    }
