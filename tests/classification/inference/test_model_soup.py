"""Soups: averages of weights, and the statistics that they need anew."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from practice.pictures.classifier import Classifier
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run, opened
from practice.pictures.recipe import PicturesModel
from torch import nn
from torch.optim.swa_utils import update_bn

from tunewright.classification.inference.model_soup import (
    check_architectures,
    greedy_soup,
    mean_weights,
    rate_labels,
    refresh,
    refresh_norms,
    soup_of,
)
from tunewright.errors import DataError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("soup")
    draw_set(place / "data")
    for seed in (1, 2):
        made_run(place / f"run{seed}", place / "data", seed=seed, steps=5)
    return place


@pytest.fixture
def members(place) -> list[Classifier]:
    from tunewright.runs.folder import RunFolder

    return [opened(RunFolder(place / f"run{seed}")) for seed in (1, 2)]


def near(classifier: Classifier, seed: int, by: float = 0.01) -> Classifier:
    """The same network a little further on, as after another learning rate."""
    torch.manual_seed(seed)
    model = deepcopy(classifier.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn_like(parameter)
    return replace(classifier, model=model)


def test_a_soup_of_equal_models_is_the_model_bit_for_bit(members):
    soup = soup_of([members[0], replace(members[0], model=deepcopy(members[0].model)), members[0]])
    for name, tensor in soup.model.state_dict().items():
        assert torch.equal(tensor, members[0].model.state_dict()[name])


def test_weights_are_averaged_and_counters_are_not(members):
    states = [member.model.state_dict() for member in members]
    mean = mean_weights(states)
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (states[0][name] + states[1][name]) / 2)
        else:
            assert torch.equal(tensor, states[0][name])


def test_the_ingredients_are_left_as_they_are(members):
    before = deepcopy(members[0].model.state_dict())
    soup_of([members[0], near(members[0], 3)])
    assert all(torch.equal(before[n], t) for n, t in members[0].model.state_dict().items())


def test_statistics_are_refreshed_as_torch_does(members):
    batches = [
        torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator())
        for _ in range(3)
    ]
    ours, theirs = members[0], replace(members[0], model=deepcopy(members[0].model))
    refresh_norms(ours.model, batches, ours.logits)

    class Reference(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = theirs.model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return theirs.logits(images)

    update_bn(batches, Reference())
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        found, expected = getattr(ours.model[1], name), getattr(theirs.model[1], name)
        torch.testing.assert_close(found, expected)
    assert not any(module.training for module in ours.model.modules())
    assert ours.model[1].momentum == 0.1


def test_a_short_last_batch_counts_by_its_rows(members):
    images = torch.randint(0, 256, (23, 3, 16, 16), dtype=torch.uint8)
    images[20:] //= 4
    model = members[0].model
    refresh_norms(model, images.split(10), members[0].logits)
    means = []
    hook = model[1].register_forward_pre_hook(lambda _, seen: means.append(seen[0].mean((0, 2, 3))))
    with torch.no_grad():
        members[0].logits(images)
    hook.remove()
    torch.testing.assert_close(model[1].running_mean, means[0], rtol=1e-4, atol=1e-5)


def test_a_soup_has_statistics_of_its_own_activations(members):
    soup = soup_of([members[0], near(members[0], 3)])
    images = soup.sets.train
    from tunewright.classification.inference.predict import DecodedBatches

    with DecodedBatches(images, [soup.size], len(images)) as batches:
        (batch,) = batches
    with torch.no_grad():
        normed = soup.model[:2](
            (batch.images[16].float() / 255 - torch.tensor(soup.normalise.mean).view(3, 1, 1))
            / torch.tensor(soup.normalise.std).view(3, 1, 1)
        )
    scale, shift = soup.model[1].weight, soup.model[1].bias
    torch.testing.assert_close(normed.mean((0, 2, 3)), shift, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(normed.std((0, 2, 3)), scale.abs(), atol=1e-3, rtol=1e-3)


def test_without_such_layers_no_picture_is_read(place, tmp_path, monkeypatch):
    folder = made_run(tmp_path / "plain", place / "data", steps=2, model=PicturesModel(norm=False))
    classifier = opened(folder)
    monkeypatch.setattr("tunewright.classification.inference.model_soup.DecodedBatches", None)
    refresh(classifier)


def test_other_architectures_are_refused(place, members, tmp_path):
    wider = made_run(tmp_path / "wide", place / "data", steps=2, model=PicturesModel(width=9))
    with pytest.raises(DataError, match="differ in architecture"):
        check_architectures([members[0], opened(wider)])
    larger = made_run(tmp_path / "large", place / "data", steps=2, size=20)
    with pytest.raises(DataError, match="their input size or normalisation differs"):
        check_architectures([members[0], opened(larger)])


def test_the_greedy_soup_takes_what_does_not_harm():
    """Scores as in a table: 2 helps, 0 harms, 3 changes nothing."""

    class Fake:
        def __init__(self, *parts: int) -> None:
            self.parts = parts

    members = [Fake(0), Fake(1), Fake(2), Fake(3)]
    own = {(0,): 0.5, (1,): 0.8, (2,): 0.7, (3,): 0.6}
    together = {(1, 2): 0.9, (1, 2, 3): 0.9, (1, 2, 3, 0): 0.4}
    soup, chosen = greedy_soup(
        members,
        lambda fake: (own | together)[fake.parts],
        mix=lambda parts: Fake(*(part.parts[0] for part in parts)),
    )
    assert chosen == [1, 2, 3]
    assert soup.parts == (1, 2, 3)


def test_soups_of_several_labels_are_rated_by_the_goal_of_the_runs():
    logits = torch.tensor([[2.0, -1.0], [1.0, 1.0], [-1.0, 3.0], [-2.0, -3.0]])
    targets = torch.tensor([[True, False], [False, True], [True, True], [False, False]])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.float())
    for goal, expected in {
        "val_map": (1.0 + 2.0 / 3.0) / 4.0 + 0.5,  # ranks 1 and 3 of the first label, all of b
        "val_exact_match": 0.5,
        "val_hamming_loss": -0.25,
        "val_hamming_loss:min": -0.25,
        "val_micro_f1": 0.75,
        "val_loss:min": -float(loss),
        "seconds": (1.0 + 2.0 / 3.0) / 4.0 + 0.5,
    }.items():
        assert rate_labels(goal)(logits, targets) == pytest.approx(expected), goal
