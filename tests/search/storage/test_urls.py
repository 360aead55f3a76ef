"""What a URL of a database means, which driver it needs, and what of it is shown."""

import sqlite3
import sys
from pathlib import Path

import pytest

from tunewright.errors import StudyError
from tunewright.search.storage.database import open_storage
from tunewright.search.storage.urls import (
    absolute_url,
    url_and_name,
    url_of,
    with_driver,
    without_password,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5432/name", "postgresql://me@host:5432/name"),
        ("postgresql://me:se@cret@host/name", "postgresql://me@host/name"),
        ("postgresql://me:se/c?ret@host/name", "postgresql://me@host/name"),
        ("postgresql+psycopg2://:secret@host/name", "postgresql+psycopg2://@host/name"),
        ("postgresql://me@host/name?sslmode=require", None),
        ("postgresql:///name?host=/run/pg&user=me&password=secret", None),
        ("postgresql://host/name", None),
        ("sqlite:////data/a:b@c.db", None),
        ("postgresql://me:se#cret@host/name#study", "postgresql://me@host/name#study"),
        ("postgresql://host/name?a=b&pass%77ord=secret", "postgresql://host/name?a=b"),
        ("postgresql://host:5432/name#my@study", "postgresql://host:5432/name#my@study"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str | None) -> None:
    expected = url.replace("&password=secret", "") if shown is None else shown
    assert without_password(url) == expected
    assert "secret" not in without_password(url)


def test_the_driver_that_is_installed_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StudyError, match=r"needs a driver.*tunewright\[postgresql\]") as caught:
        open_storage("postgresql://me:secret@host/name")
    assert "secret" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "psycopg2", sqlite3)
    assert with_driver("postgresql://host/name") == "postgresql+psycopg2://host/name"
    assert with_driver("postgres://host/name") == "postgresql+psycopg2://host/name"
    monkeypatch.setitem(sys.modules, "psycopg", sqlite3)
    assert with_driver("postgresql://host/name") == "postgresql+psycopg://host/name"
    assert with_driver("postgresql+asyncpg://host/n") == "postgresql+asyncpg://host/n"


@pytest.mark.parametrize(
    ("address", "url", "name"),
    [
        ("sqlite:///theirs.db#one", "sqlite:///theirs.db", "one"),
        ("sqlite:///theirs.db", "sqlite:///theirs.db", None),
        ("sqlite:///theirs.db#", "sqlite:///theirs.db", None),
        ("sqlite:///r%231/theirs.db#my#study", "sqlite:///r%231/theirs.db", "my#study"),
        ("postgresql://me:a#b@host/name#one", "postgresql://me:a#b@host/name", "one"),
        ("postgresql://me:5@host/name#a@b", "postgresql://me:5@host/name", "a@b"),
        ("postgresql://host:5432/name#a@b", "postgresql://host:5432/name", "a@b"),
        ("postgresql://me@/name?host=/run/pg#one", "postgresql://me@/name?host=/run/pg", "one"),
    ],
)
def test_the_study_behind_a_url(address: str, url: str, name: str | None) -> None:
    assert url_and_name(address) == (url, name)


def test_a_file_whose_name_holds_the_sign_is_that_file(tmp_path: Path) -> None:
    file = tmp_path / "a#b.db"
    file.touch()
    assert url_and_name(f"sqlite:///{file}") == (f"sqlite:///{file}", None)


def test_one_file_has_one_url_however_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "50% (ü)").mkdir()
    monkeypatch.chdir(tmp_path / "50% (ü)")
    whole = url_of("a.db")
    for typed in ("sqlite:///a.db", f"sqlite:///{Path('a.db').resolve()}", whole):
        assert url_of(typed) == absolute_url(typed) == whole
    assert url_of("sqlite:///file:a.db?uri=true") == whole
    monkeypatch.chdir(tmp_path)
    assert url_of("50% (ü)/a.db") == whole
    assert url_of("sqlite:///50%25%20(ü)/a.db") == whole
    assert absolute_url("postgresql://host/a%20b") == "postgresql://host/a%20b"
