"""LMDB files: written with a map that grows, read without locks."""

import os
import resource
from pathlib import Path

import pytest

from tunewright.errors import DataError, NotWritten
from tunewright.images.databases.lmdb_reader import FILE, open_database
from tunewright.images.databases.lmdb_writer import LmdbWriter

lmdb = pytest.importorskip("lmdb")


def write(folder: Path, count: int = 20, size: int = 3000, **options: int) -> Path:
    with LmdbWriter(folder, **options) as writer:
        writer.write([(f"{n:08}", bytes([n % 256]) * size) for n in range(count)])
        writer.fill_up()
    return folder / FILE


def test_what_was_written_is_read(tmp_path: Path) -> None:
    database = open_database(write(tmp_path))
    assert len(database) == 20
    assert database.keys() == [f"{n:08}" for n in range(20)]
    assert database.get("00000003") == b"\x03" * 3000
    assert [value[0] for _, value in database.items()] == list(range(20))
    assert database.get("none") is None
    with pytest.raises(DataError, match="has no key 'none'"):
        database.require("none")
    assert open_database(tmp_path / FILE) is database


def test_readers_take_no_slot(tmp_path: Path) -> None:
    write(tmp_path)
    open_database(tmp_path / FILE).get("00000003")
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_the_map_grows(tmp_path: Path) -> None:
    with LmdbWriter(tmp_path, map_bytes=1 << 16) as writer:
        for start in range(0, 200, 20):
            writer.write([(f"{n:08}", bytes(20_000)) for n in range(start, start + 20)])
        assert writer.map_bytes > 200 * 20_000
        assert writer.last_key == "00000199"
    assert len(open_database(tmp_path / FILE)) == 200


def test_a_map_that_cannot_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LmdbWriter(tmp_path, map_bytes=1 << 16) as writer:

        class Environment:
            """The environment in a process whose address space is used up."""

            begin = writer._environment.begin
            close = writer._environment.close

            def set_mapsize(self, _: int) -> None:
                raise MemoryError("Cannot allocate memory")

        monkeypatch.setattr(writer, "_environment", Environment())
        with pytest.raises(NotWritten, match=r"is full at .* bytes, and its map cannot grow"):
            writer.write([("a", bytes(1 << 20))])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """In a process that may write no more than 1 MB a file."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        code = 1
        try:
            write(tmp_path, count=200, size=20_000)
        except NotWritten as error:
            text = str(error)
            if "the disk may be full" in text and "the same command then continues" in text:
                code = 42
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 42


def test_a_key_that_is_too_long(tmp_path: Path) -> None:
    with LmdbWriter(tmp_path) as writer, pytest.raises(DataError, match="at most 511"):
        writer.write([("k" * 512, b"value")])


def test_a_truncated_file(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole").read_bytes()
    (tmp_path / "cut").mkdir()
    cut = tmp_path / "cut" / FILE
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"is truncated: it has {len(whole) // 2:,} of"):
        open_database(cut)
    for content, reason in ((whole[:100], "not an LMDB"), (b"", "is empty"), (b"hi" * 9000, "not")):
        cut.write_bytes(content)
        with pytest.raises(DataError, match=reason):
            open_database(cut)
    with pytest.raises(DataError, match="No such file"):
        open_database(tmp_path / "absent" / FILE)


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    write(tmp_path / "a", count=3)
    write(tmp_path / "b", count=5)
    assert len(open_database(tmp_path / "a" / FILE)) == 3
    (tmp_path / "b" / FILE).replace(tmp_path / "a" / FILE)
    assert len(open_database(tmp_path / "a" / FILE)) == 5
