import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tunewright.classification.losses import class_weights
from tunewright.classification.losses.logit_adjustment import adjusted_logits
from tunewright.classification.losses.losses import LOSSES, focal, ldam, smooth_modulation
from tunewright.classification.models.cosine_classifier import (
    NormalisedLinear,
    normalise_classifier,
)
from tunewright.errors import ConfigError

ORACLE = json.loads((Path(__file__).parents[2] / "oracles/classification.json").read_text())
VALUES, INPUTS = ORACLE["values"], ORACLE["inputs"]
X = torch.tensor(INPUTS["x"], dtype=torch.float64)
Y = torch.tensor(INPUTS["y"])
N = torch.tensor(INPUTS["n"], dtype=torch.float64)


def exactly(value: object) -> object:
    return pytest.approx(value, rel=1e-12)


def mean_of(name: str, **options: object) -> float:
    return LOSSES[name](N, **options)(X, Y).mean().item()


# Values


def test_the_oracle_file_has_the_figures_of_the_sheets():
    assert VALUES["cross_entropy"] == exactly(0.6057962587597453)
    assert VALUES["cross_entropy_smoothing_0.1"] == exactly(0.7102407032041897)
    assert VALUES["focal_alpha_0.25"] == exactly(
        {"1.0": 0.08713517286880877, "2.0": 0.057415478457523005, "3.0": 0.040011173661308685}
    )
    assert VALUES["focal_class_alpha"] == exactly(0.05686084095295402)
    assert VALUES["focal_smoothing_0.1"] == exactly(0.2427118190537676)
    assert VALUES["focal_alpha_0.25_smoothing_0.1"] == exactly(0.0606779547634419)
    assert VALUES["p_t"] == exactly(0.9646631559719038)
    assert VALUES["logit_adjustment"] == exactly(
        {"1.0": 0.6648445631263852, "0.5": 0.44517581034987147}
    )
    assert VALUES["class_balanced_weights"] == pytest.approx(
        [0.04216040, 0.28000014, 2.67783946], abs=5e-9
    )
    assert VALUES["margins"] == pytest.approx([0.15811388, 0.28117066, 0.5], abs=5e-9)
    # torchmetrics, which the sheet has it from, computes in float32.
    assert VALUES["ece_of_torchmetrics"] == exactly(0.3897349238395691)
    assert VALUES["ece"] == pytest.approx(0.3897349238395691, rel=2e-8)
    assert VALUES["smooth_modulation"] == exactly(
        {
            "0.0": VALUES["cross_entropy"],
            "0.25": 0.5711123082896504,
            "0.5": 0.4873778446680707,
            "1.0": 0.36895943057639613,
        }
    )
    sheet = {
        "0.3": [".916529 .979207 1.104264", ".715013 .929007 1.355981", ".430025 .858013 1.711961"],
        "0.5": [".884575 .951653 1.163772", ".605915 .834933 1.559152", ".211830 .669866 2.118303"],
        "0.8": [".862877 .912383 1.224740", ".531833 .700855 1.767311", ".063667 .401711 2.534623"],
    }
    for tau, columns in sheet.items():
        for t, column in zip(("0.25", "0.5", "1.0"), columns, strict=True):
            found = VALUES["smooth_modulation_weights"]["cosine"][tau][t]
            assert found == pytest.approx([float(w) for w in column.split()], abs=5.1e-7)


def test_cross_entropy_oracles():
    assert mean_of("cross_entropy") == exactly(VALUES["cross_entropy"])
    smoothed = mean_of("cross_entropy", label_smoothing=0.1)
    assert smoothed == exactly(VALUES["cross_entropy_smoothing_0.1"])
    rows = LOSSES["cross_entropy"](N)(X, Y)
    expected = nn.functional.cross_entropy(X, Y, reduction="none")
    torch.testing.assert_close(rows, expected, rtol=0, atol=0)


def test_focal_oracles():
    for gamma, value in VALUES["focal_alpha_0.25"].items():
        assert mean_of("focal", gamma=float(gamma), alpha=0.25) == exactly(value)
    by_class = mean_of("focal", alpha=(0.1, 0.25, 0.5))
    assert by_class == exactly(VALUES["focal_class_alpha"])
    assert mean_of("focal", gamma=0.0) == exactly(VALUES["cross_entropy"])
    smoothed = mean_of("focal", label_smoothing=0.1)
    assert smoothed == exactly(VALUES["focal_smoothing_0.1"])
    smoothed = mean_of("focal", alpha=0.25, label_smoothing=0.1)
    assert smoothed == exactly(VALUES["focal_alpha_0.25_smoothing_0.1"])


