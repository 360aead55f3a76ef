"""The format of compressed files."""

import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.errors import DataError
from tunewright.recipes.compression.codec.container import (
    MAGIC,
    VERSION,
    Container,
    pack,
    read_compressed,
    unpack,
)

HELD = Container(b"8 bytes.", 768, 512, True, 2, "cuda", 0xDEADBEEF, (b"hyper", b"latents" * 9))


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@given(
    st.integers(1, 2**24),
    st.integers(1, 2**24),
    st.booleans(),
    st.integers(1, 64),
    st.sampled_from(["cpu", "cuda"]),
    st.binary(max_size=300),
    st.binary(max_size=300),
)
def test_what_is_packed_is_unpacked(width, height, grey, threads, device, first, second):
    held = Container(b"12345678", width, height, grey, threads, device, 7, (first, second))
    assert unpack(pack(held)) == held


def test_what_is_not_picture_takes_thirty_bytes():
    assert len(pack(HELD)) - sum(map(len, HELD.streams)) <= 30


def test_any_altered_byte_is_an_error():
    data = pack(HELD)
    for place in range(len(data)):
        for change in (1, 0x80, 0xFF):
            altered = bytes([*data[:place], data[place] ^ change, *data[place + 1 :]])
            with pytest.raises(DataError, match=r"a\.twc"):
                unpack(altered, "a.twc")


def test_any_cut_is_an_error():
    data = pack(HELD)
    for end in range(len(data)):
        with pytest.raises(DataError, match=r"a\.twc"):
            unpack(data[:end], "a.twc")
    with pytest.raises(DataError, match="altered"):
        unpack(data + b"\0")


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_bytes_that_were_made_to_pass_the_checksum_are_read_or_refused(body):
    data = sealed(MAGIC + bytes([VERSION]) + body)
    try:
        held = unpack(data)
    except DataError:
        return
    assert 0 < held.width <= 2**24
    assert sum(map(len, held.streams)) <= len(data)


def test_lengths_beyond_the_file_are_an_error():
    head = MAGIC + bytes([VERSION]) + b"12345678" + b"\0" + b"\1\1\1"
    with pytest.raises(DataError, match="bytes for"):
        unpack(sealed(head + b"\xff\xff\xff\xff\x7f" + b"\0" + b"1234"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "a.twc is empty"),
        (b"\x89PNG\r\n\x1a\n", "a.twc is no compressed picture of ours"),
        (MAGIC + b"\x02" + b"later", "version 2"),
        (MAGIC, "cut short"),
    ],
)
def test_foreign_files_say_what_they_are(data, said):
    with pytest.raises(DataError, match=said) as caught:
        unpack(data, "a.twc")
    assert "expected" in str(caught.value)


def test_a_file_is_read_when_it_begins_as_ours(tmp_path):
    file = tmp_path / "a.twc"
    file.write_bytes(pack(HELD))
    assert unpack(read_compressed(file)) == HELD
    file.write_bytes(b"GIF89a")
    with pytest.raises(DataError, match="no compressed picture of ours"):
        read_compressed(file)
    with pytest.raises(DataError, match="No such file"):
        read_compressed(tmp_path / "b.twc")


def test_sides_that_no_picture_has_are_refused():
    with pytest.raises(DataError, match="pixels"):
        unpack(pack(replace(HELD, width=2**24 + 1)))
    with pytest.raises(DataError, match="threads"):
        unpack(pack(replace(HELD, threads=0)))
