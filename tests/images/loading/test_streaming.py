"""Streamed batches are those of a store; workers stay for all epochs and end with the loader."""

import multiprocessing
import time

import numpy as np
import psutil
import pytest
import torch
from drawn_pictures import class_folders

from tunewright.errors import DataError, RunError
from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.config import LEVELS, MixingConfig
from tunewright.images.augment.mixup import make_mix
from tunewright.images.loading import decode_workers, streaming
from tunewright.images.loading.batches import IMAGENET, Finishing, ImageBatches
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.square import as_uint8
from tunewright.images.loading.streaming import StreamedBatches
from tunewright.images.sources.open_source import open_table
from tunewright.images.sources.reader import PictureReader

ROWS, SIZE = 14, 16


@pytest.fixture
def table(tmp_path):
    return open_table(class_folders(tmp_path / "set", {"daisy": 8, "rose": 6}))


def options(**given):
    return {
        "batch_size": 4,
        "seed": 1,
        "augment": make_augment(LEVELS["strong"]()),
        "mix": make_mix(MixingConfig(mixup_alpha=0.4, cutmix_alpha=1.0)),
        **given,
    }


def batching_and_finishing(options):
    """Take the options of `Batching` and `Finishing` out of the others."""
    finishing = Finishing(IMAGENET, options.pop("augment"), options.pop("mix"))
    names = [name for name in Batching.__annotations__ if name in options]
    return Batching(**{name: options.pop(name) for name in names}), finishing


def kept(table, **given):
    """The same pictures from memory."""
    reader = PictureReader()
    images = np.stack([as_uint8(reader.picture(place), SIZE) for place in table.places])
    given = options(**given)
    images, labels = torch.from_numpy(images), torch.from_numpy(table.labels)
    return ImageBatches(images, labels, *batching_and_finishing(given), **given)


def streamed(table, **given):
    given = options(**given)
    return StreamedBatches(table, SIZE, *batching_and_finishing(given), **given)


def assert_same(one, other, epoch=2):
    assert len(one) == len(other)
    for first, second in zip(one.epoch(epoch), other.epoch(epoch), strict=True):
        for tensor, expected in zip(first, second, strict=True):
            assert torch.equal(tensor, expected)


def workers_of():
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "forkserver" in " ".join(child.cmdline()) and not child.children()
    ]


class TestThreads:
    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"micro_batches": 2},
            {"shuffle": False, "drop_last": False, "augment": None, "mix": None},
            {"weights": torch.arange(1.0, 15.0)},
            {"batch_size": 100},
        ],
    )
    def test_batches_are_those_of_a_store(self, table, given):
        assert_same(streamed(table, workers=0, **given), kept(table, **given))

    def test_epochs_can_be_broken_off(self, table):
        loader = streamed(table, workers=0)
        next(loader.epoch(0))
        assert_same(loader, kept(table))
        loader.close()
        assert_same(loader, kept(table))
        loader.close()

    def test_a_broken_picture_is_named(self, table):
        table.places[5].file.write_bytes(b"no picture")
        loader = streamed(table, workers=0, shuffle=False)
        with pytest.raises(DataError, match=r"5\.png"):
            list(loader.epoch(0))

    def test_the_global_random_state_is_left_alone(self, table):
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        list(streamed(table, workers=0).epoch(0))
        assert torch.equal(torch.rand(3), expected)

    def test_a_daemon_has_no_workers(self, table, monkeypatch):
        monkeypatch.setattr(multiprocessing.current_process(), "daemon", True)
        assert streamed(table, workers=2).workers == 0

    def test_as_many_workers_as_threads(self, table):
        assert streamed(table).workers == torch.get_num_threads()

    def test_threads_take_over_where_no_process_starts(self, table, monkeypatch, caplog):
        def refused(_self):
            raise OSError("no more processes")

        monkeypatch.setattr(decode_workers.Processes, "start", refused)
        loader = streamed(table, workers=2)
        assert_same(loader, kept(table))
        assert loader.workers == 0
        assert "no more processes" in caplog.text


class TestProcesses:
    """One forkserver, which imports torch once, serves all of these tests."""

    def test_batches_are_those_of_a_store_in_every_epoch(self, table):
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        loader = streamed(table, workers=2)
        known = kept(table)
        for epoch in range(2):
            assert_same(loader, known, epoch)
        assert torch.equal(torch.rand(3), expected)
        before = {child.pid for child in workers_of()}
        next(loader.epoch(0))  # broken off
        assert_same(loader, known, 2)
        assert {child.pid for child in workers_of()} == before
        assert len(before) >= 2
        loader.close()
        assert_ended(before)

    def test_workers_end_with_the_loader(self, table):
        loader = streamed(table, workers=1)
        epoch = loader.epoch(0)
        next(epoch)
        before = {child.pid for child in workers_of()}
        assert before
        del loader, epoch
        assert_ended(before)

    def test_through_a_pipe_where_shared_memory_is_short(self, table, monkeypatch):
        monkeypatch.setattr(streaming, "SHARED_MEMORY", streaming.SHARED_MEMORY / "missing")
        loader = streamed(table, workers=1)
        assert_same(loader, kept(table))
        loader.close()

    def test_a_broken_picture_is_named(self, table):
        table.places[5].file.write_bytes(b"no picture")
        loader = streamed(table, workers=1, shuffle=False)
        with pytest.raises(DataError, match=r"^\S*5\.png is not a readable picture"):
            list(loader.epoch(0))
        loader.close()

    @pytest.mark.slow  # torch looks after its workers every 5 seconds
    def test_a_worker_that_dies_is_told(self, table):
        loader = streamed(table, workers=1)
        list(loader.epoch(0))
        for child in workers_of():
            child.kill()
        with pytest.raises(RunError, match=r"data\.workers"):
            list(loader.epoch(1))
        loader.close()

    @pytest.mark.slow  # a server of its own imports torch once more
    def test_in_a_worker_of_an_executor(self, table):
        """Which is itself forked from a server, and not a daemon."""
        context = multiprocessing.get_context("forkserver")
        near, far = context.Pipe()
        process = context.Process(target=_stream, args=(far, table))
        process.start()
        assert near.poll(60)
        rows = near.recv()
        process.join(20)
        assert process.exitcode == 0
        assert rows == [batch.rows.tolist() for batch in kept(table).epoch(0)]


def _stream(pipe, table):
    loader = streamed(table, workers=1)
    pipe.send([batch.rows.tolist() for batch in loader.epoch(0)])
    assert loader.workers == 1
    loader.close()


def assert_ended(pids):
    for _ in range(100):
        if not any(psutil.pid_exists(pid) for pid in pids):
            return
        time.sleep(0.05)
    raise AssertionError(f"still alive: {[pid for pid in pids if psutil.pid_exists(pid)]}")
