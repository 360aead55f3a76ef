"""MixUp and CutMix against plain loops, with shares that are those of the pixels."""

import pytest
import torch

from tunewright.images.augment.config import MixingConfig
from tunewright.images.augment.mixup import (
    cutmix,
    cutmix_boxes,
    make_mix,
    mixup,
    share_outside,
)

COUNT, SIZE = 64, 12


def batch(count=COUNT):
    """Picture i is i everywhere, and so is its label: what was mixed can be read off."""
    labels = torch.arange(count)
    return labels.float().view(-1, 1, 1, 1).expand(-1, 3, SIZE, SIZE).contiguous(), labels


def mixed(seed=0, count=COUNT, **options):
    images, labels = batch(count)
    mix = make_mix(MixingConfig(**options))
    return mix(images, labels, torch.Generator().manual_seed(seed))


class TestParts:
    def test_mixup(self):
        own, other = torch.rand(2, 5, 3, 4, 4)
        share = torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0])
        found = mixup(own, other, share)
        for row in range(5):
            expected = share[row] * own[row] + (1 - share[row]) * other[row]
            assert torch.allclose(found[row], expected, atol=1e-6)

    @pytest.mark.parametrize("change", ["mixup", "cutmix"])
    def test_a_share_of_1_is_the_identity(self, change):
        own, other = torch.rand(2, 5, 3, 7, 7)
        share = torch.ones(5)
        boxes = cutmix_boxes(share, torch.rand(5), torch.rand(5), 7)
        found = mixup(own, other, share) if change == "mixup" else cutmix(own, other, boxes)
        assert torch.equal(found, own)
        assert torch.equal(share_outside(boxes, 7), share)

    def test_boxes_are_the_published_ones(self):
        """The code of Yun et al., one picture at a time."""
        share, down, right = torch.rand(3, 200, generator=torch.Generator().manual_seed(0))
        for row, box in enumerate(cutmix_boxes(share, down, right, 33).tolist()):
            side = int(33 * (1 - share[row]).sqrt())
            y, x = int(down[row] * 33), int(right[row] * 33)
            expected = [y - side // 2, x - side // 2, y + side // 2, x + side // 2]
            assert box == [min(max(edge, 0), 33) for edge in expected]

    def test_cutmix_shows_the_other_in_the_box(self):
        own, other = torch.zeros(1, 3, 6, 6), torch.ones(1, 3, 6, 6)
        found = cutmix(own, other, torch.tensor([[1, 2, 4, 6]]))
        expected = torch.zeros(6, 6)
        expected[1:4, 2:6] = 1
        assert torch.equal(found[0, 0], expected)
        assert share_outside(torch.tensor([[1, 2, 4, 6]]), 6).item() == pytest.approx(1 - 12 / 36)


class TestMix:
    def test_nothing_to_mix_is_no_mix(self):
        assert make_mix(MixingConfig()) is None
        assert make_mix(MixingConfig(mixup_alpha=0.2, mix_prob=0.0)) is None

    @pytest.mark.parametrize("options", [{"mixup_alpha": 0.8}, {"cutmix_alpha": 1.0}])
    def test_shares_are_those_of_the_pixels(self, options):
        images, others, share = mixed(**options)
        _, labels = batch()
        expected = share * labels + (1 - share) * others
        assert torch.allclose(images.mean(dim=(1, 2, 3)), expected, atol=1e-4)
        assert (share < 1).float().mean() > 0.8
        assert share.dtype == torch.float32
        assert len(share.unique()) > COUNT / 4  # of each picture its own

    def test_both_at_once(self):
        images, others, share = mixed(mixup_alpha=0.8, cutmix_alpha=1.0)
        _, labels = batch()
        assert torch.allclose(
            images.mean(dim=(1, 2, 3)), share * labels + (1 - share) * others, atol=1e-4
        )

    @pytest.mark.parametrize("switch", [0.0, 0.5, 1.0])
    def test_switch_prob_is_the_share_of_cutmix_among_mixes(self, switch):
        images, _, share = mixed(
            count=2000, mixup_alpha=1.0, cutmix_alpha=1.0, mix_prob=0.3, switch_prob=switch
        )
        changed = share < 1
        assert changed.float().mean() == pytest.approx(0.3, abs=0.04)
        cut = images[changed].flatten(1)
        # a blended picture of one colour keeps one colour
        two = torch.tensor([len(row.unique()) == 2 for row in cut])
        assert two.float().mean() == pytest.approx(switch, abs=0.06)

    @pytest.mark.parametrize("options", [{"mixup_alpha": 0.2}, {"cutmix_alpha": 1.0}])
    def test_one_mix_alone_is_not_switched(self, options):
        *_, share = mixed(count=500, switch_prob=0.5, mix_prob=0.4, **options)
        assert (share < 1).float().mean() == pytest.approx(0.4, abs=0.08)

    def test_what_is_not_mixed_stays_as_it_is(self):
        images, others, share = mixed(mixup_alpha=0.4, cutmix_alpha=1.0, mix_prob=0.5)
        plain, labels = batch()
        rest = share == 1
        assert 10 < rest.sum() < 54
        assert torch.equal(images[rest], plain[rest])
        assert torch.equal(others[rest], labels[rest])

    def test_beta_shares(self):
        """Beta(0.2, 0.2): mean 0.5, variance 1 / (4 (2 alpha + 1))."""
        *_, share = mixed(count=4000, mixup_alpha=0.2)
        assert share.mean() == pytest.approx(0.5, abs=0.02)
        assert share.var() == pytest.approx(1 / (4 * 1.4), abs=0.01)

    def test_the_same_generator_gives_the_same_mixture(self):
        first, again, other = (
            mixed(seed=seed, mixup_alpha=0.4, cutmix_alpha=1.0) for seed in (1, 1, 2)
        )
        assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
        assert not torch.equal(first[0], other[0])

    def test_a_batch_of_one_is_mixed_with_itself(self):
        images, others, _share = mixed(count=1, mixup_alpha=0.4)
        assert torch.equal(images, batch(1)[0])
        assert others.tolist() == [0]
