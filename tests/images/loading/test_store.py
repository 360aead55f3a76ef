"""The store: the same pixels as decoding gives, made once, whole or absent, shared."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import class_folders, draw, encoded, write_jsonl, write_zip

from tunewright.errors import DataError, NotWritten
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import open_sets
from tunewright.images.loading import placement
from tunewright.images.loading.placement import choose
from tunewright.images.loading.shared_file import npy_header
from tunewright.images.loading.square import as_uint8
from tunewright.images.loading.store import build_store, is_built, open_store
from tunewright.images.sources.open_source import open_table
from tunewright.images.sources.reader import PictureReader

SHARED = Path(__file__).parents[4] / "shared" / "data"
Usage = namedtuple("Usage", "total used free")
MIB = 2**20

GIB = 2**30


@pytest.fixture
def table(tmp_path):
    return open_table(class_folders(tmp_path / "set", {"a": 30, "b": 20}))


def decoded(table, size):
    reader = PictureReader()
    return np.stack([as_uint8(reader.picture(place), size) for place in table.places])


class TestBuild:
    @pytest.mark.parametrize("size", [7, 16])
    def test_pixels(self, table, tmp_path, size):
        store = build_store(table, size, folder=tmp_path / "cache")
        mapped = open_store(store)
        assert mapped.shape == (50, 3, size, size)
        assert mapped.dtype == np.uint8
        assert np.array_equal(mapped[store.rows_of], decoded(table, size))
        assert store.rows == 50
        with pytest.raises(ValueError, match="read-only"):
            mapped[0] = 0

    def test_private_writes_stay_private(self, table, tmp_path):
        store = build_store(table, 8, folder=tmp_path)
        mapped = open_store(store, private=True)
        mapped[0] ^= 255
        assert np.array_equal(open_store(store)[0], decoded(table, 8)[0])

    def test_made_once(self, table, tmp_path):
        assert not is_built(table, 8, folder=tmp_path)
        first = build_store(table, 8, folder=tmp_path)
        assert is_built(table, 8, folder=tmp_path)
        again = build_store(table, 8, folder=tmp_path, on_progress=lambda *_: pytest.fail("again"))
        assert (first.built, again.built) == (True, False)
        assert again.file == first.file
        assert build_store(table, 9, folder=tmp_path).built

    def test_parts_share_the_file_of_the_whole(self, table, tmp_path):
        sets = open_sets(ImagesConfig(dir=str(table.origin)))
        stores = [build_store(part, 8, folder=tmp_path) for part in (sets.train, sets.valid)]
        assert stores[0].file == stores[1].file
        assert [store.built for store in stores] == [True, False]
        mapped = open_store(stores[1])
        assert len(mapped) == 50
        assert np.array_equal(mapped[stores[1].rows_of], decoded(sets.valid, 8))
        fold = open_sets(ImagesConfig(dir=str(table.origin), folds=3, fold=1))
        assert build_store(fold.valid, 8, folder=tmp_path).file == stores[0].file

    def test_named_for_its_content(self, table, tmp_path):
        first = build_store(table, 8, folder=tmp_path)
        moved = table.origin.rename(tmp_path / "elsewhere")
        assert not build_store(open_table(moved), 8, folder=tmp_path).built
        draw(moved / "a" / "0.png", 99)
        other = build_store(open_table(moved), 8, folder=tmp_path)
        assert other.built
        assert other.file != first.file

    def test_zip_and_boxes(self, tmp_path):
        members = {f"{'ab'[n % 2]}/{n}.png": n for n in range(40)}
        table = open_table(write_zip(tmp_path / "x.zip", members))
        store = build_store(table, 8, folder=tmp_path)
        assert np.array_equal(open_store(store), decoded(table, 8))
        draw(tmp_path / "f.png", 1, size=(60, 40))
        records = [
            {"id": n, "image_path": "f.png", "bbox_xyxy": [n, n, n + 9, n + 5], "label": str(n)}
            for n in range(4)
        ]
        table = open_table(write_jsonl(tmp_path / "manifest.jsonl", records))
        assert np.array_equal(open_store(build_store(table, 8, folder=tmp_path)), decoded(table, 8))

    def test_progress(self, table, tmp_path):
        seen = []
        build_store(table, 8, folder=tmp_path, on_progress=lambda *p: seen.append(p))
        assert seen == [(n, 50) for n in range(1, 51)]
        build_store(table, 8, folder=tmp_path, on_progress=lambda *p: pytest.fail("nothing to do"))

    def test_header_has_one_length(self):
        lengths = {len(npy_header((rows, 3, 144, 144))) for rows in (0, 1, 10**9)}
        assert lengths == {128}


class TestBroken:
    def test_all_are_named_at_once(self, table, tmp_path):
        for name in ("a/3.png", "b/4.png"):
            (table.origin / name).write_bytes(b"")
        message = r"2 of 50 pictures .*a/3\.png is empty, .*b/4\.png is empty.*skip_bad=true"
        for _ in range(2):
            with pytest.raises(DataError, match=message):
                build_store(table, 8, folder=tmp_path / "cache")

    def test_skipped(self, table, tmp_path):
        (table.origin / "a/3.png").write_bytes(b"")
        store = build_store(table, 8, folder=tmp_path / "cache", skip_bad=True)
        assert store.rows == 49
        assert store.rows_of[:5].tolist() == [0, 1, 2, -1, 3]
        good = np.flatnonzero(store.rows_of >= 0)
        pixels = open_store(store)[store.rows_of[good]]
        assert np.array_equal(pixels, decoded(table.take(good), 8))
        assert "a/3.png" in store.notices[0]
        assert (store.file.parent / "skipped.txt").read_text().startswith("a/3.png\t")

    def test_sets_without_them_need_no_permission(self, table):
        (table.origin / "a/3.png").write_bytes(b"")
        sets = open_sets(ImagesConfig(dir=str(table.origin), skip_bad=True))
        store = build_store(sets.train, 8)
        assert (store.rows_of >= 0).all()
        assert np.array_equal(open_store(store)[store.rows_of], decoded(sets.train, 8))

    def test_too_many(self, table, tmp_path):
        for n in range(3):
            (table.origin / "a" / f"{n}.png").write_bytes(b"")
        with pytest.raises(DataError, match=r"3 of 50 .*at most 5%"):
            build_store(table, 8, folder=tmp_path / "cache", skip_bad=True)
        assert list((tmp_path / "cache").rglob("*.npy*")) == []


SLOW = """
import sys, time
from pathlib import Path
from tunewright.images.loading import store as module
from tunewright.images.sources.open_source import open_table

