"""Mapped tensors share their file; batches depend on seed and epoch alone."""

import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tunewright.errors import DataError
from tunewright.images.loading.batching import Batching
from tunewright.recipes.pairs.data.batches import PairBatches, open_tensor

ROWS = 23


def matrix(width=4):
    return torch.arange(ROWS * width, dtype=torch.float32).reshape(ROWS, width)


def batches(**options):
    images = matrix()
    device = options.pop("device", "cpu")
    batching = Batching(**{"batch_size": 5, "seed": 1} | options)
    return PairBatches(images, images[:, :3] * 2, torch.arange(ROWS), batching, device=device)


def ids_of(loader, epoch):
    return [ids.tolist() for _, _, ids in loader.epoch(epoch)]


class TestOpenTensor:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("suffix", ["npy", "safetensors", "pt"])
    def test_values_and_dtype(self, tmp_path, suffix, dtype):
        if (suffix, dtype) == ("npy", torch.bfloat16):
            pytest.skip("numpy's format cannot name bfloat16")
        saved = matrix().to(dtype)
        path = tmp_path / f"x.{suffix}"
        if suffix == "npy":
            np.save(path, saved.numpy())
        elif suffix == "pt":
            torch.save(saved, path)
        else:
            save_file({"embeddings": saved}, path)
        opened = open_tensor(path)
        assert opened.dtype == dtype
        assert torch.equal(opened, saved)

    def test_pages_are_the_files(self, tmp_path):
        """A mapping sees what is written to the file later; a copy would not."""
        path = tmp_path / "x.npy"
        np.save(path, matrix().numpy())
        opened = open_tensor(path)
        np.load(path, mmap_mode="r+")[3, 2] = -7
        assert opened[3, 2] == -7

    def test_writing_stays_private(self, tmp_path):
        path = tmp_path / "x.pt"
        torch.save(matrix(), path)
        open_tensor(path).zero_()
        assert torch.equal(open_tensor(path), matrix())
        assert torch.equal(torch.load(path, weights_only=True), matrix())

    def test_broken_file(self, tmp_path):
        (tmp_path / "x.pt").write_bytes(b"PK\x03\x04 and no more")
        with pytest.raises(DataError, match="cut short"):
            open_tensor(tmp_path / "x.pt")


class TestPairBatches:
    def test_order_is_a_function_of_seed_and_epoch(self):
        torch.manual_seed(0)
        first = ids_of(batches(), 3)
        torch.manual_seed(99)
        torch.rand(7)
        loader = batches()
        list(loader.epoch(0))
        assert ids_of(loader, 3) == first
        assert ids_of(loader, 4) != first
        assert ids_of(batches(seed=2), 3) != first
        assert ids_of(batches(seed=3), 1) != ids_of(batches(seed=1), 3)

    def test_rows_stay_together(self):
        for images, texts, ids in batches().epoch(0):
            assert torch.equal(images, matrix()[ids])
            assert torch.equal(texts, matrix()[ids][:, :3] * 2)

    @pytest.mark.parametrize(("drop_last", "expected"), [(True, 4), (False, 5)])
    def test_length(self, drop_last, expected):
        loader = batches(drop_last=drop_last)
        found = ids_of(loader, 0)
        assert len(loader) == len(found) == expected
        seen = [row for rows in found for row in rows]
        assert len(seen) == len(set(seen)) == (20 if drop_last else ROWS)

    def test_one_batch_remains_when_there_are_few_rows(self):
        assert [len(ids) for ids in ids_of(batches(batch_size=4096), 0)] == [ROWS]

    def test_without_shuffle(self):
        assert ids_of(batches(shuffle=False, drop_last=False), 5)[-1] == [20, 21, 22]

    def test_half_becomes_float(self):
        images = matrix().half()
        loader = PairBatches(images, images, torch.arange(ROWS), Batching(batch_size=8, seed=0))
        assert next(loader.epoch(0))[0].dtype == torch.float32

    def test_resident_keeps_the_order(self):
        loader = batches()
        for budget in (0, 1 << 20):
            assert ids_of(loader.resident("cpu", budget), 2) == ids_of(loader, 2)

    def test_what_was_moved_once_is_not_moved_again(self):
        loader = batches()
        moved = loader.resident("meta", 1 << 20)
        others = PairBatches(
            loader.images, loader.texts, loader.ids, Batching(batch_size=3, seed=2)
        )
        again = others.resident("meta", 0)  # nothing is left to move, so no budget is needed
        for name in ("images", "texts", "ids"):
            assert getattr(moved, name).is_meta
            assert getattr(again, name) is getattr(moved, name)
        assert not batches().resident("meta", 0).images.is_meta

    def test_what_was_moved_is_let_go_with_where_it_came_from(self):
        loader = batches()
        moved = loader.resident("meta", 1 << 20)
        kept = weakref.ref(moved.images)
        del moved
        assert kept() is not None
        del loader
        assert kept() is None

    def test_unshuffled_rows_of_a_resident_set_are_not_copied(self):
        loader = batches(shuffle=False, drop_last=False)
        images, texts, ids = zip(*loader.epoch(0), strict=True)
        assert images[1].data_ptr() == loader.images[5:].data_ptr()
        assert torch.equal(torch.cat(images), loader.images)
        assert torch.equal(torch.cat(texts), loader.texts)
        assert torch.equal(torch.cat(ids), loader.ids)

    @pytest.mark.gpu
    def test_resident_on_the_device(self):
        loader = batches(device="cuda")
        moved = loader.resident("cuda", 1 << 20)
        assert moved.images.is_cuda
        assert not loader.resident("cuda", 10).images.is_cuda
        for one, other in zip(loader.epoch(1), moved.epoch(1), strict=True):
            assert all(a.is_cuda and torch.equal(a, b) for a, b in zip(one, other, strict=True))

    def test_lengths_must_agree(self):
        with pytest.raises(DataError, match="23 images, 22 texts"):
            PairBatches(matrix(), matrix()[1:], torch.arange(ROWS), Batching(batch_size=2, seed=0))
        with pytest.raises(DataError, match="batch_size = 0"):
            batches(batch_size=0)


class TestMicroBatches:
    def test_batches_are_the_same_in_whichever_parts(self):
        whole, parts = batches(), batches(micro_batches=3)
        assert len(parts) == 3 * len(whole) == 12
        assert [len(ids) for ids in ids_of(parts, 1)] == [2, 2, 1] * 4
        both = (loader.epoch(1) for loader in (parts, whole))
        assert torch.equal(*(torch.cat([ids for _, _, ids in epoch]) for epoch in both))

    def test_a_part_without_a_row_is_refused(self):
        with pytest.raises(DataError, match=r"5 rows in 6 micro-batches.*training\.accumulate"):
            batches(micro_batches=6)