def test_the_focus_of_focal_is_the_plain_probability_of_the_label():
    logits, label = torch.tensor([[4.0, 0, 0]], dtype=torch.float64), torch.tensor([0])
    smoothed = LOSSES["cross_entropy"](N, label_smoothing=0.1)(logits, label).item()
    found = focal(N, gamma=2.0, label_smoothing=0.1)(logits, label).item()
    assert found == exactly((1 - VALUES["p_t"]) ** 2 * smoothed)


def test_logit_adjustment_oracles():
    for tau, value in VALUES["logit_adjustment"].items():
        assert mean_of("logit_adjustment", tau=float(tau)) == exactly(value)
    assert mean_of("balanced_softmax") == exactly(VALUES["logit_adjustment"]["1.0"])
    assert mean_of("logit_adjustment", tau=0.0) == exactly(VALUES["cross_entropy"])


def test_class_balanced_oracles():
    loss = LOSSES["class_balanced"](N, beta=0.999)
    assert loss.weights().tolist() == exactly(VALUES["class_balanced_weights"])
    assert loss(X, Y).mean().item() == exactly(VALUES["class_balanced"])
    assert mean_of("class_balanced", beta=0.0) == exactly(VALUES["cross_entropy"])


def test_ldam_oracles():
    cosines_scaled = 30 * X / 2
    loss = ldam(N)
    assert loss.margins.tolist() == exactly(VALUES["margins"])
    assert loss(cosines_scaled, Y).mean().item() == exactly(VALUES["ldam"])
    loss.at(160, 200)
    assert loss(cosines_scaled, Y).mean().item() == exactly(VALUES["ldam_deferred"])


@pytest.mark.parametrize("kind", ["linear", "cosine", "step"])
def test_smooth_modulation_weights(kind):
    for tau, times in VALUES["smooth_modulation_weights"][kind].items():
        loss = smooth_modulation(N, tau=float(tau), modulation_type=kind)
        for t, weights in times.items():
            loss.at(int(float(t) * 100), 100)
            assert loss.weights().tolist() == exactly(weights)


def test_smooth_modulation_losses():
    loss = smooth_modulation(N)
    for t, value in VALUES["smooth_modulation"].items():
        loss.at(int(float(t) * 100), 100)
        assert loss(X, Y).mean().item() == exactly(value)
    loss = smooth_modulation(N, label_smoothing=0.1)
    assert loss(X, Y).mean().item() == exactly(VALUES["cross_entropy_smoothing_0.1"])


# Schedules


def test_an_epoch_does_not_depend_on_those_before():
    for name in ("smooth_modulation", "ldam"):
        wandering, fresh = LOSSES[name](N), LOSSES[name](N)
        for epoch in (0, 9, 3, 100):
            wandering.at(epoch, 10)
        wandering.at(8, 10)
        fresh.at(8, 10)
        assert wandering.weights().tolist() == fresh.weights().tolist()


def test_the_first_epoch_is_uniform_and_the_last_one_nearly_there():
    loss = smooth_modulation(N, tau=0.5)
    assert loss.weights().tolist() == [1, 1, 1]
    loss.at(199, 200)
    end = class_weights.inverse_power(N.numpy(), 0.5)
    assert 0 < np.abs(loss.weights().numpy() - end).max() < 1e-3


def test_deferred_weights_set_in_at_their_share_of_the_epochs():
    for epochs in (1, 5, 10, 200):
        loss = ldam(N, drw_fraction=0.8)
        for epoch in range(epochs):
            loss.at(epoch, epochs)
            assert (loss.weights() != 1).any().item() == (epoch * 10 >= epochs * 8)
    never = ldam(N, drw_fraction=1.0)
    never.at(10, 10)
    assert never.weights().tolist() == [1, 1, 1]
    always = ldam(N, drw_fraction=0.0)
    assert always.weights().tolist() != [1, 1, 1]


# Properties of all


def random_batch(rows: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, generator=draw)
    return logits, torch.randint(0, classes, (rows,), generator=draw)


ALL = [
    *((name, {}) for name in sorted(LOSSES)),
    ("cross_entropy", {"label_smoothing": 0.2}),
    ("smooth_modulation", {"label_smoothing": 0.2, "modulation_type": "step"}),
    ("focal", {"gamma": 0.5, "label_smoothing": 0.2, "alpha": "from_counts"}),
    ("focal", {"gamma": 5.0, "alpha": (0.5, 1.0, 1.0, 2.0)}),
]


@pytest.mark.parametrize(("name", "options"), ALL)
def test_gradients_are_those_of_finite_differences(name, options):
    loss = LOSSES[name](torch.tensor([50, 7, 1, 0], dtype=torch.float64), **options)
    loss.at(9, 10)
    logits, labels = random_batch(5, 4)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), logits.double().requires_grad_())


