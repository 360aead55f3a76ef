"""A database lies in its folder, whatever the folder is called, and opens by its URL."""

import ast
import os
import tempfile
from pathlib import Path

import optuna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool

from tunewright.runs.sqlite_url import is_text, sqlite_file, sqlite_uri, sqlite_url

MEANING = "?%#@:/&=+~${}[]'\"\\ ;|*!,.-"
"""What means something in a URL, a template, a shell, a pattern or a quoted text."""


def named(raw: bytes) -> bool:
    return raw not in (b"", b".", b"..") and len(raw) <= 120


NAMES = (
    st.one_of(
        st.text(st.sampled_from(MEANING.replace("/", "") + "a41Bé"), max_size=12).map(str.encode),
        st.text(st.characters(exclude_characters="/\0", codec="utf-8"), max_size=20).map(
            str.encode
        ),
        st.binary(max_size=20).map(lambda raw: raw.replace(b"/", b"").replace(b"\0", b"")),
    )
    .filter(named)
    .map(os.fsdecode)
)
"""Any name that a folder may have, also one that is no text."""


def made(url: str) -> None:
    """A database with one table, made as Optuna makes its own: through SQLAlchemy."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        connection.exec_driver_sql("PRAGMA journal_mode=MEMORY")
        connection.exec_driver_sql("CREATE TABLE mine (x)")
    engine.dispose()


@given(NAMES)
@example("what?")
@example("a%20b")
@example("x?mode=memory&uri=true")
@example("file:x")
@example(os.fsdecode(b"caf\xe9 100%"))
def test_the_file_lies_in_its_folder_and_nowhere_else(name: str) -> None:
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / name
        folder.mkdir()
        file = folder / "study.db"
        url = sqlite_url(file)
        made(url)
        assert [path for path in Path(above).rglob("*") if path.is_file()] == [file]
        assert sqlite_file(url) == file
        assert sqlite_file(sqlite_url(file, mode="ro")) == file
        assert ast.literal_eval(repr(url)) == url, "it can be pasted"
        assert url.format() == url, "Optuna fills in what stands in braces"
        assert is_text(url), "it can be printed and stored"


@given(NAMES, NAMES)
@example("a b", "a%20b")
@example("q?a", "q?b")
@example("r#a", "r#b")
@example("p%41", "pA")
@example(os.fsdecode(b"\xff"), "\N{REPLACEMENT CHARACTER}")
def test_two_folders_never_share_a_database(one: str, other: str) -> None:
    urls = [sqlite_url(Path("runs") / name / "study.db") for name in (one, other)]
    assert (urls[0] == urls[1]) == (one == other)
    assert (sqlite_file(urls[0]) == sqlite_file(urls[1])) == (one == other)


@pytest.mark.parametrize("name", ["it's 5% #1?", "~", "-x", "[red]", "{0}", "a@b:c", "ü\\"])
def test_optuna_opens_it_by_a_pasted_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    file = Path(name, "study.db")
    storage = optuna.storages.RDBStorage(sqlite_url(file))
    optuna.create_study(storage=storage, study_name=name)
    storage.remove_session()
    storage.engine.dispose()
    assert file.is_file()
    line = f"optuna.load_study(study_name={name!r}, storage={sqlite_url(file)!r})"
    engines: set[Engine] = set()
    remember = lambda connection: engines.add(connection.engine)  # noqa: E731 - removed by name
    event.listen(Engine, "engine_connect", remember)
    try:
        study = eval(line, {"optuna": optuna})
        assert study.study_name == name
    finally:
        event.remove(Engine, "engine_connect", remember)
    assert engines
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///studies.db", "studies.db"),
        ("sqlite:////data/my studies.db", "/data/my studies.db"),
        ("sqlite:///a%20b.db?timeout=5", "a b.db"),
        ("sqlite+pysqlite:///a.db", "a.db"),
        ("sqlite:///file:/data/a%2520b.db?mode=ro&uri=true", "/data/a b.db"),
        ("sqlite:///file:///data/a.db?uri=1", "/data/a.db"),
        ("sqlite:///file://localhost/data/a.db?uri=true", "/data/a.db"),
        ("sqlite:///file:a.db", "file:a.db"),  # no URI unless it is said to be one
        ("sqlite:///file:a?mode=memory&uri=true", None),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("sqlite://studies.db", None),
        ("sqlite:///", None),
        ("postgresql://me@host:5432/name", None),
        ("postgresql://me@host:port/name", None),
        ("sqlite", None),
    ],
)
def test_the_file_that_a_url_means(url: str, file: str | None) -> None:
    assert sqlite_file(url) == (None if file is None else Path(file))


def test_a_uri_of_a_path_that_begins_with_two_slashes_has_no_host() -> None:
    assert sqlite_uri(Path("//data/a?.db")) == "file:////data/a%3F.db"
    assert sqlite_file(sqlite_url(Path("//data/a.db"), mode="ro")) == Path("//data/a.db")
