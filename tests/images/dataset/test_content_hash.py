"""Digests tell content, cost nothing the second time, and never survive a change."""

import json
import os
import shutil
import time
from dataclasses import replace
from hashlib import blake2b

import pytest
from drawn_pictures import class_folders, draw, encoded, picture, write_jsonl, write_zip

from tunewright.images.dataset import content_hash as module
from tunewright.images.dataset.content_hash import content_keys
from tunewright.images.sources.open_source import open_table
from tunewright.images.sources.reader import PictureReader


def digests(table, progress=None):
    """Of a table that was not asked before, as another run has it."""
    return module.digests(replace(table), progress)


def hashed(content):
    return blake2b(content, digest_size=16).hexdigest()


@pytest.fixture
def settled(monkeypatch):
    """As if every file lay there for long; no program can set back when a file changed."""
    monkeypatch.setattr(module, "SETTLED_SECONDS", 0.0)


def dated(*paths, ns=1577836800 * 10**9):
    """As an archive leaves the files that it unpacks."""
    for path in paths:
        os.utime(path, ns=(ns, ns))


@pytest.fixture
def read(monkeypatch):
    """The places whose bytes were read."""
    places = []
    content = PictureReader.content

    def counted(self, place):
        places.append(place)
        return content(self, place)

    monkeypatch.setattr(PictureReader, "content", counted)
    return places


