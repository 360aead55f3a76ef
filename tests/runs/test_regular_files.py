import os
import socket

import pytest

from tunewright.runs.regular_files import exists, is_file, is_folder, read_regular


def test_a_file_and_a_link_to_it(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "b") == b"x"
    assert is_file(tmp_path / "b")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a pipe, not a regular file"):
        read_regular(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a device"):
        read_regular("/dev/zero")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    with pytest.raises(OSError, match="null"):
        read_regular("a\0b")
    with socket.socket(socket.AF_UNIX) as own:
        monkeypatch.chdir(tmp_path)
        own.bind("s")
        with pytest.raises(OSError, match=r"s"):
            read_regular("s")


def test_a_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(OSError, match="it has 5 bytes, more than 4"):
        read_regular(tmp_path / "a", most=4)


def test_names_that_the_system_cannot_look_up(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name in ("x" * 5000, tmp_path / "loop" / "a", "a\0b"):
        assert not any(look(name) for look in (exists, is_file, is_folder))
