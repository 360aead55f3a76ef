"""Batches depend on seed and epoch alone, however they are cut and wherever the pictures are."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from tunewright.errors import DataError
from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.config import LEVELS, MixingConfig
from tunewright.images.augment.mixup import make_mix
from tunewright.images.loading.batches import (
    IMAGENET,
    Finishing,
    ImageBatches,
    map_store,
    normalise,
)
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.store import Store

ROWS, SIZE = 23, 8


def pictures(rows=ROWS):
    """Picture i has the red of 10 * i everywhere, noise in the other channels."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (rows, 3, SIZE, SIZE), dtype=torch.uint8, generator=draw)
    images[:, 0] = (torch.arange(rows) * 10).view(-1, 1, 1)
    return images


def split_options(options):
    """The options of `Batching`, of `Finishing`, and the rest."""
    batching = {k: options.pop(k) for k in Batching.__annotations__ if k in options}
    finishing = {k: options.pop(k) for k in Finishing.__annotations__ if k in options}
    return Batching(**batching), Finishing(**{"normalise": IMAGENET} | finishing), options


def batches(images=None, labels=None, **options):
    batching, finishing, options = split_options({"batch_size": 5, "seed": 1} | options)
    images = pictures() if images is None else images
    labels = torch.arange(len(images)) % 4 if labels is None else labels
    return ImageBatches(images, labels, batching, finishing, **options)


def varied(**options):
    return batches(
        augment=make_augment(LEVELS["strong"]()),
        mix=make_mix(MixingConfig(mixup_alpha=0.4, cutmix_alpha=1.0, mix_prob=0.7)),
        **options,
    )


def rows_of(loader, epoch):
    return [batch.rows.tolist() for batch in loader.epoch(epoch)]


def joined(loader, epoch):
    return [torch.cat(parts) for parts in zip(*loader.epoch(epoch), strict=True)]


class TestOrder:
    def test_is_a_function_of_seed_and_epoch(self):
        torch.manual_seed(0)
        first = rows_of(batches(), 3)
        torch.manual_seed(99)
        loader = batches()
        list(loader.epoch(0))
        assert rows_of(loader, 3) == first
        assert rows_of(loader, 4) != first
        assert rows_of(batches(seed=2), 3) != first
        assert rows_of(batches(seed=3), 1) != rows_of(batches(seed=1), 3)

    @pytest.mark.parametrize(("drop_last", "expected"), [(True, 4), (False, 5)])
    def test_length(self, drop_last, expected):
        loader = batches(drop_last=drop_last)
        found = rows_of(loader, 0)
        assert len(loader) == len(found) == expected
        seen = [row for rows in found for row in rows]
        assert len(seen) == len(set(seen)) == (20 if drop_last else ROWS)

    def test_one_batch_remains_when_there_are_few_rows(self):
        assert [len(rows) for rows in rows_of(batches(batch_size=4096), 0)] == [ROWS]

    def test_without_shuffle(self):
        assert rows_of(batches(shuffle=False, drop_last=False), 5)[-1] == [20, 21, 22]

    def test_weights_draw_with_replacement(self):
        weights = torch.zeros(2000)
        weights[:3] = torch.tensor([1.0, 2.0, 5.0])
        loader = batches(pictures(2000), weights=weights, batch_size=100)
        assert len(loader) == 20
        counts = torch.bincount(torch.tensor(rows_of(loader, 0)).flatten(), minlength=2000)
        assert counts[3:].sum() == 0
        assert (counts[:3] / 2000).tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.04)
        assert rows_of(loader, 1) != rows_of(loader, 0)

    @pytest.mark.parametrize(
        "weights", [[1.0] * 22, [-1.0] + [1.0] * 22, [0.0] * 23, [float("nan")] * 23]
    )
    def test_weights_that_cannot_be_drawn_by(self, weights):
        with pytest.raises(DataError, match="weights"):
            batches(weights=torch.tensor(weights))

    def test_what_does_not_fit_together(self):
        with pytest.raises(DataError, match="23 pictures and 22 labels"):
            batches(labels=torch.arange(22))
        with pytest.raises(DataError, match="batch_size = 0"):
            batches(batch_size=0)
        with pytest.raises(DataError, match="without pictures"):
            batches(pictures(0))