class TestFiles:
    def test_values(self, tmp_path):
        table = open_table(class_folders(tmp_path, {"a": 2, "b": 1}))
        assert digests(table) == tuple(hashed(encoded(n)) for n in range(3))

    def test_kept_until_a_file_changes(self, tmp_path, read, settled):
        table = open_table(class_folders(tmp_path, {"a": 2, "b": 1}))
        first = digests(table)
        assert len(read) == 3
        assert digests(table) == first
        assert len(read) == 3
        draw(tmp_path / "a" / "1.png", 9)
        assert digests(table)[1] == hashed(encoded(9))
        assert len(read) == 4

    def test_what_changed_a_moment_ago_is_read_again(self, tmp_path, read):
        table = open_table(class_folders(tmp_path, {"a": 1, "b": 1}))
        digests(table)
        digests(table)
        assert len(read) == 4

    def test_unreadable_files_have_a_word_of_their_own(self, tmp_path):
        table = open_table(class_folders(tmp_path, {"a": 2, "b": 2}))
        (tmp_path / "a" / "0.png").unlink()
        (tmp_path / "b" / "0.png").unlink()
        found = digests(table)
        assert found[0].startswith("unreadable ")
        assert len(set(found)) == 4
        draw(tmp_path / "a" / "0.png", 0)
        assert digests(table)[0] == hashed(encoded(0))

    def test_rubbish_in_the_cache_is_no_harm(self, tmp_path):
        table = open_table(class_folders(tmp_path, {"a": 1, "b": 1}))
        kept = module.CachedDigests(table.origin)
        for rubbish in ("{", "[]", json.dumps({"version": 0})):
            kept.file.parent.mkdir(parents=True, exist_ok=True)
            kept.file.write_text(rubbish)
            assert digests(table)[0] == hashed(encoded(0))

    def test_a_cache_that_cannot_be_written_is_no_harm(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "file" / "below")
        (tmp_path / "file").write_text("")
        table = open_table(class_folders(tmp_path / "set", {"a": 1, "b": 1}))
        assert digests(table)[0] == hashed(encoded(0))

    def test_progress(self, tmp_path):
        seen = []
        table = open_table(class_folders(tmp_path, {"a": 30, "b": 10}))
        digests(table, lambda done, total: seen.append((done, total)))
        assert seen == [(n, 40) for n in range(1, 41)]

    def test_boxes_are_part_of_the_key(self, tmp_path):
        draw(tmp_path / "f.png", 1)
        records = [
            {"id": n, "image_path": "f.png", "bbox_xyxy": [0, 0, 5 + n // 2, 5], "label": str(n)}
            for n in range(4)
        ]
        table = open_table(write_jsonl(tmp_path / "manifest.jsonl", records))
        keys = content_keys(table)
        assert len(set(digests(table))) == 1
        assert keys[0] == keys[1] != keys[2] == keys[3]
        assert content_keys(table.take([3, 0])) == (keys[3], keys[0])


class TestZips:
    def members(self, start=0):
        return {f"{c}/{n}.png": start + n for c in "ab" for n in range(2)}

    def test_an_unchanged_zip_is_not_opened(self, tmp_path, read, monkeypatch, settled):
        place = write_zip(tmp_path / "x.zip", self.members())
        table = open_table(place)
        first = digests(table)
        assert first == tuple(hashed(encoded(n)) for n in (0, 1, 0, 1))
        monkeypatch.setattr(module, "open_zip", None)
        assert digests(table) == first
        assert len(read) == 4

    def test_a_rewritten_zip_is_read_where_members_differ(self, tmp_path, read, settled):
        place = write_zip(tmp_path / "x.zip", self.members())
        digests(open_table(place))
        write_zip(place, self.members() | {"b/1.png": 7, "b/2.png": 8})
        table = open_table(place)
        assert digests(table)[3:] == (hashed(encoded(7)), hashed(encoded(8)))
        assert len(read) == 6

    def test_a_zip_just_written_is_opened_again(self, tmp_path, read):
        place = write_zip(tmp_path / "x.zip", self.members())
        table = open_table(place)
        digests(table)
        mtime = place.stat().st_mtime_ns
        write_zip(place, self.members(start=50))  # same names, perhaps within one tick
        os.utime(place, ns=(mtime, mtime))
        assert digests(table)[0] == hashed(encoded(50))


class TestFilesThatChangePlaces:
    """Of one size and one time of content, as pictures without compression from an archive."""

    @pytest.fixture
    def table(self, tmp_path, settled):
        for label in "ab":
            for n in range(3):
                file = tmp_path / label / f"{n}.ppm"
                file.parent.mkdir(exist_ok=True)
                picture(ord(label) + n).save(file)
                dated(file)
        return open_table(tmp_path)

    def swap(self, one, other):
        one.rename(one.with_name("aside"))
        other.rename(one)
        one.with_name("aside").rename(other)

    def test_folders_that_are_renamed(self, tmp_path, table):
        first = digests(table)
        self.swap(tmp_path / "a", tmp_path / "b")
        assert digests(table) == first[3:] + first[:3]

    def test_files_that_are_renamed(self, tmp_path, table):
        first = digests(table)
        self.swap(tmp_path / "a" / "0.ppm", tmp_path / "b" / "2.ppm")
        assert digests(table) == (first[5], *first[1:5], first[0])

    def test_files_that_are_written_over(self, tmp_path, table):
        first = digests(table)
        shutil.copy2(tmp_path / "b" / "1.ppm", tmp_path / "a" / "1.ppm")
        assert digests(table)[1] == first[4]

    def test_links_that_are_turned(self, tmp_path, table):
        (tmp_path / "set").mkdir()
        for name, target in (("x", "a"), ("y", "b")):
            (tmp_path / "set" / name).symlink_to(tmp_path / target)
        linked = open_table(tmp_path / "set")
        first = digests(linked)
        self.swap(tmp_path / "set" / "x", tmp_path / "set" / "y")
        assert digests(linked) == first[3:] + first[:3]

    def test_archives(self, tmp_path, settled):
        one, other = (
            write_zip(
                tmp_path / f"{name}.zip",
                {f"{c}/0.bmp": encoded(n + k, "BMP") for k, c in enumerate("ab")},
            )
            for n, name in ((1, "one"), (5, "other"))
        )
        dated(one, other)
        assert one.stat().st_size == other.stat().st_size
        first = [digests(open_table(place)) for place in (one, other)]
        self.swap(one, other)
        assert [digests(open_table(place)) for place in (one, other)] == first[::-1]

    def test_names_in_archives(self, tmp_path, settled):
        """The list of an archive that was open in this process is read again."""
        one, other = (
            write_zip(tmp_path / f"{name}.zip", {f"{c}/0.png": 3 for c in classes})
            for name, classes in (("one", "ab"), ("other", "cd"))
        )
        dated(one, other)
        assert open_table(one).classes == ("a", "b")
        self.swap(one, other)
        assert open_table(one).classes == ("c", "d")

    def test_digests_of_an_older_version_are_taken_anew(self, tmp_path, table, read):
        first = digests(table)
        kept = module.CachedDigests(table.origin)
        stored = json.loads(kept.file.read_text())
        for entry in stored["files"].values():
            entry[2:4] = []
        kept.file.write_text(json.dumps(stored | {"version": 1}))
        read.clear()
        assert digests(table) == first
        assert len(read) == 6


def test_many_files_cost_a_stat_each(tmp_path, settled):
    """Only a bound: 2,000 files that are known take well under a second."""
    members = {f"{'ab'[n % 2]}/{n}.png": b"" for n in range(2000)}
    place = write_zip(tmp_path / "x.zip", members)
    table = open_table(place)
    digests(table)
    began = time.monotonic()
    digests(table)
    assert time.monotonic() - began < 0.5
