"""Tuples are read out of pickles, and nothing else happens."""

import pickle
from pathlib import Path

import pytest

from tunewright.errors import DataError
from tunewright.images.databases.pickled_tuples import read_tuple

LONG = "x" * 70_000
TUPLES = [
    ("12", 7, "normal fundus"),
    ("left", "right"),
    (b"left", b"right" * 1000),
    (None, LONG, True, -1, 2**70, 0.5),
    ("same", "same"),
    (),
]


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("made", TUPLES, ids=range(len(TUPLES)))
def test_a_tuple_of_plain_values(made: tuple[object, ...], protocol: int) -> None:
    assert read_tuple(pickle.dumps(made, protocol), "key") == made


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_old_protocols(protocol: int) -> None:
    made = ("p1", 3, "ein Auge, gelblich: ü", 0.25)
    assert read_tuple(pickle.dumps(made, protocol), "key") == made


class Hostile:
    """Leaves a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.place,))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_object_runs_nothing(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps((Hostile(tmp_path / "harm"), "right"), protocol)
    with pytest.raises(DataError) as refused:
        read_tuple(content, "key '12' in imgs/data.mdb")
    assert "key '12' in imgs/data.mdb" in str(refused.value)
    assert "nothing of it was run" in str(refused.value)
    assert "tunewright retina build-lmdb" in str(refused.value)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "made", [["a", "b"], {"a": 1}, {"a"}, ("a", ["b"]), ("a", ("b",)), 1j, Path("a"), "text", print]
)
def test_other_objects_are_refused(made: object) -> None:
    with pytest.raises(DataError, match="a tuple of texts, bytes and numbers"):
        read_tuple(pickle.dumps(made), "key")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04",
        pickle.dumps(("left", "right"))[:-4],
        b"\x80\x04r\xff\xff\xff\xff.",  # a memo of 4 billion places, of nothing
        b"\x80\x04\x87.",  # a tuple of three values, of which there is none
        b"\x80\x04h\x05.",
        b"\x80\x04t.",
        b"\x80\x04((t.",
        b"\x80\x04cos\nsystem\n(Vtouch harm\ntR.",
        b"hello",
    ],
)
def test_damaged_pickles(content: bytes) -> None:
    with pytest.raises(DataError, match="key 9"):
        read_tuple(content, "key 9")