@pytest.mark.parametrize(("name", "options"), ALL)
def test_extreme_logits_have_finite_losses_and_gradients(name, options):
    loss = LOSSES[name](torch.tensor([1000, 7, 1, 0]), **options)
    loss.at(9, 10)
    for size in (0.0, 1e-30, 80.0, 1e4, 1e30):
        logits = (size * torch.eye(4)).repeat(4, 1).requires_grad_()  # each class, right and wrong
        rows = loss(logits, torch.arange(4).repeat_interleave(4))
        rows.sum().backward()
        assert rows.isfinite().all()
        assert (rows >= 0).all()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize(("name", "options"), ALL)
def test_low_precision_is_computed_with_in_float32(name, options):
    loss = LOSSES[name](torch.tensor([50, 7, 1, 0]), **options)
    logits, labels = random_batch(64, 4)
    for dtype in (torch.bfloat16, torch.float16):
        low = logits.to(dtype)
        with torch.autocast("cpu", torch.bfloat16):
            rows = loss(low, labels)
        assert rows.dtype == torch.float32
        torch.testing.assert_close(rows, loss(low.float(), labels), rtol=0, atol=0)


@settings(max_examples=60)
@given(
    counts=st.lists(st.integers(0, 10**7), min_size=1, max_size=30),
    tau=st.floats(0, 30),
    beta=st.floats(0, 1, exclude_max=True),
    kind=st.sampled_from(["linear", "cosine", "step"]),
    t=st.floats(0, 1),
)
def test_weights_are_finite_have_mean_1_and_never_favour_a_larger_class(counts, tau, beta, kind, t):
    array = np.array(counts)
    order = np.argsort(array)
    for weights in (
        class_weights.inverse_power(array, tau),
        class_weights.class_balanced(array, beta),
        class_weights.modulate(array, tau, kind, t),
    ):
        assert np.isfinite(weights).all()
        assert (weights >= 0).all()
        assert weights.mean() == pytest.approx(1)
        assert (np.diff(weights[order]) <= 1e-12 * weights.max()).all()
    margins = class_weights.margins(array, 0.5)
    assert margins.max() == pytest.approx(0.5)
    assert (margins > 0).all()
    assert class_weights.class_shares(array).sum() == pytest.approx(1)


@settings(max_examples=30)
@given(
    name=st.sampled_from(sorted(LOSSES)),
    classes=st.integers(2, 9),
    rows=st.integers(1, 9),
    epoch=st.integers(0, 10),
    seed=st.integers(0, 99),
)
def test_losses_are_rows_that_do_not_depend_on_each_other(name, classes, rows, epoch, seed):
    counts = torch.randint(0, 200, (classes,), generator=torch.Generator().manual_seed(seed))
    loss = LOSSES[name](counts)
    loss.at(epoch, 10)
    logits, labels = random_batch(rows, classes, seed)
    together = loss(logits, labels)
    assert together.shape == (rows,)
    apart = torch.cat([loss(logits[i : i + 1], labels[i : i + 1]) for i in range(rows)])
    torch.testing.assert_close(together, apart)
    assert loss.weights().mean().item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_equal_counts_make_every_correction_vanish(name):
    loss = LOSSES[name](torch.full((4,), 37))
    loss.at(9, 10)
    torch.testing.assert_close(loss.weights(), torch.ones(4))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_nothing_is_learned_or_saved_and_copies_are_independent(name):
    loss = LOSSES[name](torch.tensor([50, 7, 1, 0]))
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}
    copied = copy.deepcopy(loss)
    copied.at(9, 10)
    logits, labels = random_batch(5, 4)
    fresh = LOSSES[name](torch.tensor([50, 7, 1, 0]))
    torch.testing.assert_close(loss(logits, labels), fresh(logits, labels), rtol=0, atol=0)


def test_the_counts_that_were_given_are_left_alone():
    counts = torch.tensor([5, 0, 2])
    LOSSES["ldam"](counts).at(9, 10)
    assert counts.tolist() == [5, 0, 2]


# Single ones


def test_alpha_from_counts_is_the_inverse_count_with_mean_1():
    loss = focal(torch.tensor([4, 2, 0], dtype=torch.float64), alpha="from_counts")
    expected = np.array([1 / 4, 1 / 2, 1]) / np.mean([1 / 4, 1 / 2, 1])
    assert loss.weights().tolist() == exactly(expected.tolist())
    assert loss.alpha.tolist() == exactly(expected.tolist())


def test_alpha_is_used_as_given_and_shown_with_mean_1():
    loss = focal(N, alpha=(1.0, 2.0, 3.0))
    assert loss.alpha.tolist() == [1, 2, 3]
    assert loss.weights().tolist() == exactly([0.5, 1.0, 1.5])


def test_one_alpha_for_all_changes_nothing_but_the_scale():
    logits, labels = random_batch(9, 3)
    plain, scaled = focal(N)(logits, labels), focal(N, alpha=0.25)(logits, labels)
    torch.testing.assert_close(scaled, plain / 4)
    assert focal(N, alpha=0.25).weights().tolist() == [1, 1, 1]