as_uint8 = module.as_uint8
def slow(image, size, resize):
    time.sleep(float(sys.argv[3]))
    return as_uint8(image, size, resize)
module.as_uint8 = slow
store = module.build_store(open_table(Path(sys.argv[1])), 8, folder=Path(sys.argv[2]))
print(store.built, flush=True)
"""


def start(table, folder, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(table.origin), str(folder), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class TestTogether:
    def test_two_processes_build_once(self, table, tmp_path):
        both = [start(table, tmp_path / "cache", 0.01) for _ in range(2)]
        told = sorted(process.communicate(timeout=60)[0].strip() for process in both)
        assert told == ["False", "True"]
        store = build_store(table, 8, folder=tmp_path / "cache")
        assert not store.built
        assert np.array_equal(open_store(store), decoded(table, 8))

    def test_two_threads_build_once(self, table, tmp_path):
        built = []
        threads = [
            threading.Thread(
                target=lambda: built.append(build_store(table, 8, folder=tmp_path).built)
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(built) == [False, False, False, True]

    def test_a_killed_build_blocks_nobody(self, table, tmp_path):
        folder = tmp_path / "cache"
        first = start(table, folder, 1.0)
        wait_for(lambda: list(folder.rglob("*.part")))
        second = start(table, folder, 0.0)  # waits for the lock
        time.sleep(0.3)
        assert second.poll() is None
        first.send_signal(signal.SIGKILL)
        first.communicate()
        assert second.communicate(timeout=60)[0].strip() == "True"
        assert list(folder.rglob("*.part")) == []

    def test_an_interrupted_build_leaves_nothing(self, table, tmp_path):
        def stop(done, total):
            if done == 20:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_store(table, 8, folder=tmp_path / "cache", on_progress=stop)
        left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert left == ["8.lock"]
        assert build_store(table, 8, folder=tmp_path / "cache").built


class TestDisk:
    def test_room_is_checked_before(self, table, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1000))
        with pytest.raises(NotWritten, match=r"0\.0 GiB free.*data\.store=stream"):
            build_store(table, 8, folder=tmp_path)

    @pytest.mark.parametrize("call", ["pwrite", "posix_fallocate"])
    def test_a_disk_that_fills_up(self, table, tmp_path, monkeypatch, call):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, call, full)
        with pytest.raises(NotWritten, match="No space left on device"):
            build_store(table, 8, folder=tmp_path / "cache")
        assert list((tmp_path / "cache").rglob("*.part")) == []

    def test_a_torn_file_is_made_anew(self, table, tmp_path):
        store = build_store(table, 8, folder=tmp_path)
        os.truncate(store.file, 500)
        again = build_store(table, 8, folder=tmp_path)
        assert again.built
        assert np.array_equal(open_store(again), decoded(table, 8))

    def test_a_disk_that_cannot_reserve(self, table, tmp_path, monkeypatch):
        def cannot(*_):
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        monkeypatch.setattr(os, "posix_fallocate", cannot)
        assert build_store(table, 8, folder=tmp_path).built

    def test_stores_that_nobody_uses_go(self, table, tmp_path):
        files = {size: build_store(table, size, folder=tmp_path).file for size in (5, 6)}
        month_ago = time.time() - 31 * 86_400
        for file in files.values():
            os.utime(file, (month_ago, month_ago))
        assert not build_store(table, 5, folder=tmp_path).built  # which is a use
        build_store(table, 7, folder=tmp_path)
        assert is_built(table, 5, folder=tmp_path)
        assert not is_built(table, 6, folder=tmp_path)

    def test_a_folder_that_cannot_be_written(self, table, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(NotWritten, match="cannot be written"):
            build_store(table, 8, folder=tmp_path / "file")


class TestChoice:
    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch):
        """8 GiB of RAM and 20 GiB of disk are free."""
        monkeypatch.setattr(placement, "free_mib", lambda: 8 * GIB / MIB)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 20 * GIB))

    def test_small_sets_are_kept(self, table):
        choice = choose(table, 144)
        assert choice.store == "memory"
        assert choice.why.startswith("50 pictures at 144 px take 3.1 MB")

    def test_on_the_device_where_there_is_room(self, table):
        assert choose(table, 144, 10 * GIB).store == "device"
        choice = choose(table, 144, GIB // 200)
        assert choice.store == "memory"
        assert "25% of the 5.4 MB free on the device" in choice.why

    def test_large_sets_are_streamed(self, table, monkeypatch):
        choice = choose(table, 6000, 100 * GIB)  # 5 GiB
        assert choice.store == "stream"
        assert "50% of the 8.6 GB of free RAM" in choice.why
        with monkeypatch.context() as patched:  # such as a control group's limit
            patched.setattr(placement, "free_mib", lambda: 1000 / MIB)
            assert choose(table, 144).store == "stream"
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, GIB // 1000))
        choice = choose(table, 144)
        assert choice.store == "stream"
        assert "free on the disk of ~/.cache/tunewright" in choice.why

    def test_what_is_there_needs_no_disk(self, table, monkeypatch):
        build_store(table, 144)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1000))
        assert choose(table, 144).store == "memory"

    @pytest.mark.parametrize("wanted", ["memory", "device", "stream"])
    def test_as_asked(self, table, wanted):
        choice = choose(table, 144, None, wanted)
        assert choice.store == wanted
        assert choice.why == f"data.store={wanted}, as asked"

    def test_a_part_counts_as_the_whole(self, table):
        assert choose(table.take([0]), 144).why == choose(table, 144).why


class TestRealData:
    def test_flowers17(self, tmp_path):
        if not (SHARED / "flowers17").is_dir():
            pytest.skip("../shared/data/flowers17 is not there")
        sets = open_sets(ImagesConfig(dir=str(SHARED / "flowers17")))
        store = build_store(sets.test, 32, folder=tmp_path)
        assert open_store(store).shape == (850, 3, 32, 32)
        some = sets.test.take(np.arange(5))
        assert np.array_equal(open_store(store)[store.rows_of[:5]], decoded(some, 32))


def test_encoded_twice_is_equal():
    """What the other tests lean on: a number always draws the same bytes."""
    assert encoded(3) == encoded(3) != encoded(4)