class TestPictures:
    def test_rows_labels_and_pictures_stay_together(self):
        mean, std = IMAGENET.mean[0], IMAGENET.std[0]
        for batch in batches().epoch(0):
            red = batch.images[:, 0] * std + mean
            expected = (batch.rows * 10 / 255).view(-1, 1, 1).expand_as(red)
            assert torch.allclose(red, expected, atol=1e-5)
            assert torch.equal(batch.labels, batch.rows % 4)
            assert torch.equal(batch.others, batch.labels)
            assert torch.equal(batch.share, torch.ones(5))
            assert (batch.images.dtype, batch.share.dtype) == (torch.float32, torch.float32)

    def test_normalised_as_torchvision_does(self):
        images = pictures()
        expected = tv.normalize(images / 255, IMAGENET.mean, IMAGENET.std)
        assert torch.allclose(normalise(images, IMAGENET), expected, atol=1e-5)
        assert torch.allclose(normalise(images / 255, IMAGENET), expected, atol=1e-5)

    def test_rows_of_a_store_that_holds_more(self):
        """Rows below 0 show nothing, and are left out; weights and labels are the table's."""
        places = torch.tensor([7, -1, 2, 20, -1, 11])
        loader = batches(
            labels=torch.arange(6), rows_of=places, batch_size=2, shuffle=False, drop_last=False
        )
        images, labels, _, _, rows = joined(loader, 0)
        assert rows.tolist() == labels.tolist() == [0, 2, 3, 5]
        assert torch.equal(images, normalise(pictures()[[7, 2, 20, 11]], IMAGENET))
        weights = torch.tensor([0.0, 9.0, 1.0, 0.0, 9.0, 0.0])
        drawn = batches(labels=torch.arange(6), rows_of=places, weights=weights)
        assert rows_of(drawn, 0) == [[2, 2, 2, 2]]

    def test_mapped_from_a_store(self, tmp_path):
        file = tmp_path / "8.npy"
        np.save(file, pictures().numpy())
        images = map_store(Store(file, ROWS, SIZE, np.arange(ROWS)))
        assert torch.equal(images, pictures())
        np.load(file, mmap_mode="r+")[3] = 9  # a copy would not see it
        assert (images[3] == 9).all()
        for one, other in zip(
            joined(varied(images=images), 2), joined(varied(images=images.clone()), 2), strict=True
        ):
            assert torch.equal(one, other)

    def test_augmented_in_order_without_touching_the_pictures(self):
        images = pictures()
        loader = batches(
            images, augment=make_augment(LEVELS["crop_flip"]()), shuffle=False, drop_last=False
        )
        list(loader.epoch(0))
        assert torch.equal(images, pictures())

    def test_an_epoch_is_a_pure_function(self):
        loader = varied()
        first = joined(loader, 3)
        joined(loader, 4)
        for one, other in zip(first, joined(varied(), 3), strict=True):
            assert torch.equal(one, other)
        assert not torch.equal(first[0], joined(loader, 4)[0])

    def test_nothing_hangs_on_the_number_of_threads(self, monkeypatch):
        """Which decides how a batch is cut."""
        monkeypatch.setattr("tunewright.images.loading.cpu_chunks.SMALLEST", 500)
        before, found = torch.get_num_threads(), []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(joined(varied(batch_size=12), 0)[0])
        torch.set_num_threads(before)
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])

    def test_the_order_does_not_hang_on_the_augmentation(self):
        assert rows_of(varied(), 2) == rows_of(batches(), 2)


class TestMicroBatches:
    def test_batches_are_the_same_in_whichever_parts(self):
        whole, parts = varied(), varied(micro_batches=3)
        assert len(parts) == 3 * len(whole) == 12
        assert [len(rows) for rows in rows_of(parts, 1)] == [2, 2, 1] * 4
        for one, other in zip(joined(whole, 1), joined(parts, 1), strict=True):
            assert torch.equal(one, other)

    def test_a_part_without_a_row_is_refused(self):
        with pytest.raises(DataError, match=r"5 rows in 6 micro-batches.*training\.accumulate"):
            batches(micro_batches=6)


class TestResident:
    def test_keeps_the_batches(self):
        loader = varied()
        for budget in (0, 1 << 20):
            moved = loader.resident("cpu", budget)
            for one, other in zip(joined(moved, 2), joined(loader, 2), strict=True):
                assert torch.equal(one, other)

    def test_only_within_the_budget_and_only_once(self):
        loader = batches()
        moved = loader.resident("meta", loader.images.nbytes)
        assert moved.images.is_meta
        assert not batches().resident("meta", loader.images.nbytes - 1).images.is_meta
        assert batches(loader.images).resident("meta", 0).images is moved.images

    @pytest.mark.gpu
    @pytest.mark.parametrize("budget", [0, 1 << 20])
    def test_on_a_gpu(self, budget):
        expected = batches(augment=make_augment(LEVELS["crop_flip"]()))
        moved = expected.resident("cuda", budget)
        assert moved.images.is_cuda == bool(budget)
        for one, other in zip(expected.epoch(1), moved.epoch(1), strict=True):
            assert all(tensor.is_cuda for tensor in other)
            assert torch.allclose(one.images, other.images.cpu(), atol=1e-5)
            assert torch.equal(one.rows, other.rows.cpu())