def test_alpha_of_another_length_is_refused():
    with pytest.raises(ConfigError, match=r"has 2 numbers: expected 3, one for each class"):
        focal(N, alpha=(1.0, 2.0))


def test_weights_of_logit_adjustment_are_those_with_the_same_minimiser():
    # One input, labels with frequencies q: the best logits of CE(x + tau ln pi) and of w_y CE.
    counts, tau = torch.tensor([60, 30, 10], dtype=torch.float64), 0.7
    q, loss = counts / counts.sum(), LOSSES["logit_adjustment"](counts, tau=tau)
    weighted = (q * loss.weights()).log().log_softmax(0)
    logits = weighted.clone().requires_grad_()
    (q * loss(logits.expand(3, 3), torch.arange(3))).sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros(3, dtype=torch.float64))


def test_adjusting_afterwards_is_the_inverse_of_adjusting_in_training():
    adjusted = adjusted_logits(X, N, tau=0.7)
    prior = (N / N.sum()).log()
    torch.testing.assert_close(adjusted, X - 0.7 * prior)
    torch.testing.assert_close(adjusted_logits(X, N, tau=0.0), X, rtol=0, atol=0)
    back = LOSSES["logit_adjustment"](N, tau=0.7)(adjusted, Y)
    torch.testing.assert_close(back, nn.functional.cross_entropy(X, Y, reduction="none"))
    low = adjusted_logits(X.bfloat16(), torch.tensor([9, 3, 0]))
    assert low.dtype == torch.float32
    assert low.isfinite().all()


def test_weights_that_were_asked_for_do_not_change_later():
    loss = smooth_modulation(torch.tensor([9, 1]))
    asked = loss.weights()
    loss.at(5, 10)
    assert asked.tolist() == [1, 1]


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_on_a_gpu_are_those_on_the_cpu(name):
    counts, (logits, labels) = torch.tensor([50, 7, 1, 0]), random_batch(64, 4)
    here, there = LOSSES[name](counts), LOSSES[name](counts).cuda()
    for loss in (here, there):
        loss.at(9, 10)
    found = there(logits.cuda(), labels.cuda())
    torch.testing.assert_close(found.cpu(), here(logits, labels))
    torch.testing.assert_close(
        LOSSES[name](counts.cuda()).weights().cpu(), LOSSES[name](counts).weights()
    )
    with torch.autocast("cuda", torch.bfloat16):
        assert there(logits.cuda().bfloat16(), labels.cuda()).dtype == torch.float32
    adjusted = adjusted_logits(logits.cuda(), counts)
    torch.testing.assert_close(adjusted.cpu(), adjusted_logits(logits, counts))


def test_a_step_may_go_on_reading_the_same_memory():
    loss = smooth_modulation(torch.tensor([9, 1]))
    before = loss.now.data_ptr()
    loss.at(5, 10)
    assert loss.now.data_ptr() == before


# The cosine classifier


def test_cosines_are_bounded_and_blind_to_lengths():
    layer = NormalisedLinear(6, 4, scale=30.0)
    features = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    logits = layer(features)
    assert logits.abs().max() <= 30 * (1 + 1e-5)
    torch.testing.assert_close(layer(7 * features), logits)
    cosines = nn.functional.cosine_similarity(features[:, None], layer.weight, dim=-1)
    torch.testing.assert_close(logits, 30 * cosines)
    assert layer(torch.zeros(1, 6)).tolist() == [[0, 0, 0, 0]]
    assert layer(features.bfloat16()).dtype == torch.float32


def test_a_linear_classifier_is_exchanged_for_a_cosine_one():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Dropout(), nn.Linear(4, 4)))
    weight = model[2][1].weight.detach().clone()
    normalise_classifier(model, 4, scale=10.0)
    layer = model[2][1]
    assert isinstance(layer, NormalisedLinear)
    assert isinstance(model[0], nn.Linear)
    assert layer.weight.tolist() == weight.tolist()
    assert set(model.state_dict()) == {"0.weight", "0.bias", "2.1.weight"}
    assert "scale=10" in repr(model)
    with pytest.raises(ConfigError, match=r"Linear\(\.\.\., 5\)"):
        normalise_classifier(model, 5, scale=10.0)


def test_margins_keep_the_rare_class_further_away():
    draw = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 60 + [1] * 4)
    features = torch.randn(64, 8, generator=draw) + 2 * nn.functional.one_hot(labels, 8)
    layer = NormalisedLinear(8, 2, scale=30.0)
    nn.init.normal_(layer.weight, generator=draw)
    loss = ldam(torch.bincount(labels), drw_fraction=1.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        total = loss(layer(features), labels).mean()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    assert losses[-1] < losses[0]
    assert math.isfinite(losses[-1])
