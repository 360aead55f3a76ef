import os
import tempfile
from pathlib import Path

import pytest

from tunewright.errors import NotWritten
from tunewright.runs.cache import cache_folder


@pytest.fixture
def without_home(tmp_path, monkeypatch):
    """A user whose home is not known, with a shared temporary folder; returns his cache there."""

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    for name in ("TUNEWRIGHT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"tunewright-{os.geteuid()}"


def test_a_temporary_cache_is_made_for_this_user_alone(without_home):
    assert cache_folder() == without_home
    assert without_home.stat().st_mode & 0o777 == 0o700
    assert cache_folder() == without_home


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_temporary_cache_that_others_may_write(without_home, mode):
    without_home.mkdir()
    without_home.chmod(mode)
    with pytest.raises(NotWritten, match=r"others may write in it.* Remove it, or set HOME"):
        cache_folder()


def test_a_temporary_cache_that_leads_elsewhere(without_home, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    without_home.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotWritten, match="belongs to another user"):
        cache_folder()


def test_a_temporary_cache_of_another_user(without_home, monkeypatch):
    without_home.mkdir(mode=0o700)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    without_home.rename(without_home.with_name(f"tunewright-{os.geteuid()}"))
    with pytest.raises(NotWritten, match="belongs to another user"):
        cache_folder()


def test_the_setting_goes_before_the_xdg_folder_and_that_before_the_home(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("TUNEWRIGHT_CACHE", raising=False)
    for relative in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert cache_folder() == tmp_path / "home" / ".cache" / "tunewright"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "tunewright"
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert (tmp_path / "mine").is_dir()
    (tmp_path / "file").touch()
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "file" / "x"))
    with pytest.raises(NotWritten, match=r"TUNEWRIGHT_CACHE = .*file/x cannot be written .*unset"):
        cache_folder()
