"""Which file is made of which."""

from pathlib import Path

import pytest

from tunewright.deliver.compression.input_output_files import file_pairs
from tunewright.errors import DataError, UsageError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("a.png", "b.JPG", "notes.txt", "in/a.png", "in/deep/c.png"):
        file = tmp_path / "given" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


def paired(place: Path, *given: str, output: str = "out", force: bool = False) -> dict[str, str]:
    sources = [place / name for name in given]
    pairs = file_pairs(
        sources,
        place / output,
        taken=(".png", ".jpg"),
        made=".twc",
        single=(".twc",),
        force=force,
    )
    return {
        source.relative_to(place).as_posix(): target.relative_to(place).as_posix()
        for source, target in pairs
    }


def test_one_file_into_a_file_or_a_folder(place):
    assert paired(place, "given/a.png", output="x.twc") == {"given/a.png": "x.twc"}
    assert paired(place, "given/a.png") == {"given/a.png": "out/a.twc"}
    assert paired(place, "given/notes.txt") == {"given/notes.txt": "out/notes.twc"}
    (place / "odd.twc").mkdir()
    assert paired(place, "given/a.png", output="odd.twc") == {"given/a.png": "odd.twc/a.twc"}


def test_a_folder_keeps_its_shape(place):
    assert paired(place, "given") == {
        "given/a.png": "out/a.twc",
        "given/b.JPG": "out/b.twc",
        "given/in/a.png": "out/in/a.twc",
        "given/in/deep/c.png": "out/in/deep/c.twc",
    }


def test_a_folder_is_listed_as_for_a_training(place):
    """Linked folders count; what file managers leave behind does not."""
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "d.png").touch()
    (place / "given" / "linked").symlink_to(place / "elsewhere")
    (place / "given" / "__MACOSX").mkdir()
    for name in ("._a.png", "__MACOSX/a.png"):
        (place / "given" / name).touch()
    (place / "given" / "folder.png").mkdir()
    found = paired(place, "given")
    assert len(found) == 5
    assert found["given/linked/d.png"] == "out/linked/d.twc"


def test_several_files_need_a_folder(place):
    with pytest.raises(UsageError, match="for 2 files"):
        paired(place, "given/a.png", "given/b.JPG", output="x.twc")


def test_a_file_is_no_folder_of_outputs(place):
    (place / "out").touch()
    with pytest.raises(UsageError, match=r"out is a file: expected a folder, or .* in \.twc"):
        paired(place, "given/a.png")


def test_two_that_would_become_one_are_named(place):
    with pytest.raises(UsageError, match=r"a\.png and .*in/a\.png would both become .*out/a\.twc"):
        paired(place, "given/a.png", "given/in/a.png")


def test_what_is_there_is_kept_unless_forced(place):
    (place / "out").mkdir()
    (place / "out" / "a.twc").touch()
    with pytest.raises(UsageError, match=r"a\.twc exists already") as caught:
        paired(place, "given")
    assert "--force" in str(caught.value)
    assert len(paired(place, "given", force=True)) == 4


def test_nothing_to_do_is_an_error(place):
    with pytest.raises(DataError, match="does not exist"):
        paired(place, "gone.png")
    (place / "empty").mkdir()
    with pytest.raises(DataError, match=r"no file in .*empty.*expected names ending in \.png"):
        paired(place, "empty")
    with pytest.raises(UsageError, match="no file was named"):
        paired(place)


def test_nothing_is_written_over_itself(place):
    (place / "a.twc").touch()
    with pytest.raises(UsageError, match="over itself"):
        paired(place, "a.twc", output="a.twc", force=True)


@pytest.mark.parametrize("output", ["z.jpg", "z.JPEG", "z.png", "z.heic"])
def test_a_name_of_another_kind_of_file_is_refused_with_the_kinds_that_are_known(place, output):
    with pytest.raises(UsageError, match=r"expected a folder, or a name ending in \.twc"):
        paired(place, "given/a.png", output=output)
    assert not (place / output).exists()
    assert paired(place, "given/a.png", output="v1.2") == {"given/a.png": "v1.2/a.twc"}
