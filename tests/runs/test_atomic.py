"""Files that are whole or absent, and YAML that reads back as what was written."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import ConfigError, DataError, NotWritten
from tunewright.runs.atomic import (
    NAMED,
    dump_yaml,
    read_json,
    read_yaml,
    write_json,
    write_text,
    write_with,
    write_yaml,
)
from tunewright.runs.stored_yaml import read_stored

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="$\x85\u2028\u2029"), max_size=8)
NUMBERS_IN_QUOTES = st.sampled_from(
    ["1e-3", "8e4", "1E5", ".5e3", "1_0e2", "7", "1.5", "null", "yes"]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    NUMBERS_IN_QUOTES,
)
KEYS = st.text("abcdefgh_", min_size=1, max_size=5)
TREES = st.dictionaries(
    KEYS, st.one_of(LEAVES, st.lists(LEAVES, max_size=3), st.dictionaries(KEYS, LEAVES, max_size=3))
)


@given(TREES)
def test_yaml_reads_back_as_it_was(tmp_path_factory, tree):
    file = tmp_path_factory.getbasetemp() / "tree.yaml"
    write_yaml(file, tree, header="made by a test\nin two lines")
    assert file.read_text().startswith("# made by a test\n# in two lines\n")
    assert read_yaml(file) == tree
    assert read_stored(file) == tree


def test_numbers_without_a_point_are_numbers(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: 1e-4\nb: 8e-4\nc: '1e-4'\nd: [1e3]\n")
    assert read_yaml(file) == {"a": 1e-4, "b": 8e-4, "c": "1e-4", "d": [1000.0]}
    assert read_stored(file) == read_yaml(file)


@pytest.mark.parametrize(
    "text",
    [
        "a: 2024-05-01\nb: yes\nc: 0x10\nd: .inf\ne: 1_000\n",
        "a: +.5e3\nb: -1.e2\nc: 1E5\nd: e5\ne: 1e\nf: 1:30\n",
        "2: x\na: {3: [1.5, {b: null}]}\n",
        "a: ${b}\nb: '${oc.env:HOME}'\n",
        "# nothing\n",
    ],
)
def test_what_is_stored_means_the_same_to_both_readers(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert read_stored(file) == read_yaml(file)
    assert repr(read_stored(file)) == repr(read_yaml(file))


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "[1, 2]", "a: [", "b: {c: 1, c: 1}"])
def test_both_readers_refuse_the_same(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    for read in (read_yaml, read_stored):
        with pytest.raises(ConfigError, match=r"a\.yaml"):
            read(file)


def test_lists_of_plain_values_stay_on_one_line():
    assert dump_yaml({"b": [1, 2], "a": {"c": (3, 4)}}) == "b: [1, 2]\na:\n  c: [3, 4]\n"


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "before")

    def fail(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError, match=r"a.txt cannot be written: No space left on device"):
        write_with(file, fail)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_crash_of_the_writer_is_not_disguised(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_with(tmp_path / "a.txt", lambda path: 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written: .*--runs-dir"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_named_file_that_cannot_be_written_has_another_remedy(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(NotWritten, match=r"cannot be written: .* choose another path") as caught:
        write_with(tmp_path / "file", lambda path: path.touch(), remedy=NAMED)
    assert "--runs-dir" not in str(caught.value)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o007, 0o660)])
def test_the_umask_says_who_may_read_what_was_written(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "new" / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a.txt").stat().st_mode & 0o777 == mode


def test_so_may_they_where_a_library_puts_a_private_file_in_its_place(tmp_path):
    def write(file: Path) -> None:  # as safetensors 0.8 does
        own = tmp_path / ".tmp"
        os.close(os.open(own, os.O_WRONLY | os.O_CREAT, 0o600))
        own.replace(file)

    before = os.umask(0o027)
    try:
        write_with(tmp_path / "a.safetensors", write)
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o640


def test_the_longest_name_that_a_file_may_have(tmp_path):
    write_text(tmp_path / ("n" * 255), "x")
    assert [len(file.name) for file in tmp_path.iterdir()] == [255]


def test_json_is_an_object_or_not_there(tmp_path):
    file = tmp_path / "a.json"
    assert read_json(file) is None
    write_json(file, {"a": [1, None]})
    assert read_json(file) == {"a": [1, None]}
    for torn in ('{"a": [1', "", "[1]", "7"):
        file.write_text(torn)
        assert read_json(file) is None
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, {"a": float("nan")})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"- 1\n- 2\n", "holds a YAML list: expected a mapping"),
        (b"a: [1", "is not readable as YAML"),
        (b"a: 1\na: 2\n", "duplicate key 'a'"),
        (b"\x00\xff", "is not readable as YAML"),
        (b"3", "holds 3 only"),
        (b"", "is not readable as YAML: it is empty"),
        (b"\xef\xbb\xbf \n\n", "is not readable as YAML: it is empty"),
    ],
)
def test_a_file_without_a_mapping(tmp_path, content, complaint):
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        read_yaml(file)
    with pytest.raises(ConfigError, match=r"a\.yaml"):
        read_stored(file)


def test_a_file_that_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="is a folder: expected a YAML file"):
        read_yaml(tmp_path)


@pytest.mark.parametrize("content", ["# nothing yet\n", "{}\n", "---\n"])
def test_a_file_that_changes_nothing_is_an_empty_mapping(content, tmp_path):
    (tmp_path / "a.yaml").write_text(content)
    assert read_yaml(tmp_path / "a.yaml") == read_stored(tmp_path / "a.yaml") == {}


def test_references_are_left_as_they_are(tmp_path):
    file: Path = tmp_path / "a.yaml"
    file.write_text("a: 1\nb: ${a}\n")
    assert read_yaml(file) == {"a": 1, "b": "${a}"}


def test_a_file_in_another_encoding_is_told_as_that(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_bytes("optim: {lr: 0.01}".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"byte 1 is no UTF-8.*Save it again"):
        read_stored(file)
